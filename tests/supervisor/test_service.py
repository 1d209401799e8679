from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import pytest

from storm.clock import SystemClock
from storm.cluster.records import Assignment
from storm.errors import InvalidTransitionError, NotAuthorizedError, NotServedError, StormError, TopologyNotAliveError
from storm.hosts.facts import HostReport, Resolution
from storm.ids import ExecutorId, WorkerSlot
from storm.supervisor.assignment_sync import LocalAssignment
from storm.supervisor.log_viewer import FoundRecord, FoundRecords, LogViewer
from storm.supervisor.profiling import Profiler
from storm.supervisor.service import SupervisorService
from storm.supervisor.slot_runner import WorkerHandle
from storm.supervisor.worker_logs import HEAP, PROFILE, STACKS, keep_dump, log_path
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from pathlib import Path

    from storm.supervisor.worker_beats import WorkerBeat


class CoreStandIn:
    """Answers as the core does to one worker, w1, and notes what it is told."""

    def __init__(self) -> None:
        self.beats: list[WorkerBeat] = []
        self.woken = 0
        self.restarted: list[str] = []
        self.may_restart = True
        self.slots = self
        self.log_viewer: LogViewer | None = None
        local = LocalAssignment("words-1-1", (), 1)
        self.workers = {6700: WorkerHandle("w1", 6700, local, os.getpid()), 6701: WorkerHandle("w2", 6701, local)}

    def running(self) -> dict[int, WorkerHandle]:
        return self.workers

    def ask_restart(self, worker: WorkerHandle) -> bool:
        self.restarted.append(worker.worker_id)
        return self.may_restart

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
    def __init__(self, directory: Path, profiler: object = None) -> None:
        self.core = CoreStandIn()
        self.wakes: list[str] = []
        core: Any = self.core
        self.service = SupervisorService(
            core,
            directory,
            lambda: self.wakes.append("coordination"),
            lambda: self.wakes.append("slots"),
            lambda names: HostReport("h", 1_700_000_000_000, "3.11.2", resolutions=dict.fromkeys(names, Resolution())),
            cast("Profiler", profiler) if profiler is not None else Profiler(directory, SystemClock()),
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


def test_a_beat_with_an_uptime_is_of_a_worker_that_is_up(served: Served) -> None:
    for uptime_secs in (None, 0):
        beat = heartbeat(worker_id="w1", port=6700, uptime_secs=uptime_secs)
        served.service.sendSupervisorWorkerHeartbeat(beat)
    assert [beat.is_up for beat in served.core.beats] == [False, True]


def test_it_is_prepared_once_it_names_no_component_that_is_not(served: Served) -> None:
    insight = storm_thrift().WorkerInsight
    for uptime_secs, told in ((None, None), (0, insight(opening_components=["split"])), (1, insight()), (1, None)):
        beat = heartbeat(worker_id="w1", port=6700, uptime_secs=uptime_secs, insight=told)
        served.service.sendSupervisorWorkerHeartbeat(beat)
    assert [beat.is_prepared for beat in served.core.beats] == [False, False, True, True]


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


def test_logs_are_searched_by_what_the_log_viewer_has_for_that(served: Served, tmp_path: Path) -> None:
    asked: list[Any] = []

    def search(*arguments: Any) -> FoundRecords:
        asked.append(arguments)
        with pytest.raises(StormError, match="another search goes on"):
            served.service.searchWorkerLogs("words-1-1", "x", 1)
        return FoundRecords([FoundRecord(6700, "worker.log", 4, "2026-01-31T23:59:59.123", "a line")], is_cut=True)

    with pytest.raises(NotServedError):
        served.service.searchWorkerLogs("words-1-1", "line", 5)
    served.core.log_viewer = LogViewer(8000, lambda log_dir: (), search)
    for _ in range(2):
        found = served.service.searchWorkerLogs("words-1-1", "line", 5)
        [one] = found.records
        assert (one.port, one.file, one.offset, one.text, found.is_cut) == (6700, "worker.log", 4, "a line", True)
    assert asked == [(tmp_path, "words-1-1", "line", 5)] * 2


@pytest.mark.parametrize(
    ("topology_id", "text", "count"),
    [("../x", "x", 1), ("words-1-1", "", 1), ("words-1-1", "é" * 513, 1), ("words-1-1", "x", 0), ("w", "x", 1_001)],
)
def test_what_may_not_be_searched_for_is_refused(served: Served, topology_id: str, text: str, count: int) -> None:
    served.core.log_viewer = LogViewer(8000, lambda log_dir: (), lambda *_: FoundRecords(()))
    with pytest.raises(NotAuthorizedError):
        served.service.searchWorkerLogs(topology_id, text, count)


def test_it_tells_of_its_host(served: Served) -> None:
    report = served.service.getHostReport(["elsewhere"])
    assert (report.host, report.python, list(report.resolutions)) == ("h", "3.11.2", ["elsewhere"])


@pytest.mark.parametrize(("topology_id", "port"), [("words-1-1", 6799), ("other-1-1", 6700), ("words-1-1", 6701)])
def test_only_workers_that_run_here_are_looked_at(served: Served, topology_id: str, port: int) -> None:
    with pytest.raises(TopologyNotAliveError):
        served.service.getWorkerStacks(topology_id, port)
    with pytest.raises(TopologyNotAliveError):
        served.service.profileWorker(topology_id, port, 1, "raw")
    with pytest.raises(TopologyNotAliveError):
        served.service.getWorkerHeap(topology_id, port)
    with pytest.raises(TopologyNotAliveError):
        served.service.startProfile(topology_id, port, 1)
    with pytest.raises(TopologyNotAliveError):
        served.service.restartWorker(topology_id, port)


def test_a_worker_that_cannot_tell_its_stacks_is_not_sent_a_signal_that_would_end_it(served: Served) -> None:
    """This process has no handler for it."""
    with pytest.raises(StormError, match="does not tell its stacks"):
        served.service.getWorkerStacks("words-1-1", 6700)


PICTURE = b'<svg><text id="title" x="1">py-spy record --pid 1</text><text>py-spy</text></svg>'


class ProfilerStandIn:
    """Tells the same of every worker."""

    def stacks(self, worker_id: str, pid: int) -> str:
        return "Thread 1"

    def heap(self, worker_id: str, pid: int) -> str:
        return "1 object"

    def profile(self, worker_id: str, pid: int, secs: int, form: str, keep: Any) -> bytes:
        keep(PICTURE)
        return PICTURE

    def start(self, worker_id: str, pid: int, secs: int, keep: Any) -> None:
        self.keep = keep

    def dump(self, worker_id: str) -> str:
        return str(self.keep(PICTURE))

    stop = dump


def test_what_workers_were_asked_for_is_kept_and_can_be_read(tmp_path: Path) -> None:
    service = Served(tmp_path, ProfilerStandIn()).service
    service.getWorkerStacks("words-1-1", 6700)
    service.getWorkerHeap("words-1-1", 6700)
    assert b"words-1-1, port 6700" in service.profileWorker("words-1-1", 6700, 1, "flamegraph")
    service.startProfile("words-1-1", 6700, 60)
    names = [service.dumpProfile("words-1-1", 6700), service.stopProfile("words-1-1", 6700)]
    part = service.readWorkerDump("words-1-1", 6700, names[0], 0, 100)
    assert part.data == b'<svg><text id="title" x="1">words-1-1, port 6700</text><text>py-spy</text></svg>'
    kept = sorted(path.name.partition("-")[0] for path in log_path(tmp_path, "words-1-1", 6700).parent.iterdir())
    assert kept[:2] == [HEAP, PROFILE]
    assert kept[-1] == STACKS


@pytest.mark.parametrize(
    "name",
    ["worker.log", "../6701/worker.log", "profile-20260131T235959123Z.svg/../x", "/etc/passwd", "", "profile-.svg",
     "worker.log.6", "worker.log.1\n", "worker.log.", "worker_log.1", "worker.log.1/../../6701/worker.log",
     "profile-20260131T235959123Z.svg\n", "PROFILE-20260131T235959123Z.svg", "heap-20260131T235959123Z.exe"],
)  # fmt: skip
def test_no_other_file_is_read_as_a_dump(served: Served, tmp_path: Path, name: str) -> None:
    log_path(tmp_path, "words-1-1", 6700).parent.mkdir(parents=True)
    log_path(tmp_path, "words-1-1", 6700).write_bytes(b"x")
    with pytest.raises(NotAuthorizedError):
        served.service.readWorkerDump("words-1-1", 6700, name, 0, 10)


def test_a_log_that_was_put_aside_is_read_in_parts(served: Served, tmp_path: Path) -> None:
    with pytest.raises(TopologyNotAliveError, match=r"there is no worker\.log\.5"):
        served.service.readWorkerDump("words-1-1", 6700, "worker.log.5", 0, 10)
    path = log_path(tmp_path, "words-1-1", 6700, "worker.log.5")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"before")
    part = served.service.readWorkerDump("words-1-1", 6700, "worker.log.5", -3, 2)
    assert (part.data, part.offset, part.size) == (b"or", 3, 6)


