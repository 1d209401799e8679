"""The supervisor daemon: the threads, sockets and signals around `core.SupervisorCore`.

    main thread     slots: sleeps until a worker dies (its pidfd), somebody wakes it, or a slot is due
    coordination    ZooKeeper: registers, reads assignments when woken by a watch or a period, writes failures
    heartbeats      gives the workers' beats to Nimbus
    logs            keeps the logs of running workers below their size
    health          runs the host's health scripts, where there are some
    exposition      shows /health and /metrics
    localizer       fetch code, or blobs; environments build and remove them; thrift-* serve workers and Nimbus

The daemon may die at any line: its workers run on, and the next one adopts them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import storm
from storm.clock import Clock, SystemClock
from storm.cluster.storage import ConnectionState
from storm.cluster.storm_cluster_state import StormClusterState
from storm.cluster.zookeeper import ZooKeeperStorage, connect_by_settings
from storm.errors import AlreadyRunningError, CoordinationError, NoPermissionError, StormError
from storm.exposition.daemon_pages import DaemonPages, serve
from storm.hosts.health import illness, run_scripts
from storm.hosts.report import host_report, name_problem
from storm.metrics.families import SUPERVISOR
from storm.supervisor.capacity import capacity
from storm.supervisor.core import Shell, SupervisorCore
from storm.supervisor.environment_store import EnvironmentStore
from storm.supervisor.environments import EnvironmentLimits
from storm.supervisor.home import home_fingerprint, lock_directory, machine_fingerprint, node_id
from storm.supervisor.inflow import Inflow
from storm.supervisor.linked_blobs import BlobsShell, LinkedBlobs
from storm.supervisor.local_state import LocalState
from storm.supervisor.localizer import Localizer
from storm.supervisor.measures import SupervisorMeasures
from storm.supervisor.nimbus_link import HeartbeatForwarder, blob_sources, code_lookup, make_client
from storm.supervisor.options import SupervisorOptions
from storm.supervisor.prepared_code import PreparedCode
from storm.supervisor.profiling import Profiler
from storm.supervisor.service import SupervisorService
from storm.supervisor.wakeup import Wakeup
from storm.supervisor.worker_launch import launched_with, worker_command
from storm.supervisor.worker_logs import LogCap
from storm.supervisor.worker_process import Surroundings, WorkerProcesses
from storm.thrift.connection import ServerLimits
from storm.thrift.server import ThriftServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from storm.cluster.records import BlobReplica, KnownTopology
    from storm.config.settings import Settings
    from storm.hosts.facts import HostReport
    from storm.hosts.health import Stuck
    from storm.ids import TopologyId
    from storm.supervisor.log_viewer import LogViewer
    from storm.supervisor.worker_process import CommandBuilder

log = logging.getLogger(__name__)

CONNECT_WAIT_SECS = 5.0  # without ZooKeeper for so long, a starting supervisor does what it last knew
LOGS_EVERY_SECS = 1.0
HEALTH_EVERY_SECS = 30.0  # Storm's
INTERNAL_ERROR = 20


def run(settings: Settings, command: CommandBuilder = worker_command, log_viewer: LogViewer | None = None) -> int:
    """Run this machine's supervisor until SIGTERM or SIGINT; the exit code: 0 in order, 20 internal error.

    `command` makes a worker's command of its launch record and the path of its launch file, which must be in it.
    `log_viewer` is that beside it. Its workers run on. Raises AlreadyRunningError (of this directory, or of this
    supervisor's id), NoPermissionError, ConfigError, StormError if the disk refuses.
    """
    options = SupervisorOptions.from_settings(settings)
    with _owned(options) as lock:
        try:
            named = replace(
                options,
                node_id=node_id(options.supervisor_dir, options.workers_dir, lambda: str(uuid.uuid4())),
                version=storm.__version__,
                home=home_fingerprint(lock),
                machine=machine_fingerprint(),
                incarnation=str(uuid.uuid4()),
                python=f"{sys.version_info[0]}.{sys.version_info[1]}",
                architecture=os.uname().machine,
                resources=tuple(_offered(settings).items()),
            )
            daemon = SupervisorDaemon(named, settings, SystemClock(), command, log_viewer)
        except OSError as error:
            raise _unusable(options, error) from error
        return daemon.run()


def kill_all_workers(settings: Settings) -> int:
    """End every worker that a supervisor with these settings left; how many. Raises AlreadyRunningError if it runs."""
    options = SupervisorOptions.from_settings(settings)
    clock = SystemClock()
    with _owned(options):
        workers = WorkerProcesses(options, {}, lambda: str(uuid.uuid4()))
        alive = found = workers.adopt()
        for worker in found:
            workers.kill(worker, force=False)
        until = clock.now() + options.limits.kill_grace_secs
        is_forced = False
        while alive:
            workers.wait(max(0.0, until - clock.now()))
            alive = [worker for worker in alive if workers.look(worker).exit_text is None]
            if clock.now() >= until:
                if is_forced and alive:
                    log.error("processes %s do not die", [worker.pid for worker in alive])
                    break
                for worker in alive:
                    workers.kill(worker, force=True)
                is_forced = True
                until = clock.now() + options.limits.kill_repeat_secs
        for worker in found:
            workers.forget(worker)
        workers.close()
    return len(found) - len(alive)


class SupervisorDaemon:
    """One run of the daemon; `run` returns when `stop` was called or a part of it failed."""

    def __init__(
        self,
        options: SupervisorOptions,
        settings: Settings,
        clock: Clock,
        command: CommandBuilder = worker_command,
        log_viewer: LogViewer | None = None,
    ) -> None:
        self._options = options
        self._settings = settings
        self._clock = clock
        self._stopping = threading.Event()
        self._failed = False
        self._refused: AlreadyRunningError | NoPermissionError | None = None
        self._coordination_due = threading.Event()
        self._beats_due = threading.Event()
        self._stuck_scripts: Stuck = {}
        self._wakeup = Wakeup()
        seeds, port = settings["nimbus.seeds"], settings["nimbus.thrift.port"]
        wake = self._wakeup.wake
        inflow = Inflow(clock, wake)
        sources = inflow.watched(blob_sources(seeds, port, clock, self._replicas))
        self._environments = EnvironmentStore(
            options.supervisor_dir,
            clock,
            wake,
            EnvironmentLimits(keep_secs=options.environment_keep_secs),
            build_timeout_secs=options.environment_build_secs,
        )
        self._localizer = Localizer(
            options.supervisor_dir, sources, wake, self._environments.make_room, options.download_threads
        )
        self._profiler = Profiler(options.workers_dir, clock)
        code = PreparedCode(self._localizer, self._environments, options.python)
        shell_of_blobs = BlobsShell(self._localizer.run, wake, self._woken, inflow.is_steady)
        self._blobs = LinkedBlobs(options, code, clock, shell_of_blobs)
        self._workers = WorkerProcesses(
            options,
            _for_workers(options, settings),
            lambda: str(uuid.uuid4()),
            command,
            Surroundings(code.python, self._blobs.link, self._other_children, self._deaths_of, self._known_of),
            self._wakeup,
        )
        local_state = LocalState(options.supervisor_dir / "localstate" / "state.json")
        shell = Shell(
            wake,
            self._coordination_due.set,
            self._woken,
            code_lookup(make_client(seeds, port, clock), self._replicas),
            log_viewer,
            self._profiler.recordings,
        )
        self._core = SupervisorCore(
            options, clock=clock, blobs=self._blobs, workers=self._workers, local_state=local_state, shell=shell
        )
        self._forwarder = HeartbeatForwarder(options.node_id, self._core.beats, make_client(seeds, port, clock))
        self._measures = SupervisorMeasures(self._core, self._forwarder, options, clock)

    def stop(self) -> None:
        """Let `run` return; any thread and a signal handler may call it."""
        self._stopping.set()
        self._coordination_due.set()
        self._beats_due.set()
        self._wakeup.wake()

    def run(self) -> int:
        """Serve until `stop`; the exit code.

        Raises AlreadyRunningError if another supervisor with this id lives, NoPermissionError if ZooKeeper refuses
        this one.
        """
        options = self._options
        # Adoption comes first: a worker whose beat finds a supervisor that does not know it ends itself.
        adopted = self._core.adopt()
        self._profiler.end_remains()
        if (problem := name_problem(options.host, "supervisor")) is not None:
            log.warning("%s", problem)
        server = self._serve()
        self._core.thrift_port = self._workers.supervisor_port = server.port
        log.info(
            "supervisor %s listens on %s:%d, slots %s, %d workers adopted, local directory %s",
            options.node_id, options.bind_host, server.port, list(options.slot_ports), len(adopted), options.local_dir,
        )  # fmt: skip
        threads = [
            self._thread("coordination", self._coordinate),
            self._thread("heartbeats", lambda: self._forward_beats(server)),
            self._thread("logs", self._hold_logs),
        ]
        if options.health_dir is not None:
            threads.append(self._thread("health", self._look_after_health))
        shown = serve(options.metrics_place, self._pages(), self._clock)
        try:
            with self._signals():
                self._run_slots()
        finally:
            self.stop()
            self._profiler.close()
            server.stop()
            if shown is not None:
                shown.stop()
            for thread in threads:
                thread.join(CONNECT_WAIT_SECS)
            self._localizer.close()
            self._environments.close()
            self._workers.close()
        if self._refused is not None:
            raise self._refused
        log.info("supervisor %s has stopped; its workers run on", options.node_id)
        return INTERNAL_ERROR if self._failed else 0

    def _run_slots(self) -> None:
        while not self._stopping.is_set():
            looks = (self._core.run_slots(), self._blobs.tend(self._core.slots.running().values()))
            due = min((look for look in looks if look is not None), default=None)
            self._workers.wait(None if due is None else max(0.0, due - self._clock.now()))

    def _look_after_health(self) -> None:
        while not self._stopping.wait(HEALTH_EVERY_SECS):
            self._check_health()
            self._coordination_due.set()

    def _check_health(self) -> None:
        options = self._options
        if options.health_dir is not None:
            results = run_scripts(options.health_dir, options.health_timeout_secs, self._stuck_scripts)
            self._core.judge(illness(results, options.health_fails_on_timeouts))

    def _coordinate(self) -> None:
        self._check_health()  # before anything is promised
        storage = self._connect()
        if storage is None:
            return
        try:
            storage.add_listener(self._connection_changed)
            storage.add_listener(self._measures.connection_changed)
            storage.watch_calls(self._measures.zookeeper.note)
            cluster_state = StormClusterState(storage)
            with contextlib.suppress(CoordinationError):
                cluster_state.prepare()
            self._core.attach(cluster_state)
            while not self._stopping.is_set():
                self._coordination_due.clear()
                due = self._core.coordinate()
                self._coordination_due.wait(max(0.0, due - self._clock.now()))
        finally:
            storage.close()

    def _connect(self) -> ZooKeeperStorage | None:
        """A session with ZooKeeper, however long it takes; None if `stop` was called first.

        Raises NoPermissionError.
        """
        while not self._stopping.is_set():
            try:
                return connect_by_settings(self._settings, wait_secs=CONNECT_WAIT_SECS, stopped=self._stopping.is_set)
            except NoPermissionError:
                raise
            except CoordinationError as error:
                if not self._stopping.is_set():
                    self._core.use_remembered(error)
        return None

    def _forward_beats(self, server: ThriftServer) -> None:
        while not self._stopping.is_set():
            self._beats_due.wait(self._options.worker_heartbeat_secs)
            self._beats_due.clear()
            if not server.running and not self._stopping.is_set():
                raise RuntimeError("the Thrift server has ended: no worker can be heard")
            self._forwarder.forward()
        self._forwarder.close()

    def _hold_logs(self) -> None:
        cap = LogCap(self._options.artifacts_dir, self._options.worker_log_max_bytes)
        while not self._stopping.wait(LOGS_EVERY_SECS):
            workers = self._core.slots.running().values()
            cap.hold([(worker.assignment.topology_id, worker.port) for worker in workers])

    def _serve(self) -> ThriftServer:
        """The Thrift port: the configured one; where any will do, the one that adopted workers beat to."""
        configured = self._options.thrift_port
        if configured == 0:
            for known in launched_with(self._options.workers_dir, "supervisor_port"):
                with contextlib.suppress(AlreadyRunningError):
                    return self._server(known)
        return self._server(configured)

    def _server(self, port: int) -> ThriftServer:
        options = self._options
        service = SupervisorService(
            self._core,
            options.artifacts_dir,
            self._coordination_due.set,
            self._worker_started,
            self._report,
            self._profiler,
        )
        limits = ServerLimits(threads=self._settings["supervisor.thrift.threads"])
        server = ThriftServer(
            "Supervisor", service, host=self._options.bind_host, port=port, limits=limits, clock=self._clock
        )
        server.start()
        return server

    def _pages(self) -> DaemonPages:
        options, measures = self._options, self._measures
        facts = {"daemon": "supervisor", "host": options.host, "stormVersion": options.version}
        return DaemonPages(SUPERVISOR, measures.series, measures.problem, facts)

    def _report(self, names: Sequence[str]) -> HostReport:
        options = self._options
        return host_report(options.host, (options.local_dir, options.log_dir), names, self._core.illness)

    def _worker_started(self) -> None:
        """A worker's first beat, or the first that it is prepared: who submitted it waits to hear so from Nimbus."""
        self._wakeup.wake()
        self._beats_due.set()

    def _replicas(self, key: str) -> list[BlobReplica]:
        return self._core.replicas(key)

    def _other_children(self) -> set[int]:
        return self._environments.children() | self._profiler.children()

    def _deaths_of(self, port: int) -> int:
        slot = self._core.slots.slots().get(port)
        return 0 if slot is None else slot.worker_deaths

    def _known_of(self, topology_id: TopologyId) -> KnownTopology | None:
        return self._core.known(topology_id)

    def _woken(self) -> None:
        self._core.wake()
        self._coordination_due.set()

    def _connection_changed(self, state: ConnectionState) -> None:
        if state is ConnectionState.CONNECTED:
            self._core.reconnected()
            self._coordination_due.set()

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """A started thread whose unexpected end ends the daemon: whoever supervises it starts it afresh."""

        def guarded() -> None:
            try:
                work()
            except (AlreadyRunningError, NoPermissionError) as error:
                self._refused = error
                self.stop()
            except Exception:
                log.exception("the supervisor's %s failed: it ends, its workers run on", name)
                self._failed = True
                self.stop()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop the daemon, where it runs in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, lambda *_: self.stop()) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


@contextlib.contextmanager
def _owned(options: SupervisorOptions) -> Iterator[int]:
    """Its directory is this process's alone meanwhile; the open lock. Raises AlreadyRunningError, StormError if it is
    not usable.
    """
    try:
        lock = lock_directory(options.supervisor_dir)
    except OSError as error:
        raise _unusable(options, error) from error
    try:
        yield lock
    finally:
        os.close(lock)


def _offered(settings: Settings) -> dict[str, float]:
    return capacity(settings["supervisor.memory.capacity.mb"], settings["supervisor.cpu.capacity"])


def _unusable(options: SupervisorOptions, error: OSError) -> StormError:
    return StormError(
        f"{error.filename or options.supervisor_dir} cannot be used ({error.strerror or error}): make storm.local.dir "
        f"({options.local_dir}) a directory that this user can write, with room for code and state, and start again."
    )


def _for_workers(options: SupervisorOptions, settings: Settings) -> dict[str, object]:
    """The daemon settings that a worker must know: what was set, and where our directories are."""
    return {**settings.changed(), "storm.local.dir": str(options.local_dir), "storm.log.dir": str(options.log_dir)}
