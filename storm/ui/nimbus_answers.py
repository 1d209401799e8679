"""What Nimbus said lately, and since when it says nothing; pure: what time it is, is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

    from storm.errors import StormError

KEEP_SECS = 2.0  # viewers of the same page within this time cost Nimbus one call
COUNT_MAX = 256  # answers that are kept at once, whatever clients ask for
RETRY_SECS = 2.0  # after a failure, until Nimbus is asked again


class Answer(NamedTuple):
    """What came of a call: a value, or the error that Nimbus answered."""

    value: Any = None
    error: StormError | None = None


class Answers:
    """A small cache by call. `generation` grows with every change that was made: older answers are not put in."""

    def __init__(self, keep_secs: float = KEEP_SECS, count_max: int = COUNT_MAX) -> None:
        self.generation = 0
        self._keep_secs = keep_secs
        self._count_max = count_max
        self._kept: dict[Hashable, tuple[float, Answer]] = {}  # {call: (until when, answer)}, the oldest first

    def get(self, call: Hashable, now: float) -> Answer | None:
        """None: it has to be asked."""
        until, answer = self._kept.get(call, (now, None))
        return answer if now < until else None

    def put(self, call: Hashable, answer: Answer, generation: int, now: float) -> None:
        """`generation` is what it was when the call was made."""
        if generation != self.generation:
            return
        self._kept.pop(call, None)
        for old in [old for old, (until, _) in self._kept.items() if until <= now]:
            del self._kept[old]
        while len(self._kept) >= self._count_max:
            del self._kept[next(iter(self._kept))]
        self._kept[call] = (now + self._keep_secs, answer)

    def changed(self) -> None:
        """Something was changed at Nimbus: whoever looks next sees it."""
        self.generation += 1
        self._kept.clear()


class Silence:
    """Since when Nimbus does not answer. Then one call at a time tries, and the others are told at once."""

    def __init__(self, retry_secs: float = RETRY_SECS) -> None:
        self.error: StormError | None = None  # of the last try, while there is silence
        self.since_wall_secs = 0
        self._retry_secs = retry_secs
        self._tried_at = 0.0
        self._is_trying = False

    def may_try(self, now: float) -> bool:
        """Whether a call should go out now; `heard` or `failed` tells what came of it."""
        if self.error is None:
            return True
        if self._is_trying or now - self._tried_at < self._retry_secs:
            return False
        self._is_trying = True
        return True

    def heard(self) -> None:
        self.error, self._is_trying = None, False

    def failed(self, error: StormError, now: float, wall_secs: int) -> None:
        if self.error is None:
            self.since_wall_secs = wall_secs
        self.error, self._tried_at, self._is_trying = error, now, False
