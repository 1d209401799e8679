"""Signals that end a command as Ctrl-C does."""

from __future__ import annotations

import signal
from typing import NoReturn

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_on_signals() -> None:
    """From now on SIGTERM, and SIGHUP of a terminal that is closed, raise KeyboardInterrupt as Ctrl-C does.

    Else what a command has started, in sessions of its own, would run on. `nohup` has SIGHUP ignored: it stays so.
    """
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


def interrupt(number: int, frame: object) -> NoReturn:
    """A handler for `signal.signal`."""
    raise KeyboardInterrupt
