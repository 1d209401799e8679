"""The Nimbus daemon: builds its parts, runs its one owner thread, and serves Thrift beside it."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import storm
from storm.blobstore.local_fs import LocalFsBlobStore
from storm.clock import SystemClock, cpu_time_of
from storm.cluster.leader_election import LeaderElection
from storm.cluster.records import NimbusInfo
from storm.cluster.storage import ConnectionState
from storm.cluster.storm_cluster_state import StormClusterState
from storm.cluster.zookeeper import CALL_TIMEOUT_SECS, connect_by_settings
from storm.errors import AlreadyRunningError, CoordinationError, NoPermissionError, StormError
from storm.exposition.call_times import CallTimes
from storm.exposition.daemon_pages import DaemonPages, serve
from storm.file_lock import lock_file, owner
from storm.hosts.report import name_problem
from storm.log_repeats import is_logged
from storm.metrics.families import NIMBUS
from storm.metrics.series import Series
from storm.nimbus import measures
from storm.nimbus.blob_fetcher import PeerBlobFetcher
from storm.nimbus.core import NimbusCore
from storm.nimbus.file_transfers import Downloads, Uploads
from storm.nimbus.hang_watch import end_process, watch
from storm.nimbus.inbox import Inbox
from storm.nimbus.options import NimbusOptions
from storm.nimbus.service import NimbusService
from storm.thrift.connection import NIMBUS_LIMITS
from storm.thrift.server import ThriftServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from storm.blobstore.blob_store import BlobStore
    from storm.clock import Clock
    from storm.cluster.zookeeper import ZooKeeperStorage
    from storm.config.settings import Settings

log = logging.getLogger(__name__)

EXIT_OK, EXIT_REFUSED, EXIT_INTERNAL_ERROR = 0, 1, 20
RETRY_SECS_MAX = 10.0  # between steps while ZooKeeper does not answer; a connection that returns wakes earlier


class Nimbus:
    """The owner of a NimbusCore: runs requests and steps, in one thread, until it is stopped."""

    def __init__(self, core: NimbusCore, service: NimbusService, inbox: Inbox) -> None:
        self.core = core
        self.service = service
        self._inbox = inbox
        self._clock = core.clock
        self._failures = 0
        self._failed_steps = 0
        self._done_at = core.clock.now()
        self._last_error = ""
        self.zookeeper = CallTimes()

    def run(self, is_served: Callable[[], bool] = lambda: True) -> None:
        """Until `stop`. An unexpected exception ends it: a new process then starts from what is stored.

        So does `is_served` when it answers False: nobody could reach this Nimbus any more. Raises NoPermissionError if
        ZooKeeper refuses who this Nimbus is: then another may do better, and somebody has to see to it.
        """
        next_step_at = self._clock.now()
        try:
            while not self._inbox.closed:
                if self._inbox.run_next(next_step_at - self._clock.now()):
                    next_step_at = self._clock.now() + self._step()
                    if not is_served():
                        raise RuntimeError("the Thrift server has ended")
        finally:
            self._inbox.close()
            self.core.abandon()
            self._inbox.cancel_waiting()
            with contextlib.suppress(CoordinationError):
                self.core.election.leave()

    def stop(self) -> None:
        """End `run` soon; may be called from any thread and from a signal handler."""
        self._inbox.close()

    def connection_changed(self, state: ConnectionState) -> None:
        """With ZooKeeper. Any thread may call it."""
        if state is ConnectionState.LOST:
            self.zookeeper.session_lost()

    def problem(self) -> str:
        """What keeps it from its work, as a sentence; empty: nothing. Any thread may call it."""
        age_secs = self._clock.now() - self._done_at
        return measures.problem(self._last_error, age_secs, self.core.options.monitor_freq_secs)

    def series(self) -> Iterator[Series]:
        """What it shows to Prometheus. Any thread may call it."""
        core = self.core
        info = {"host": core.options.advertised_host, "version": storm.__version__}
        yield Series("storm_nimbus_info", info, 1)
        yield Series("storm_nimbus_leader", {}, int(core.leads))
        yield Series("storm_nimbus_failed_steps_total", {}, self._failed_steps)
        yield Series("storm_nimbus_step_age_seconds", {}, self._clock.now() - self._done_at)
        yield from measures.cluster_series(core.snapshot, len(core.silent))
        yield from self.zookeeper.series()

    def _step(self) -> float:
        """Seconds until the next one."""
        self.service.forget_old_transfers()
        try:
            wait_secs = self.core.step()
        except NoPermissionError:
            raise
        except StormError as error:
            self._failures += 1
            self._failed_steps += 1
            self._last_error = str(error)
            wait_secs = min(0.5 * 2.0 ** min(self._failures, 10), RETRY_SECS_MAX)
            if is_logged(self._failures):
                log.warning("Nimbus cannot go on (%d times now) and tries again: %s", self._failures, error)
            return wait_secs
        if self._failures:
            log.info("Nimbus goes on after %d failures.", self._failures)
            self._failures = 0
        self._last_error = self.core.replication.trouble
        self._done_at = self._clock.now()
        return wait_secs


def build_nimbus(
    options: NimbusOptions,
    *,
    clock: Clock,
    cluster_state: StormClusterState,
    blob_store: BlobStore,
    election: LeaderElection,
    rng: random.Random,
) -> Nimbus:
    """A Nimbus of these parts; who made `election` has it call `nimbus.core.wake`.

    `rng` names uploads and downloads: in production one that nobody can guess.
    """
    inbox = Inbox(options.queue_max, waits_max=max(1, options.threads // 4))
    core = NimbusCore(
        options,
        clock=clock,
        cluster_state=cluster_state,
        blob_store=blob_store,
        election=election,
        wake=inbox.wake,
    )
    expiry_secs = options.file_copy_expiration_secs
    inbox_dir = options.local_dir / "nimbus" / "inbox"
    core.replication.fetcher = PeerBlobFetcher(blob_store, inbox.wake)
    downloads = Downloads(blob_store, expiry_secs, clock=clock, rng=rng)
    downloads.on_corrupt = lambda key: inbox.post(lambda: core.distrust(key))
    service = NimbusService(
        core,
        inbox,
        uploads=Uploads(inbox_dir, options.upload_max_bytes, expiry_secs, clock=clock, rng=rng),
        downloads=downloads,
        blob_store=blob_store,
    )
    return Nimbus(core, service, inbox)


def run(settings: Settings) -> int:
    """Run Nimbus in the foreground until SIGTERM or SIGINT; the process's exit code.

    0 after an orderly end; 1 if it cannot start, or ZooKeeper refuses it (the log says why); 20 after an internal
    error.
    """
    options = NimbusOptions.from_settings(settings)
    try:
        with sole_nimbus(options.local_dir / "nimbus"):
            return _run_connected(settings, options)
    except StormError as error:
        log.error("%s", error)
        return EXIT_REFUSED
    except OSError as error:
        log.error("Nimbus cannot use %s (storm.local.dir): %s.", options.local_dir, error.strerror or error)
        return EXIT_REFUSED


@contextlib.contextmanager
def sole_nimbus(directory: Path) -> Iterator[None]:
    """Hold the lock of this directory. Raises AlreadyRunningError that names who has it."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "nimbus.pid"
    lock = lock_file(path)
    if lock is None:
        raise AlreadyRunningError(f"A Nimbus is already running in {directory}, pid {owner(path)}.")
    try:
        yield
    finally:
        os.close(lock)


