"""What Nimbus last answered to pages, for when it is silent; pure: what time it is, is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

COUNT_MAX = 1_024  # answers: ten of the largest pages, which have 101 each; what was looked at least lately goes first
KEPT_SECS = 3_600.0  # from when it was looked at last


class Known(NamedTuple):
    """An answer, when it came on the clock, and at what time of day."""

    value: Any
    at: float
    at_wall_secs: int


class LastKnown:
    """The last good answer to each call, of the COUNT_MAX calls that were looked at last, within KEPT_SECS."""

    def __init__(self, count_max: int = COUNT_MAX) -> None:
        self._count_max = count_max
        self._known: dict[Hashable, tuple[Known, float]] = {}  # with when it was looked at; the last one is the last

    def get(self, call: Hashable, now: float) -> Known | None:
        self._make_room(now)
        if call not in self._known:
            return None
        found, _ = self._known.pop(call)
        self._known[call] = found, now
        return found

    def put(self, call: Hashable, known: Known) -> None:
        self._known.pop(call, None)
        self._known[call] = known, known.at
        self._make_room(known.at)

    def forget(self, call: Hashable) -> None:
        """Nimbus answered with an error: what it said before is true no more."""
        self._known.pop(call, None)

    def _make_room(self, now: float) -> None:
        while self._known:
            oldest = next(iter(self._known))
            if len(self._known) <= self._count_max and now - self._known[oldest][1] < KEPT_SECS:
                return
            del self._known[oldest]
