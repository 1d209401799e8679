"""Which topologies the cluster's page looks at where there are too many to look at all of them every time; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

STEADY_MAX = 100  # topologies that are looked at every time
TURN_MAX = 10  # of the others, every time: a thousand are looked at within 200 s of a page that is watched
WELL_SECS = 600  # for how long one that was well is taken to be so still


class _Look(NamedTuple):
    """`at`: when; seconds on any clock, as all times here."""

    at: int
    is_well: bool


class Rounds:
    """What was seen of topologies. Whoever has chosen looks at them, and notes what it saw."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}
        self._chosen_at: dict[str, int] = {}  # of those whose turn it was

    def chosen(self, topologies: Sequence[Any], now: int) -> tuple[list[str], list[str]]:
        """Ids of TopologySummaries: of STEADY_MAX, and of those whose turn it is, TURN_MAX at most.

        First come those that lack something, then where something was wrong, those that are active, and all others.
        """
        there = {one.id for one in topologies}
        self._looks = {each: look for each, look in self._looks.items() if each in there}
        self._chosen_at = {each: at for each, at in self._chosen_at.items() if each in there}
        in_order = [one.id for one in sorted(topologies, key=self._place)]
        waiting = sorted(in_order[STEADY_MAX:], key=lambda each: self._chosen_at.get(each, -1))
        turn = waiting[:TURN_MAX]
        self._chosen_at.update(dict.fromkeys(turn, now))
        return in_order[:STEADY_MAX], turn

    def note(self, topology_id: str, now: int, *, is_well: bool) -> None:
        """`is_well`: nothing is wrong but what its summary tells, too."""
        self._looks[topology_id] = _Look(now, is_well)

    def is_well(self, topology_id: str, now: int) -> bool:
        """Whether it was so when it was looked at lately."""
        look = self._looks.get(topology_id)
        return look is not None and look.is_well and now - look.at < WELL_SECS

    def _place(self, summary: Any) -> tuple[bool, bool, bool]:
        look = self._looks.get(summary.id)
        return not summary.sched_status, look is None or look.is_well, summary.status != "ACTIVE"
