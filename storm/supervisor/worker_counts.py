"""How many workers were started and died, by topology: for Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from storm.ids import topology_name
from storm.metrics.series import Series
from storm.supervisor.slot import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storm.ids import TopologyId

NAMES_MAX = 500  # topologies that are counted by name; those that come later are counted together
OTHERS = ""  # their name


class WorkerCounts:
    """One thread counts, any may read. Topologies go by name, so that one that is submitted anew goes on counting."""

    def __init__(self) -> None:
        self._launches: Counter[str] = Counter()
        self._deaths: Counter[tuple[str, Cause]] = Counter()

    def know(self, topology_id: TopologyId) -> None:
        """Its worker was there before this supervisor: its counts begin at 0."""
        self._launches[self._name(topology_id)] += 0

    def launched(self, topology_id: TopologyId) -> None:
        self._launches[self._name(topology_id)] += 1

    def died(self, topology_id: TopologyId, cause: Cause) -> None:
        """A worker, or what was to be one."""
        self.know(topology_id)
        self._deaths[self._name(topology_id), cause] += 1

    def series(self) -> Iterator[Series]:
        """Of each topology all causes, from its first worker on: Prometheus sees no growth in what appears with 1."""
        deaths = dict(self._deaths)
        for name, launches in dict(self._launches).items():
            yield Series("storm_supervisor_worker_launches_total", {"topology": name}, launches)
            for cause in Cause:
                labels = {"topology": name, "reason": cause.value}
                yield Series("storm_supervisor_worker_deaths_total", labels, deaths.get((name, cause), 0))

    def _name(self, topology_id: TopologyId) -> str:
        name = topology_name(topology_id)
        return name if name in self._launches or len(self._launches) < NAMES_MAX else OTHERS
