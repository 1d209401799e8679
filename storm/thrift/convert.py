"""Structs of storm.thrift and our own dataclasses, both ways; the structs go no further than the daemons' services."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from storm.cluster.records import Assignment, DebugOptions, ErrorInfo, LogConfig, LoggerLevel, RebalanceRequest
from storm.errors import InvalidTopologyError, ThriftProtocolError
from storm.ids import ExecutorId, GlobalStreamId, WorkerSlot
from storm.level_names import LOGGERS_MAX, checked_logger, known_level
from storm.metrics.stats_records import BoltStats, ExecutorStats, SpoutStats
from storm.thrift.binary_protocol import deserialize as deserialize
from storm.thrift.binary_protocol import serialize as serialize
from storm.thrift.insight_convert import (
    executor_insight_from_thrift,
    executor_insight_to_thrift,
    failures_from_thrift,
    failures_to_thrift,
)
from storm.thrift.interface import storm_thrift
from storm.thrift.topology_convert import topology_from_bytes as topology_from_bytes
from storm.thrift.topology_convert import topology_from_thrift as topology_from_thrift
from storm.thrift.topology_convert import topology_to_bytes as topology_to_bytes
from storm.thrift.topology_convert import topology_to_thrift as topology_to_thrift

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.thrift.interface import Struct


I32_MAX = 2**31 - 1


def time_of_day(wall_secs: int) -> int:
    """Seconds since 1970 for a field of Storm's that has 32 bits: from 2038-01-19 03:14:07 UTC on it stays there."""
    return min(wall_secs, I32_MAX)


def executor_to_thrift(executor: ExecutorId) -> Struct:
    """An ExecutorInfo struct."""
    return storm_thrift().ExecutorInfo(task_start=executor.start_task, task_end=executor.end_task)


def executor_from_thrift(struct: Struct) -> ExecutorId:
    """The executor that an ExecutorInfo names."""
    return ExecutorId(struct.task_start, struct.task_end)


def stream_to_thrift(stream: GlobalStreamId) -> Struct:
    """A GlobalStreamId struct."""
    return storm_thrift().GlobalStreamId(componentId=stream.component_id, streamId=stream.stream_id)


def stream_from_thrift(struct: Struct) -> GlobalStreamId:
    """The stream that a GlobalStreamId struct names."""
    return GlobalStreamId(struct.componentId, struct.streamId)


def slot_to_thrift(slot: WorkerSlot) -> Struct:
    """A NodeInfo struct with one port."""
    return storm_thrift().NodeInfo(node=slot.node_id, port=frozenset({slot.port}))


def assignment_to_thrift(assignment: Assignment) -> Struct:
    """An Assignment struct. Nobody reads `master_code_dir` any more: it is empty."""
    return storm_thrift().Assignment(
        master_code_dir="",
        node_host=dict(assignment.node_hosts),
        executor_node_port={
            tuple(executor): slot_to_thrift(slot) for executor, slot in assignment.executor_slots.items()
        },
        executor_start_time_secs={
            tuple(executor): secs for executor, secs in assignment.executor_start_wall_secs.items()
        },
        owner=assignment.owner,
        topology_id=assignment.topology_id,
        version=assignment.version,
        slot_epochs={slot_to_thrift(slot): epoch for slot, epoch in assignment.slot_epochs.items()},
        blob_hashes=dict(assignment.blob_hashes),
    )


def executor_stats_to_thrift(stats: ExecutorStats) -> Struct:
    """An ExecutorStats struct."""
    t = storm_thrift()
    if isinstance(stats.specific, BoltStats):
        names = ("acked", "failed", "executed", "process_ms_avg", "execute_ms_avg")
        by_stream = {name: _streams_to_thrift(getattr(stats.specific, name)) for name in names}
        specific = t.ExecutorSpecificStats(bolt=t.BoltStats(**by_stream))
    else:
        spout = {name: _copy(getattr(stats.specific, name)) for name in ("acked", "failed", "complete_ms_avg")}
        specific = t.ExecutorSpecificStats(spout=t.SpoutStats(**spout))
    return t.ExecutorStats(
        emitted=_copy(stats.emitted),
        transferred=_copy(stats.transferred),
        specific=specific,
        rate=stats.rate,
        insight=None if stats.insight is None else executor_insight_to_thrift(stats.insight),
        failures=failures_to_thrift(stats.failures) or None,
    )


def executor_stats_from_thrift(struct: Struct) -> ExecutorStats:
    """Raises ThriftProtocolError if it is neither a spout's nor a bolt's."""
    bolt, spout = struct.specific.bolt, struct.specific.spout
    specific: BoltStats | SpoutStats
    if bolt is not None:
        specific = BoltStats(
            acked=_streams_from_thrift(bolt.acked),
            failed=_streams_from_thrift(bolt.failed),
            executed=_streams_from_thrift(bolt.executed),
            process_ms_avg=_streams_from_thrift(bolt.process_ms_avg),
            execute_ms_avg=_streams_from_thrift(bolt.execute_ms_avg),
        )
    elif spout is not None:
        specific = SpoutStats(spout.acked, spout.failed, spout.complete_ms_avg)
    else:
        raise ThriftProtocolError("ExecutorStats.specific is neither a bolt's nor a spout's")
    return ExecutorStats(
        struct.emitted,
        struct.transferred,
        specific,
        struct.rate,
        executor_insight_from_thrift(struct.insight),
        failures_from_thrift(struct.failures),
    )


