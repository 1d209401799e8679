"""Garbage in every kind of node that daemons read from ZooKeeper, beside a topology that runs."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_site import QUICK, ClusterSite, start_site
from ledger_files import Ledger
from mutator import mutated
from surface import Neighbour, Surface

from storm.blobstore.blob_store import jar_key
from storm.cluster import paths
from storm.cluster.zookeeper import connect
from storm.errors import StormError

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from neighbour import Sample

TOPOLOGIES = Path(__file__).parent.parent / "cluster" / "topologies"
VICTIM = "fuzz"
KINDS = {
    "StormBase": paths.storm(VICTIM),
    "Assignment": paths.assignment(VICTIM),
    "SupervisorInfo": paths.supervisor(VICTIM),
    "LogConfig": paths.log_config(VICTIM),
    "ErrorInfo, the last one": paths.last_error(VICTIM, "bolt"),
    "ErrorInfo, one of ten": f"{paths.component_errors(VICTIM, 'bolt')}/e0000000001",
    "an error that has no number": f"{paths.component_errors(VICTIM, 'bolt')}/nonsense",
    "NimbusInfo": paths.nimbus("nowhere", 1),
    "a candidate without a number": f"{paths.LEADER_LOCK}/nonsense",
    "a topology with a strange name": f"{paths.STORMS}/%2e%2e%2f%zz",
    "an assignment with a strange name": f"{paths.ASSIGNMENTS}/%2e%2e%2f%00",
    "a supervisor with a strange name": f"{paths.SUPERVISORS}/+%ff+",
    "LeaderInfo": paths.LEADER_INFO,
    "Drain": paths.drain(VICTIM),
    "UserBlob": paths.user_blob(VICTIM),
    "a blob with a strange name": f"{paths.BLOBSTORE}/%2e%2e%2f%00",
    "a holder of a blob": paths.blob_replica(VICTIM, "nowhere:1", "0" * 64),
    "a holder with a strange name": f"{paths.blob(VICTIM)}/nonsense",
    "who has the turn to restart workers": paths.restart_turn(VICTIM),
    "the cluster's id": paths.CLUSTER_ID,
}
PACE_SECS = 0.02  # between two cases: the daemons look once a second, and when they are woken


class Records(Surface):
    name = "records"
    about = "records in ZooKeeper, while Nimbus, a supervisor and a topology run"

    def start(self, directory: Path) -> None:
        self.site: ClusterSite = start_site(directory, "embedded", ("a",), QUICK)
        self.closing.callback(self.site.close)
        ledger_dir = directory / "ledger"
        ledger_dir.mkdir()
        self._ledger = Ledger(ledger_dir)
        self._topology_id = self._ledger.submit(self.site, TOPOLOGIES, "steady", workers=2)
        self._workers = self.site.worker_pids()
        self._storage = connect([self.site.zookeeper.hosts], "/storm", 10_000, wait_secs=30.0)
        self.closing.callback(self._storage.close)
        port = int(self.site.settings["nimbus.thrift.port"])
        self._neighbour = self.closing.enter_context(contextlib.closing(Neighbour("thrift-nimbus", port, directory)))

    def processes(self) -> dict[str, int]:
        found = {daemon.name: daemon.pid for daemon in self.site.daemons if daemon.is_running}
        workers = {f"worker-{port}": pid for pid, port in self.site.worker_pids().items()}
        return {**found, **workers, "zookeeper": self.site.zookeeper.pid}

    def samples(self) -> list[Sample]:
        return self._neighbour.samples()

    def change(self, data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
        return mutated(data, rng, seeds)[:500_000]

    def attack(self, data: bytes, ports: Sequence[int]) -> None:
        """Into every kind of node."""
        for path in KINDS.values():
            with contextlib.suppress(StormError):
                self._storage.put(path, data)
        for path in (
            paths.log_config(self._topology_id),
            paths.last_error(self._topology_id, "sink"),
            f"{paths.component_errors(self._topology_id, 'sink')}/e0000000001",
            paths.drain(self.site.node_id("a")),
            paths.restart_turn(self._topology_id),
            f"{paths.blob(jar_key(self._topology_id))}/nonsense",
        ):
            with contextlib.suppress(StormError):
                self._storage.put(path, data)
        time.sleep(PACE_SECS)

    def trouble(self) -> list[str]:
        """The topology that runs was not touched: the same workers, tuples flow, and it is shown."""
        found = []
        if self.site.worker_pids() != self._workers:
            found.append(f"workers were {self._workers} and are {self.site.worker_pids()}")
        try:
            self.site.wait(lambda: self.site.call("getLeader").isLeader, "Nimbus leads")
            self._ledger.wait_progress(self.site)
            shown = self.site.call("getTopologySummaries")
            if "steady" not in [summary.name for summary in shown]:
                found.append(f"the topologies are {shown}")
            if self.site.page(self._topology_id).num_workers != 2:
                found.append("the page of the topology does not show its two workers")
            self.site.call_supervisor("a", "getLocalAssignmentForStorm", self._topology_id)
            self._ledger.check_complete(self.site)
        except (AssertionError, StormError) as error:
            found.append(f"afterwards: {error}")
        return found

    def notes(self) -> list[str]:
        return [f"{len(KINDS)} kinds of nodes"]
