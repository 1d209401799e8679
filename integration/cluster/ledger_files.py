"""Reads what topologies/ledger.py writes."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from cluster_site import ClusterSite

SPOUT_TASKS = 2


class Ledger:
    """The directory that one run of the topology writes to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def submit(self, cluster: ClusterSite, topologies: Path, name: str, workers: int, **conf: Any) -> str:
        """Submit it, wait until every spout's numbers are acked; its id."""
        settings = {"topology__workers": workers, "ledger__dir": self.directory, **conf}
        topology_id = cluster.submit(topologies / "ledger.py", name, **settings)
        self.wait_progress(cluster)
        return topology_id

    def spouts(self) -> dict[str, dict[str, Any]]:
        return {path.stem: json.loads(path.read_text()) for path in sorted(self.directory.glob("spout-*.json"))}

    def acked(self) -> dict[str, set[int]]:
        """{spout task: its numbers that were acked}."""
        found = {}
        for path in sorted(self.directory.glob("acked-*")):
            found[path.name.removeprefix("acked-")] = {int(line) for line in path.read_text().split()}
        return found

    def unacked(self) -> int:
        """How many numbers are sent and not acked, of the spout task that has most of them."""
        acked = self.acked()
        return max(state["sent"] - len(acked[name.removeprefix("spout-")]) for name, state in self.spouts().items())

    def failed(self) -> int:
        """How often a spout heard of a failure."""
        return sum(len(path.read_text().split()) for path in self.directory.glob("failed-*"))

    def calls(self) -> list[list[str]]:
        """For each spout task the calls of `activate` and `deactivate`, and of `next_tuple` while it was not active."""
        return [path.read_text().split() for path in sorted(self.directory.glob("calls-*"))]

    def sunk(self) -> Counter[tuple[str, int]]:
        """How often each (spout task, number) came to a sink."""
        found: Counter[tuple[str, int]] = Counter()
        for path in self.directory.glob("sink-*"):
            for line in path.read_text().splitlines():
                task, number = line.split()
                found[task, int(number)] += 1
        return found

    def wait_progress(self, cluster: ClusterSite, more: int = 20) -> None:
        """Until every spout task has so many acks more than now."""
        before = {task: len(numbers) for task, numbers in self.acked().items()}

        def has_progressed() -> bool:
            acked = self.acked()
            return len(acked) == SPOUT_TASKS and all(
                len(numbers) >= before.get(task, 0) + more for task, numbers in acked.items()
            )

        cluster.wait(has_progressed, f"every spout has {more} more acks")

    def check_complete(self, cluster: ClusterSite) -> None:
        """Let the spouts finish: every number that was sent is acked, and came to a sink."""
        (self.directory / "stop").touch()
        cluster.wait(
            lambda: len(self.spouts()) == SPOUT_TASKS and all(spout["is_done"] for spout in self.spouts().values()),
            "every number is acked",
        )
        sunk = self.sunk()
        for task, numbers in self.acked().items():
            assert numbers == set(range(self.spouts()[f"spout-{task}"]["sent"]))
            assert [number for number in numbers if (task, number) not in sunk] == []
