"""How often code died on a port that it has left since: it may be given another one here, and goes on counting."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.ids import TopologyId
    from storm.supervisor.assignment_sync import LocalAssignment
    from storm.supervisor.slot import Slot

REMEMBERED_SECS = 600.0
TOLD_MAX = 100  # topologies in a supervisor's record, which has at most 1 MB


class _Left(NamedTuple):
    code: LocalAssignment
    deaths: int  # of the worker that left last
    worst: int  # of all those of the same code
    until: float


class LeftCode:
    """Of each topology what left last. `now` is always the supervisor's clock's second."""

    def __init__(self) -> None:
        self._left: dict[TopologyId, _Left] = {}
        self._leaving: list[tuple[LocalAssignment, Slot]] = []

    def look(self, leaving: Iterable[Slot]) -> None:
        """These slots will turn to something else in this step, in whatever order."""
        self._leaving = [(slot.assignment, slot) for slot in leaving if slot.assignment is not None]

    def add(self, slot: Slot, now: float) -> None:
        """The slot, as it was, has just been left by its code."""
        assert slot.assignment is not None
        code = slot.assignment
        left = {each: known for each, known in self._left.items() if now < known.until}
        before = left.get(code.topology_id)
        worst = before.worst if before is not None and before.code.same_code(code) else 0
        left[code.topology_id] = _Left(code, slot.deaths, max(worst, slot.deaths), now + REMEMBERED_SECS)
        self._left = left

    def deaths(self, port: int, wanted: LocalAssignment, now: float) -> int:
        """How often in a row the wanted code died on another port, which it has left lately or leaves in this step."""
        left = self._left.get(wanted.topology_id)
        deaths = left.deaths if left is not None and now < left.until and left.code.same_code(wanted) else 0
        leaving = (slot.deaths for code, slot in self._leaving if slot.port != port and code.same_code(wanted))
        return max(deaths, *leaving, 0)

    def told(self, now: float) -> dict[TopologyId, int]:
        """{topology: how often in a row its worst worker had died}, of those that left last. Any thread may call it."""
        lately = sorted(self._left.items(), key=lambda item: -item[1].until)
        return {topology_id: left.worst for topology_id, left in lately[:TOLD_MAX] if now < left.until}
