"""What Nimbus last answered to pages, for when it is silent; pure: what time it is, is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

COUNT_MAX = 1_024  # answers: ten of the largest pages, which have 101 each; what was looked at least lately goes first


class Known(NamedTuple):
    """An answer, when it came on the clock, and at what time of day."""

    value: Any
    at: float
    at_wall_secs: int


class LastKnown:
    """The last good answer to each call, of the COUNT_MAX calls that were looked at last."""

    def __init__(self, count_max: int = COUNT_MAX) -> None:
        self._count_max = count_max
        self._known: dict[Hashable, Known] = {}  # the one looked at last is the last

    def get(self, call: Hashable) -> Known | None:
        found = self._known.pop(call, None)
        if found is not None:
            self._known[call] = found
        return found

    def put(self, call: Hashable, known: Known) -> None:
        self._known.pop(call, None)
        while len(self._known) >= self._count_max:
            del self._known[next(iter(self._known))]
        self._known[call] = known

    def forget(self, call: Hashable) -> None:
        """Nimbus answered with an error: what it said before is true no more."""
        self._known.pop(call, None)
