"""The Thrift service Supervisor: decode, ask the core, encode."""

from __future__ import annotations

import logging
import re
import threading
from html import escape
from typing import TYPE_CHECKING, Any

from storm.errors import InvalidTransitionError, NotAuthorizedError, NotServedError, StormError, TopologyNotAliveError
from storm.host_paths import EVENT_LOG
from storm.log_names import is_put_aside
from storm.supervisor import worker_logs
from storm.supervisor.worker_beats import WorkerBeat
from storm.thrift.convert import assignment_to_thrift
from storm.thrift.host_convert import host_report_to_thrift
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from storm.hosts.facts import HostReport
    from storm.supervisor.core import SupervisorCore
    from storm.supervisor.profiling import Profiler
    from storm.supervisor.slot_runner import WorkerHandle


log = logging.getLogger(__name__)

ENDING_OF = {"flamegraph": "svg", "speedscope": "json", "raw": "txt"}
TEXT_BYTES_MAX = 1_024  # that is searched for; the log viewer's limit, too
RECORDS_MAX = 1_000  # of one search
_TITLE = re.compile(rb'(<text id="title"[^>]*>)[^<]*')  # of a flame graph: py-spy writes its command there


class SupervisorService:
    """Handler of `storm.thrift`'s Supervisor; its methods run in the server's threads.

    `wake_coordination` is called when Nimbus has news, `worker_started` on a worker's first beat; they only wake.
    `report` looks at this host, and at how it resolves the names that it is given; `profiler` at its workers.
    """

    def __init__(
        self,
        core: SupervisorCore,
        artifacts_dir: Path,
        wake_coordination: Callable[[], None],
        worker_started: Callable[[], None],
        report: Callable[[Sequence[str]], HostReport],
        profiler: Profiler,
    ) -> None:
        self._core = core
        self._artifacts_dir = artifacts_dir
        self._wake_coordination = wake_coordination
        self._wake_slots = worker_started
        self._report = report
        self._profiler = profiler
        self._searching = threading.Lock()

    def sendSupervisorAssignments(self, assignments: Any) -> None:
        """Nimbus has news. What it says is not used: the assignments are read where they are kept."""
        self._core.wake()
        self._wake_coordination()

    def getLocalAssignmentForStorm(self, id: str) -> Any:
        """The topology's Assignment. Raises TopologyNotAliveError if none of it runs here."""
        assignment = self._core.assignment(id)
        if assignment is None:
            raise TopologyNotAliveError(f"topology {id} is not assigned to this supervisor")
        return assignment_to_thrift(assignment)

    def sendSupervisorWorkerHeartbeat(self, heartbeat: Any) -> None:
        """A worker lives. Raises NotAuthorizedError if its port belongs to another one now: then it must end."""
        if heartbeat.worker_id is None or heartbeat.port is None:
            raise NotAuthorizedError("a heartbeat must name worker_id and port of a worker of this supervisor")
        is_up, insight = heartbeat.uptime_secs is not None, heartbeat.insight
        beat = WorkerBeat(
            worker_id=heartbeat.worker_id,
            topology_id=heartbeat.storm_id,
            port=heartbeat.port,
            message=heartbeat,
            stats=heartbeat.executor_stats,
            metrics=heartbeat.metrics,
            is_up=is_up,
            is_prepared=is_up and not (insight is not None and insight.opening_components),
        )
        if self._core.receive_beat(beat):
            self._wake_slots()

    def readWorkerLog(self, id: str, host: str, port: int, offset: int, length: int) -> Any:
        """Part of a worker's log. `host` is whom the caller believes it asks; all logs here are this machine's."""
        return self._part(worker_logs.read_part(self._artifacts_dir, id, port, offset, length))

    def readWorkerEvents(self, id: str, host: str, port: int, offset: int, length: int) -> Any:
        """Part of the samples of tuples that a worker has written."""
        return self._part(worker_logs.read_part(self._artifacts_dir, id, port, offset, length, EVENT_LOG))

    def searchWorkerLogs(self, id: str, text: str, records: int) -> Any:
        """The newest records with a text, of all workers of a topology here. One search at a time: it takes a core."""
        worker_logs.log_path(self._artifacts_dir, id, 1)
        if not 0 < len(text.encode(errors="replace")) <= TEXT_BYTES_MAX or not 0 < records <= RECORDS_MAX:
            raise NotAuthorizedError(f"a search is for 1 to {TEXT_BYTES_MAX} bytes, and up to {RECORDS_MAX} records")
        if self._core.log_viewer is None:
            raise NotServedError("this supervisor was started without what searches logs")
        if not self._searching.acquire(blocking=False):
            raise StormError("another search goes on at this supervisor: ask again in a moment")
        try:
            found = self._core.log_viewer.search(self._artifacts_dir, id, text, records)
        finally:
            self._searching.release()
        t = storm_thrift()
        return t.FoundRecords(records=[t.FoundRecord(**one._asdict()) for one in found.records], is_cut=found.is_cut)

    def _part(self, part: worker_logs.LogPart) -> Any:
        return storm_thrift().LogPart(data=part.data, offset=part.offset, size=part.size)

    def getHostReport(self, names: list[str]) -> Any:
        """Of this host."""
        return host_report_to_thrift(self._report(names))

    def getWorkerStacks(self, id: str, port: int) -> str:
        """Of all threads of a worker. As all that is asked of a worker, it is kept beside the worker's log too."""
        worker = self._worker(id, port)
        found = self._profiler.stacks(worker.worker_id, worker.pid)
        self._keep_too(worker, worker_logs.STACKS, "txt", found.encode())
        return found

    def getWorkerHeap(self, id: str, port: int) -> str:
        """What is on a worker's heap, by type."""
        worker = self._worker(id, port)
        found = self._profiler.heap(worker.worker_id, worker.pid)
        self._keep_too(worker, worker_logs.HEAP, "txt", found.encode())
        return found

    def profileWorker(self, id: str, port: int, secs: int, format: str) -> bytes:
        """Where a worker's time goes; it answers after `secs` seconds, or once somebody stops it."""
        worker = self._worker(id, port)

        def keep(data: bytes) -> str:
            return self._keep(worker, worker_logs.PROFILE, ENDING_OF[format], _titled(data, worker))

        return _titled(self._profiler.profile(worker.worker_id, worker.pid, secs, format, keep), worker)

    def startProfile(self, id: str, port: int, secs: int) -> None:
        """Begin to record where a worker's time goes, for `secs` seconds at most."""
        worker = self._worker(id, port)

        def keep(data: bytes) -> str:
            return self._keep(worker, worker_logs.PROFILE, "svg", _titled(data, worker))

        self._profiler.start(worker.worker_id, worker.pid, secs, keep)

    def dumpProfile(self, id: str, port: int) -> str:
        """The name of a flame graph of what was recorded since the last; the recording goes on."""
        return self._profiler.dump(self._worker(id, port).worker_id)

    def stopProfile(self, id: str, port: int) -> str:
        """End what is recorded, or profiled for a caller who waits; the name of its last picture."""
        return self._profiler.stop(self._worker(id, port).worker_id)

    def readWorkerDump(self, id: str, port: int, name: str, offset: int, length: int) -> Any:
        """Part of what was kept beside a worker's log: a dump, or a log that was put aside."""
        if not worker_logs.is_dump(name) and not is_put_aside(name):
            raise NotAuthorizedError(f"{name[:200]!r} is no dump, and no log that was put aside")
        return self._part(worker_logs.read_part(self._artifacts_dir, id, port, offset, length, name))

    def restartWorker(self, id: str, port: int) -> None:
        """Have a worker end in order and started again. Raises InvalidTransitionError while it is not running."""
        if not self._core.slots.ask_restart(self._worker(id, port)):
            raise InvalidTransitionError(f"the worker of {id} on port {port} is starting or ending: wait until it runs")
        log.info("port %d: somebody asked for a restart of %s", port, id)
        self._wake_slots()

    def _keep(self, worker: WorkerHandle, kind: str, ending: str, data: bytes) -> str:
        place = worker.assignment.topology_id, worker.port
        return worker_logs.keep_dump(self._artifacts_dir, place, kind, ending, data)

    def _keep_too(self, worker: WorkerHandle, kind: str, ending: str, data: bytes) -> None:
        """Its caller has it anyway."""
        try:
            self._keep(worker, kind, ending, data)
        except StormError as error:
            log.warning("%s", error)

    def _worker(self, topology_id: str, port: int) -> WorkerHandle:
        worker = self._core.slots.running().get(port)
        if worker is None or worker.assignment.topology_id != topology_id or not worker.pid:
            raise TopologyNotAliveError(f"no worker of {topology_id} runs on port {port} here")
        return worker


def _titled(flame_graph: bytes, worker: WorkerHandle) -> bytes:
    """Anything else than a flame graph stays as it is."""
    text = escape(f"{worker.assignment.topology_id}, port {worker.port}").encode()
    return _TITLE.sub(lambda found: found[1] + text, flame_graph, count=1)
