"""Clients that call Nimbus all the time, and try each call three times: one that reads, one that writes."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fault_site import CALL_SECS, NIMBUS_PORT
from load import NUMBERED

from storm.client.code_package import build_package
from storm.client.submitter import send
from storm.client.topology_file import load_topology
from storm.errors import StormError
from storm.thrift.interface import storm_thrift
from storm.thrift.nimbus_client import NimbusClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fault_site import FaultSite

ATTEMPTS = 3
PAUSE_SECS = 2.0
BETWEEN_SECS = 0.2
LEADER_WAIT_SECS = 5.0
EFFECT_SECS = 60.0
SMALL = "small-"  # how their names begin
NUMBERS = 10  # of a small topology


class Caller:
    """Calls what its subclass's `turn` does, again and again, in a thread of its own from the beginning until `stop`.

    `failures`: what failed each time, in words. `calls`, `repeated`: how many there were, and how many attempts failed.
    """

    def __init__(self, site: FaultSite, pause_secs: float = PAUSE_SECS) -> None:
        self.calls = self.repeated = 0
        self.failures: list[str] = []
        self.site = site
        self._stopping = threading.Event()
        self._pause_secs = pause_secs
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._thread.start()

    def turn(self) -> None:
        raise NotImplementedError

    def stop(self) -> list[str]:
        """Let it end its turn, the first at least; its failures."""
        self._stopping.set()
        self._thread.join()
        return self.failures

    def tried(self, what: str, call: Callable[[NimbusClient], Any]) -> bool:
        """Whether one of three attempts is answered."""
        self.calls += 1
        for attempt in range(ATTEMPTS):
            try:
                with NimbusClient(self.site.seeds, NIMBUS_PORT, CALL_SECS, leader_wait_secs=LEADER_WAIT_SECS) as nimbus:
                    call(nimbus)
                return True
            except StormError as error:
                self.repeated += 1
                if attempt == ATTEMPTS - 1:
                    self.failures.append(f"{what}: {type(error).__name__}: {error}")
                else:
                    time.sleep(self._pause_secs)
        return False

    def _run(self) -> None:
        is_ended = False
        while not is_ended:
            try:
                self.turn()
            except Exception as error:  # noqa: BLE001 - whoever stops it reads of it
                self.failures.append(f"{type(error).__name__}: {error}")
                return
            is_ended = self._stopping.wait(BETWEEN_SECS)


class Reader(Caller):
    """Asks for the summary of the cluster."""

    def turn(self) -> None:
        self.tried("getClusterInfo", lambda nimbus: nimbus.call("getClusterInfo"))


class Writer(Caller):
    """Submits small topologies, one after the other, and spreads each over two workers, halts it, lets it go on, kills
    it. What a call asked for must come, too, within `EFFECT_SECS`.

    `done`: how many went through all of it.
    """

    def __init__(self, site: FaultSite, conf: Mapping[str, Any]) -> None:
        """`conf`: of a load that runs beside."""
        self.done = self._begun = 0
        self._conf = conf
        super().__init__(site)

    def turn(self) -> None:
        self._begun += 1
        name = f"{SMALL}{self._begun}"
        spread = storm_thrift().RebalanceOptions(wait_secs=0, num_workers=2)
        killed = storm_thrift().KillOptions(wait_secs=0)
        steps: list[tuple[str, Callable[[NimbusClient], Any], Callable[[], bool]]] = [
            ("submit", lambda nimbus: self._submit(nimbus, name), lambda: self._is(name, "ACTIVE")),
            ("rebalance", lambda nimbus: nimbus.call("rebalance", name, spread), lambda: self._is(name, "ACTIVE", 2)),
            ("deactivate", lambda nimbus: nimbus.call("deactivate", name), lambda: self._is(name, "INACTIVE")),
            ("activate", lambda nimbus: nimbus.call("activate", name), lambda: self._is(name, "ACTIVE")),
            ("kill", lambda nimbus: nimbus.call("killTopologyWithOpts", name, killed), lambda: not self._runs(name)),
        ]
        for what, call, is_so in steps:
            if not self.tried(f"{what} {name}", call):
                return
            self.site.wait(is_so, f"what `{what}` of {name} asked for is there", EFFECT_SECS)
        self.done += 1

    def left(self) -> list[str]:
        """What there is of any of them, with Nimbuses and supervisors too."""
        ids = self._running()
        for daemon in (*self.site.nimbuses, *self.site.supervisors.values()):
            stored = [*daemon.local_dir.glob("blobs/*/*"), *daemon.local_dir.glob("supervisor/stormdist/*")]
            ids += [path.name for path in stored]
        return sorted({each for each in ids if each.startswith(SMALL)})

    def _runs(self, name: str) -> bool:
        """Whether ZooKeeper speaks of the topology, or a worker of it lives."""
        return any(each.startswith(f"{name}-") for each in self._running())

    def _running(self) -> list[str]:
        state = self.site.state
        return [*state.topology_ids(), *state.assignment_ids(), *(each.topology_id for each in self.site.workers())]

    def _is(self, name: str, status: str, workers: int = 0) -> bool:
        """Whether the topology has this status, and so many workers run at least."""
        summary = self.site.call("getTopologySummaryByName", name)
        return summary.status == status and len(self.site.workers(summary.id)) >= workers

    def _submit(self, nimbus: NimbusClient, name: str) -> None:
        directory = self.site.directory / f"run-{name}"
        directory.mkdir(exist_ok=True)
        conf = {**self._conf, "faults.dir": str(directory), "faults.messages": NUMBERS, "topology.workers": 1}
        loaded = load_topology(NUMBERED, conf)
        with tempfile.TemporaryDirectory() as place:
            send(nimbus, name, loaded.topology, conf, build_package(loaded.files, Path(place) / "package.zip"))
