"""The worker process: launch file, first heartbeat, ZooKeeper, then the worker, with what the supervisor's disk has of
its topology. Exit codes are those of `storm.worker.worker`.
"""

from __future__ import annotations

import gc
import logging
import platform
import queue
import random
import signal
import sys
from typing import TYPE_CHECKING

from storm import hot_path, open_files
from storm.clock import SystemClock, format_utc, wall_millis
from storm.config.addresses import joined
from storm.errors import CoordinationError, NoPermissionError, PortTakenError, StormError
from storm.worker import heap, launch, log_records, output, stacks
from storm.worker.forked_children import end_as_any_process
from storm.worker.heartbeats import ANSWER_SECS, Heartbeats
from storm.worker.options import WorkerOptions
from storm.worker.worker import (
    EXIT_INTERNAL_ERROR,
    EXIT_NOT_STARTED,
    EXIT_ORDERLY,
    EXIT_PORT_TAKEN,
    Worker,
    WorkerParts,
    build_worker,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storm.clock import Clock
    from storm.cluster.storage import Listener
    from storm.cluster.zookeeper import ZooKeeperStorage
    from storm.worker.heartbeats import Caller
    from storm.worker.insight import Insights
    from storm.worker.launch import Launch
    from storm.worker.log_records import PlacedRecords

logger = logging.getLogger(__name__)

LOOPBACK, IPV6_LOOPBACK = "127.0.0.1", "::1"
# A worker whose supervisor knows the topology begins without ZooKeeper where that has not answered by then.
ZOOKEEPER_WAIT_SECS = 0.5
# Every tuple and its list of values are objects that the collector follows: its default thresholds cost 40 % of the
# rate. The first one is above what the queues of a lane hold as they fill and empty: with a quarter of it, unacked word
# count in two workers took a third more CPU time.
GC_THRESHOLDS = (200_000, 20, 50)
# How long a busy lane may keep the interpreter from the thread that sends and receives: with Python's 5 ms two workers
# exchange a third fewer acked tuples, for the same CPU time a tuple.
SWITCH_INTERVAL_SECS = 0.0005


def run(launch_file: Path) -> int:
    """The worker process; its exit code."""
    configure_logging()
    open_files.raise_limit()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_INTERVAL_SECS)
    try:
        told = launch.read_launch(launch_file)
        if told.stacks_file is not None:
            stacks.answer_signal(told.stacks_file)
        if told.heap_file is not None:
            heap.answer_signal(told.heap_file, lambda: heap_title(told), SystemClock())
        records = log_records.begin(told.topology_id, joined(told.host, told.port), launch.log_format(told))
        log_versions()
        return _run(told, records)
    except StormError as error:
        logger.error("This worker could not start: %s", error)
        return EXIT_PORT_TAKEN if isinstance(error, PortTakenError) else EXIT_NOT_STARTED
    except Exception:
        logger.exception("This worker could not start.")
        return EXIT_NOT_STARTED


def heap_title(told: Launch) -> str:
    """Whose heap it is, and of when."""
    at = format_utc(wall_millis() / 1000)
    return f"Heap of worker {joined(told.host, told.port)} of {told.topology_id}, {at}."