def test_a_dump_that_is_a_link_out_of_the_logs_is_not_read(served: Served, tmp_path: Path) -> None:
    name = keep_dump(tmp_path / "logs", ("words-1-1", 6700), HEAP, "txt", b"secret")
    directory = log_path(tmp_path / "other", "words-1-1", 6700).parent
    directory.mkdir(parents=True)
    (directory / name).symlink_to(log_path(tmp_path / "logs", "words-1-1", 6700, name))
    service = Served(tmp_path / "other").service
    with pytest.raises(NotAuthorizedError):
        service.readWorkerDump("words-1-1", 6700, name, 0, 10)


def test_what_cannot_be_kept_is_told_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "words-1-1").write_text("in the way of the directory")
    service = Served(tmp_path, ProfilerStandIn()).service
    assert service.getWorkerStacks("words-1-1", 6700) == "Thread 1"
    assert "cannot be written" in caplog.text
    service.startProfile("words-1-1", 6700, 60)
    with pytest.raises(StormError, match="cannot be written"):
        service.stopProfile("words-1-1", 6700)


def test_a_worker_is_started_again_unless_it_starts_or_ends_anyway(served: Served) -> None:
    served.service.restartWorker("words-1-1", 6700)
    assert (served.core.restarted, served.wakes) == (["w1"], ["slots"])
    served.core.may_restart = False
    with pytest.raises(InvalidTransitionError, match="wait until it runs"):
        served.service.restartWorker("words-1-1", 6700)
