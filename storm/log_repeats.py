"""Which of the times that something happens are worth a line of the log; pure."""

from __future__ import annotations


def is_logged(times: int, new: int = 1) -> bool:
    """Whether to log now what has happened `times` times: at the 1st, 2nd, 4th, 8th... time.

    So what repeats for ever fills no disk. `new`: how many of the times are told of together.
    """
    return times.bit_length() != (times - new).bit_length()