def _run(told: Launch, records: PlacedRecords) -> int:
    from storm.cluster.storm_cluster_state import StormClusterState
    from storm.cluster.zookeeper import storage_by_settings
    from storm.config.settings import Settings
    from storm.executor.call_owner import owners_of
    from storm.messaging.zeromq import ZeroMqLimits, ZeroMqTransport
    from storm.worker.insight import insights_of
    from storm.worker.suspects_file import caution_of

    clock = SystemClock()
    settings = Settings.of(told.settings, "the launch file")
    options = WorkerOptions.from_settings(settings)
    ending: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
    worker: Worker | None = None

    def end(reason: str) -> None:
        ending.put((EXIT_ORDERLY, reason))
        if worker is not None:
            worker.end(EXIT_ORDERLY, reason)

    heed_signals(end)
    heartbeats = start_heartbeats(told, options, clock, lambda: end("another worker owns this slot"))
    sys.path[:0] = map(str, launch.module_roots(told))
    try:
        storage = storage_by_settings(settings)
        open_storage(storage, told, lambda: not ending.empty())
        if not ending.empty():
            return EXIT_ORDERLY  # before the user's code, which may take long to load
        limits = ZeroMqLimits(
            options.frames_on_the_way_max, options.linger_ms, options.frame_bytes_max, options.io_threads
        )
        parts = WorkerParts(
            clock,
            StormClusterState(storage),
            ZeroMqTransport(limits, clock),
            random.Random(),
            caution_of(told),
            lambda: storage.is_connected,
        )
        worker = build_worker(told, settings, parts)
        worker.on_switch = freeze_objects
        storage.add_listener(_waking(worker))  # who began without ZooKeeper has no watches yet
        records.owners = owners_of(worker.lanes.executors)
        worker.start()
    except StormError:
        if not ending.empty():
            return EXIT_ORDERLY
        raise
    tell_figures(heartbeats, worker, insights_of(worker, clock))
    if not ending.empty():
        worker.end(*ending.get())
    try:
        return worker.run(options.refresh_secs, options.shutdown_secs)
    except Exception:
        logger.exception("A fault of the worker itself.")
        return EXIT_INTERNAL_ERROR
    finally:
        heartbeats.stop()


def heed_signals(end: Callable[[str], None]) -> None:
    """SIGTERM ends the worker. SIGINT does not: Ctrl-C in a terminal is for the supervisor, which tells its workers.
    Nor is it ignored, as what the worker starts would ignore it too.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: end("told by a signal"))
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # its supervisor starts it with SIGTERM blocked
    end_as_any_process()


def _waking(worker: Worker) -> Listener:
    return lambda state: worker.wake()


def open_storage(storage: ZooKeeperStorage, told: Launch, stopped: Callable[[], bool]) -> None:
    """Connect to ZooKeeper, however long that takes; where the supervisor knew the topology, ZOOKEEPER_WAIT_SECS at
    most: it goes on connecting then. Raises NoPermissionError, and CoordinationError once `stopped` answers True.
    """
    try:
        storage.open(None if told.known is None else ZOOKEEPER_WAIT_SECS, stopped)
    except NoPermissionError:
        raise
    except CoordinationError as error:
        if told.known is None or stopped():
            raise
        logger.warning("Going by assignment %d, as the supervisor knew it: %s", told.known.assignment.version, error)


def start_heartbeats(told: Launch, options: WorkerOptions, clock: Clock, on_replaced: Callable[[], None]) -> Heartbeats:
    """Tell the supervisor that the worker is up, before anything that may take long."""
    from storm.thrift.client import ThriftClient

    answer_secs = min(ANSWER_SECS, options.supervisor_timeout_secs)

    def nimbus() -> Caller:
        from storm.thrift.nimbus_client import NimbusClient

        return NimbusClient(options.nimbus_seeds, options.nimbus_port, answer_secs, leader_wait_secs=0.0)

    host = IPV6_LOOPBACK if told.bind_host == IPV6_LOOPBACK else LOOPBACK  # where it listens too
    supervisor = ThriftClient("Supervisor", host, told.supervisor_port, answer_secs)
    heartbeats = Heartbeats(told, clock, supervisor, nimbus, on_replaced)
    heartbeats.start(options.heartbeat_secs)
    return heartbeats


def tell_figures(heartbeats: Heartbeats, worker: Worker, insights: Insights) -> None:
    """The executors run: from now on heartbeats tell what is known of them, and of the process."""
    heartbeats.insight = insights.worker
    heartbeats.metrics = lambda: worker.metrics.text
    heartbeats.usage = lambda: worker.metrics.usage
    heartbeats.stats = insights.executor_stats


def freeze_objects() -> None:
    """What is there before the first tuple stays: the collector need not look at it again. For a process of our own."""
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()


def configure_logging() -> None:
    """To standard error, which the supervisor appends to worker.log."""
    output.tolerate_full_disks()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(log_records.TextFormatter())


def log_versions() -> None:
    logger.info(
        "Worker on Python %s, %s, hot path %s.",
        platform.python_version(),
        platform.platform(terse=True),
        hot_path.mode(),
    )