def _run_connected(settings: Settings, options: NimbusOptions) -> int:
    stopping = Stopping()
    if (problem := name_problem(options.advertised_host, "Nimbus")) is not None:
        log.warning("%s", problem)
    servers = ", ".join(settings.zookeeper_servers)
    log.info("Nimbus %s starts; it looks for ZooKeeper at %s.", storm.__version__, servers)
    try:
        storage = connect_by_settings(settings, stopped=lambda: stopping.asked)
    except CoordinationError as error:
        if stopping.asked:
            return EXIT_OK
        log.error("%s", error)
        return EXIT_REFUSED
    try:
        return _serve(options, storage, stopping)
    except StormError as error:
        log.error("%s", error)
        return EXIT_REFUSED
    except Exception:
        log.exception("Nimbus ends after an internal error; start it again, and please report this.")
        return EXIT_INTERNAL_ERROR
    finally:
        storage.close()


class Relay:
    """Calls what is made later than itself."""

    def __init__(self) -> None:
        self.to: Callable[[], None] | None = None

    def __call__(self) -> None:
        if self.to is not None:
            self.to()


class Stopping:
    """Whether SIGTERM or SIGINT came; `tell` is called when one does."""

    def __init__(self) -> None:
        self.asked = False
        self.tell = Relay()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._received)

    def _received(self, *_: Any) -> None:
        self.asked = True
        self.tell()


def _serve(options: NimbusOptions, storage: ZooKeeperStorage, stopping: Stopping) -> int:
    clock = SystemClock()
    info = NimbusInfo(options.advertised_host, options.port, clock.wall_secs(), storm.__version__)
    relay, rng = Relay(), random.SystemRandom()
    election = LeaderElection(storage, info, rng, relay)
    cluster_state = StormClusterState(storage, election.fence)
    nimbus = build_nimbus(
        options,
        clock=clock,
        cluster_state=cluster_state,
        blob_store=LocalFsBlobStore(options.blobstore_dir),
        election=election,
        rng=rng,
    )
    relay.to = nimbus.core.wake
    storage.watch_calls(nimbus.zookeeper.note)
    storage.add_listener(nimbus.connection_changed)
    facts = {"daemon": "nimbus", "host": options.advertised_host, "stormVersion": storm.__version__}
    pages = DaemonPages(NIMBUS, nimbus.series, nimbus.problem, facts)
    limits = replace(NIMBUS_LIMITS, frame_max_bytes=options.frame_max_bytes, threads=options.threads)
    server = ThriftServer(
        "Nimbus", nimbus.service, host=options.bind_host, port=options.port, limits=limits, clock=clock
    )
    server.start()
    log.info("Nimbus listens on %s:%d; its files are in %s.", options.bind_host, server.port, options.local_dir)
    shown = serve(options.metrics_place, pages, clock)
    stopping.tell.to = nimbus.stop
    if stopping.asked:
        nimbus.stop()
    if options.stuck_secs:
        idle_secs = max(options.monitor_freq_secs, RETRY_SECS_MAX) + CALL_TIMEOUT_SECS
        end = partial(end_process, options.stuck_secs, EXIT_INTERNAL_ERROR)
        watch(cpu_time_of(threading.current_thread()), options.stuck_secs + idle_secs, end)
    try:
        nimbus.core.wake()
        nimbus.run(lambda: server.running)
    finally:
        server.stop()
        if shown is not None:
            shown.stop()
    log.info("Nimbus has stopped.")
    return EXIT_OK
