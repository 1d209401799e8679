"""Clients that call Nimbus all the time, and try each call three times: one that reads, one that writes."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable  # noqa: TC003
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from fault_site import CALL_SECS, NIMBUS_PORT
from load import NUMBERED

from storm.client.code_package import build_package
from storm.client.submitter import send
from storm.client.topology_file import load_topology
from storm.errors import StormError, TopologyAlreadyAliveError, TopologyNotAliveError
from storm.thrift.interface import storm_thrift
from storm.thrift.nimbus_client import NimbusClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fault_site import FaultSite

ATTEMPTS = 3
PAUSE_SECS = 2.0
BETWEEN_SECS = 0.2
LEADER_WAIT_SECS = 5.0
EFFECT_SECS = 60.0
STOP_SECS = 300.0  # a turn whose submission is repeated as long as it may be, and more
SMALL = "small-"  # how their names begin
NUMBERS = 10  # of a small topology


class Caller:
    """Calls what its subclass's `turn` does, again and again, in a thread of its own within the block. It ends its turn
    when it is told to `stop`, and leaves it at the end of the block.

    `failures`: what failed each time, in words. `calls`, `repeated`: how many there were, and how many attempts failed.
    """

    def __init__(self, site: FaultSite, pause_secs: float = PAUSE_SECS) -> None:
        self.calls = self.repeated = 0
        self.failures: list[str] = []
        self.site = site
        self._stopping, self._leaving = threading.Event(), threading.Event()
        self._pause_secs = pause_secs
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._leaving.set()
        self.stop()

    def turn(self) -> None:
        raise NotImplementedError

    def stop(self, within_secs: float = STOP_SECS) -> list[str]:
        """Let it end its turn, the first at least; its failures. That it did not end within these seconds is one."""
        self._stopping.set()
        self._thread.join(within_secs)
        if self._thread.is_alive():
            self.failures.append(f"{self._thread.name}: its turn did not end within {within_secs:g} s")
        return self.failures

    @property
    def is_leaving(self) -> bool:
        """Whether nobody waits for what it does any more."""
        return self._leaving.is_set()

    def tried(
        self, what: str, call: Callable[[NimbusClient], Any], done_before: tuple[type[StormError], ...] = ()
    ) -> bool:
        """Whether one of three attempts is answered. `done_before`: after an attempt without an answer, these errors
        say that it was carried out.
        """
        self.calls += 1
        is_unanswered = False
        for attempt in range(ATTEMPTS):
            try:
                with NimbusClient(self.site.seeds, NIMBUS_PORT, CALL_SECS, leader_wait_secs=LEADER_WAIT_SECS) as nimbus:
                    call(nimbus)
                return True
            except StormError as error:
                if isinstance(error, done_before):
                    if is_unanswered:
                        return True
                else:
                    is_unanswered = True
                self.repeated += 1
                if attempt == ATTEMPTS - 1:
                    self.failures.append(f"{what}: {type(error).__name__}: {error}")
                elif self._leaving.wait(self._pause_secs):
                    return False
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


class Step(NamedTuple):
    """Of a small topology's life. `is_so`: whether what the call asks for is there. `done_before`: see `tried`."""

    what: str
    call: Callable[[NimbusClient], Any]
    is_so: Callable[[], bool]
    done_before: tuple[type[StormError], ...] = ()


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
        steps = [
            Step(
                "submit", lambda nimbus: self._submit(nimbus, name), lambda: self._is(name, "ACTIVE"),
                (TopologyAlreadyAliveError,),
            ),
            Step(
                "rebalance", lambda nimbus: nimbus.call("rebalance", name, spread),
                lambda: self._is(name, "ACTIVE", 2),
            ),
            Step("deactivate", lambda nimbus: nimbus.call("deactivate", name), lambda: self._is(name, "INACTIVE")),
            Step("activate", lambda nimbus: nimbus.call("activate", name), lambda: self._is(name, "ACTIVE")),
            Step(
                "kill", lambda nimbus: nimbus.call("killTopologyWithOpts", name, killed), lambda: not self._runs(name),
                (TopologyNotAliveError,),
            ),
        ]  # fmt: skip
        for step in steps:
            if not self.tried(f"{step.what} {name}", step.call, step.done_before):
                return
            self._wait(step.is_so, f"what `{step.what}` of {name} asked for is there")
            if self.is_leaving:
                return
        self.done += 1

    def left(self) -> list[str]:
        """What there is of any of them, with Nimbuses and supervisors too."""
        ids = self._running()
        for daemon in (*self.site.nimbuses, *self.site.supervisors.values()):
            stored = [*daemon.local_dir.glob("blobs/*/*"), *daemon.local_dir.glob("supervisor/stormdist/*")]
            ids += [path.name for path in stored]
        return sorted({each for each in ids if each.startswith(SMALL)})

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        self.site.wait(lambda: self.is_leaving or is_so(), what, EFFECT_SECS)

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
