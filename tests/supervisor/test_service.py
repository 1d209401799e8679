from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from storm.clock import SystemClock
from storm.cluster.records import Assignment
from storm.errors import NotAuthorizedError, StormError, TopologyNotAliveError
from storm.hosts.facts import HostReport, Resolution
from storm.ids import ExecutorId, WorkerSlot
from storm.supervisor.assignment_sync import LocalAssignment
from storm.supervisor.profiling import Profiler
from storm.supervisor.service import SupervisorService
from storm.supervisor.slot_runner import WorkerHandle
from storm.supervisor.worker_logs import log_path
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from pathlib import Path

    from storm.supervisor.worker_beats import WorkerBeat


class CoreStandIn:
    """Answers as the core does to one worker, w1, and notes what it is told."""

    def __init__(self) -> None:
        self.beats: list[WorkerBeat] = []
        self.woken = 0
        self.slots = self
        local = LocalAssignment("words-1-1", (), 1)
        self.workers = {6700: WorkerHandle("w1", 6700, local, os.getpid()), 6701: WorkerHandle("w2", 6701, local)}

    def running(self) -> dict[int, WorkerHandle]:
        return self.workers

    def wake(self) -> None:
        self.woken += 1

    def assignment(self, topology_id: str) -> Assignment | None:
        slot = WorkerSlot("n", 6700)
        known = Assignment("words-1-1", 1, {ExecutorId(1, 1): slot}, {}, {"n": "h"}, {slot: 1})
        return known if topology_id == "words-1-1" else None

    def receive_beat(self, beat: WorkerBeat) -> bool:
        if beat.worker_id != "w1":
            raise NotAuthorizedError("port 6700 has worker w1")
        self.beats.append(beat)
        return len(self.beats) == 1


class Served:
    def __init__(self, directory: Path) -> None:
        self.core = CoreStandIn()
        self.wakes: list[str] = []
        core: Any = self.core
        self.service = SupervisorService(
            core,
            directory,
            lambda: self.wakes.append("coordination"),
            lambda: self.wakes.append("slots"),
            lambda names: HostReport("h", 1_700_000_000_000, "3.11.2", resolutions=dict.fromkeys(names, Resolution())),
            Profiler(directory, SystemClock()),
        )


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


def heartbeat(**fields: Any) -> Any:
    return storm_thrift().SupervisorWorkerHeartbeat(storm_id="words-1-1", executors=[], time_secs=1, **fields)


def test_news_of_nimbus_wake_the_coordination(served: Served) -> None:
    served.service.sendSupervisorAssignments(storm_thrift().SupervisorAssignments())
    assert (served.core.woken, served.wakes) == (1, ["coordination"])


def test_a_workers_first_beat_wakes_its_slot(served: Served) -> None:
    for _ in range(2):
        served.service.sendSupervisorWorkerHeartbeat(heartbeat(worker_id="w1", port=6700))
    assert served.wakes == ["slots"]
    assert served.core.beats[0].topology_id == "words-1-1"


@pytest.mark.parametrize("fields", [{}, {"port": 6700}, {"worker_id": "w1"}, {"worker_id": "w2", "port": 6700}])
def test_a_beat_of_nobody_is_refused(served: Served, fields: dict[str, Any]) -> None:
    with pytest.raises(NotAuthorizedError):
        served.service.sendSupervisorWorkerHeartbeat(heartbeat(**fields))


def test_an_assignment_is_answered_if_it_is_here(served: Served) -> None:
    assert served.service.getLocalAssignmentForStorm("words-1-1").node_host == {"n": "h"}
    with pytest.raises(TopologyNotAliveError):
        served.service.getLocalAssignmentForStorm("other-1-1")


def test_a_part_of_a_log_is_answered(served: Served, tmp_path: Path) -> None:
    path = log_path(tmp_path, "words-1-1", 6700)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"hello")
    part = served.service.readWorkerLog("words-1-1", "h", 6700, -2, 10)
    assert (part.data, part.offset, part.size) == (b"lo", 3, 5)


def test_a_part_of_the_samples_of_tuples_is_answered(served: Served, tmp_path: Path) -> None:
    with pytest.raises(TopologyNotAliveError):
        served.service.readWorkerEvents("words-1-1", "h", 6700, 0, 10)
    path = log_path(tmp_path, "words-1-1", 6700, "events.log")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{}")
    part = served.service.readWorkerEvents("words-1-1", "h", 6700, -1, 10)
    assert (part.data, part.offset, part.size) == (b"}", 1, 2)


def test_it_tells_of_its_host(served: Served) -> None:
    report = served.service.getHostReport(["elsewhere"])
    assert (report.host, report.python, list(report.resolutions)) == ("h", "3.11.2", ["elsewhere"])


@pytest.mark.parametrize(("topology_id", "port"), [("words-1-1", 6799), ("other-1-1", 6700), ("words-1-1", 6701)])
def test_only_workers_that_run_here_are_looked_at(served: Served, topology_id: str, port: int) -> None:
    with pytest.raises(TopologyNotAliveError):
        served.service.getWorkerStacks(topology_id, port)
    with pytest.raises(TopologyNotAliveError):
        served.service.profileWorker(topology_id, port, 1, "raw")


def test_a_worker_that_cannot_tell_its_stacks_is_not_sent_a_signal_that_would_end_it(served: Served) -> None:
    """This process has no handler for it."""
    with pytest.raises(StormError, match="does not tell its stacks"):
        served.service.getWorkerStacks("words-1-1", 6700)