def all_executor_stats_from_thrift(stats: Mapping[Struct, Struct] | None) -> dict[ExecutorId, ExecutorStats]:
    """Of `SupervisorWorkerHeartbeat.executor_stats`; a heartbeat without statistics has none."""
    return {executor_from_thrift(key): executor_stats_from_thrift(one) for key, one in (stats or {}).items()}


def _copy(windows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {window: dict(streams) for window, streams in windows.items()}


def _streams_to_thrift(windows: Mapping[str, Mapping[GlobalStreamId, Any]]) -> dict[str, dict[Struct, Any]]:
    return {
        window: {stream_to_thrift(stream): value for stream, value in streams.items()}
        for window, streams in windows.items()
    }


def _streams_from_thrift(windows: Mapping[str, Mapping[Struct, Any]]) -> dict[str, dict[GlobalStreamId, Any]]:
    return {
        window: {stream_from_thrift(stream): value for stream, value in streams.items()}
        for window, streams in windows.items()
    }


def error_to_thrift(error: ErrorInfo) -> Struct:
    """An ErrorInfo struct."""
    return storm_thrift().ErrorInfo(
        error=error.text,
        error_time_secs=time_of_day(error.wall_secs),
        host=error.host,
        port=error.port,
        lacks_environment=error.lacks_environment or None,
    )


def debug_options_to_thrift(options: DebugOptions) -> Struct:
    """A DebugOptions struct."""
    return storm_thrift().DebugOptions(enable=options.enabled, samplingpct=options.sampling_percent)


def rebalance_from_thrift(struct: Struct) -> RebalanceRequest:
    """What a RebalanceOptions asks for, apart from its delay `wait_secs`.

    Raises InvalidTopologyError if its overrides are not a JSON object. Resources are not scheduled here: their
    overrides are left out.
    """
    overrides: Any = {}
    if struct.topology_conf_overrides:
        try:
            overrides = json.loads(struct.topology_conf_overrides)
        except ValueError as error:
            raise InvalidTopologyError(f"the overrides of the topology's settings are not JSON: {error}") from error
        if not isinstance(overrides, dict):
            raise InvalidTopologyError("the overrides of the topology's settings are not a JSON object")
    return RebalanceRequest(
        num_workers=struct.num_workers,
        component_executors=struct.num_executors or {},
        conf_overrides=overrides,
    )


def log_config_to_thrift(config: LogConfig, wall_secs: int) -> Struct:
    """A LogConfig struct as `getLogConfig` answers at `wall_secs` (seconds since 1970)."""
    t = storm_thrift()
    levels = {}
    for name, level in config.loggers.items():
        until = level.until_wall_secs
        levels[name] = t.LogLevel(
            action=t.LogLevelAction.UPDATE,
            target_log_level=level.level,
            reset_log_level=level.reset_level,
            reset_log_level_timeout_secs=None if until is None else max(0, until - wall_secs),
            reset_log_level_timeout_epoch=None if until is None else until * 1000,
        )
    return t.LogConfig(named_logger_level=levels)


def updated_log_config(config: LogConfig, change: Struct, wall_secs: int) -> LogConfig:
    """`config` after `setLogConfig(change)` at `wall_secs` (seconds since 1970).

    Storm's rules: UPDATE sets a level, for good if its time-out is absent or not above 0; REMOVE forgets the logger;
    UNCHANGED leaves it. What is over, and left nothing behind, is forgotten. Raises ThriftProtocolError for an UPDATE
    without a level, or to one that is not known, for a logger's name that is none, and for more than LOGGERS_MAX.
    """
    t = storm_thrift()
    loggers = {
        name: level for name, level in config.loggers.items() if level.reset_level or not _is_over(level, wall_secs)
    }
    present = len(loggers)
    for name, level in (change.named_logger_level or {}).items():
        if level.action == t.LogLevelAction.REMOVE:
            loggers.pop(name, None)
        elif level.action == t.LogLevelAction.UPDATE:
            _check_logger(name)
            if not level.target_log_level:
                raise ThriftProtocolError(f"the change of logger {name!r} names no level")
            secs = level.reset_log_level_timeout_secs or 0
            until, lasting = (wall_secs + secs, secs) if secs > 0 else (None, None)
            reset = _level(name, level.reset_log_level) if level.reset_log_level else None
            loggers[name] = LoggerLevel(_level(name, level.target_log_level), until, reset, lasting)
    if len(loggers) > max(LOGGERS_MAX, present):  # a Nimbus of the former release took more: those may go one by one
        raise ThriftProtocolError(
            f"{len(loggers):,} loggers of the topology would have a level; at most {LOGGERS_MAX} may: take some back"
        )
    return LogConfig(loggers)


def _is_over(level: LoggerLevel, wall_secs: int) -> bool:
    return level.until_wall_secs is not None and level.until_wall_secs <= wall_secs


def _check_logger(name: str) -> None:
    try:
        checked_logger(name)
    except ValueError as error:
        raise ThriftProtocolError(f"a change of log levels: {error}") from None


def _level(logger: str, text: str) -> str:
    try:
        return known_level(text)
    except ValueError as error:
        raise ThriftProtocolError(f"the change of logger {logger!r}: {error}") from None
