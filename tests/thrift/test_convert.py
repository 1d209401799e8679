from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.cluster.records import Assignment, DebugOptions, ErrorInfo, LogConfig, LoggerLevel, RebalanceRequest
from storm.errors import InvalidTopologyError, ThriftProtocolError
from storm.ids import ExecutorId, GlobalStreamId, WorkerSlot
from storm.level_names import LOGGERS_MAX
from storm.metrics.stats_records import WINDOWS, BoltStats, ExecutorStats, SpoutStats
from storm.thrift import convert
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import Sequence

names = st.text(max_size=6)
counts = st.integers(0, 2**31 - 1)
executors = st.builds(ExecutorId, counts, counts)


def windows(key: st.SearchStrategy, value: st.SearchStrategy) -> st.SearchStrategy:
    return st.dictionaries(st.sampled_from(WINDOWS), st.dictionaries(key, value, max_size=3), max_size=4)


averages = st.floats(0, 1e9)
streams = st.builds(GlobalStreamId, names, names)
bolt_stats = st.builds(
    BoltStats,
    acked=windows(streams, counts),
    failed=windows(streams, counts),
    executed=windows(streams, counts),
    process_ms_avg=windows(streams, averages),
    execute_ms_avg=windows(streams, averages),
)
spout_stats = st.builds(
    SpoutStats, acked=windows(names, counts), failed=windows(names, counts), complete_ms_avg=windows(names, averages)
)
executor_stats = st.builds(
    ExecutorStats,
    emitted=windows(names, counts),
    transferred=windows(names, counts),
    specific=bolt_stats | spout_stats,
    rate=st.floats(0, 1),
)


def through_bytes(struct: object) -> object:
    return convert.deserialize(type(struct), convert.serialize(struct))


def test_an_assignment_is_told_whole() -> None:
    slot, executor = WorkerSlot("a", 6700), ExecutorId(1, 2)
    assignment = Assignment(
        "wc-1-0", 3, {executor: slot}, {executor: 5}, {"a": "host-a"}, {slot: 2}, {"code": "hash"}, "me"
    )
    told: Any = through_bytes(convert.assignment_to_thrift(assignment))
    assert (told.topology_id, told.version, told.owner) == ("wc-1-0", 3, "me")
    assert (told.node_host, told.blob_hashes) == ({"a": "host-a"}, {"code": "hash"})
    assert told.executor_start_time_secs == {(1, 2): 5}
    node = told.executor_node_port[1, 2]
    assert (node.node, set(node.port)) == ("a", {6700})
    assert told.slot_epochs == {node: 2}


@given(st.dictionaries(executors, executor_stats, max_size=3))
def test_statistics_come_back_in_a_heartbeat(stats: dict[ExecutorId, ExecutorStats]) -> None:
    told = {convert.executor_to_thrift(each): convert.executor_stats_to_thrift(one) for each, one in stats.items()}
    heartbeat = storm_thrift().SupervisorWorkerHeartbeat(
        storm_id="words-1-1", executors=[], time_secs=1, executor_stats=told
    )
    read = through_bytes(heartbeat)
    assert convert.all_executor_stats_from_thrift(read.executor_stats) == stats  # type: ignore[attr-defined]


def test_a_heartbeat_without_statistics_has_none() -> None:
    assert convert.all_executor_stats_from_thrift(None) == {}


def test_an_error_of_2039_can_be_sent() -> None:
    told: Any = through_bytes(convert.error_to_thrift(ErrorInfo("boom", 2_190_542_408, "h", 6700)))
    assert (told.error, told.error_time_secs, told.host, told.port) == ("boom", 2**31 - 1, "h", 6700)
    assert told.lacks_environment is None


def test_an_environment_that_could_not_be_built_is_told_of() -> None:
    told: Any = through_bytes(convert.error_to_thrift(ErrorInfo("no pip", 1, "h", 6700, lacks_environment=True)))
    assert told.lacks_environment is True


def test_debug_options_are_told() -> None:
    told: Any = through_bytes(convert.debug_options_to_thrift(DebugOptions(True, 2.5)))
    assert (told.enable, told.samplingpct) == (True, 2.5)


@pytest.mark.parametrize(
    ("asked", "request_"),
    [
        ({}, RebalanceRequest()),
        ({"wait_secs": 3, "num_workers": 2}, RebalanceRequest(2)),
        (
            {"num_executors": {"split": 4}, "topology_conf_overrides": '{"a": [1, 2.5]}'},
            RebalanceRequest(None, {"split": 4}, {"a": [1, 2.5]}),
        ),
    ],
)
def test_what_a_rebalance_asks_for_is_read(asked: dict[str, Any], request_: RebalanceRequest) -> None:
    assert convert.rebalance_from_thrift(through_bytes(storm_thrift().RebalanceOptions(**asked))) == request_


@pytest.mark.parametrize("text", ["{", "[]"])
def test_overrides_that_are_no_json_object_are_refused(text: str) -> None:
    with pytest.raises(InvalidTopologyError, match="the overrides of the topology's settings"):
        convert.rebalance_from_thrift(storm_thrift().RebalanceOptions(topology_conf_overrides=text))


def test_statistics_of_no_known_kind_are_refused() -> None:
    t = storm_thrift()
    with pytest.raises(ThriftProtocolError, match="neither a bolt's nor a spout's"):
        convert.executor_stats_from_thrift(
            t.ExecutorStats(emitted={}, transferred={}, specific=t.ExecutorSpecificStats(), rate=1.0)
        )


def test_log_levels_are_set_kept_and_removed() -> None:
    t = storm_thrift()
    action = t.LogLevelAction
    before = LogConfig({"kept": LoggerLevel("INFO"), "gone": LoggerLevel("DEBUG")})
    change = t.LogConfig(
        named_logger_level={
            "kept": t.LogLevel(action=action.UNCHANGED),
            "gone": t.LogLevel(action=action.REMOVE),
            "ROOT": t.LogLevel(action=action.UPDATE, target_log_level="DEBUG", reset_log_level_timeout_secs=30),
            "ever": t.LogLevel(action=action.UPDATE, target_log_level="warn", reset_log_level_timeout_secs=0),
        }
    )
    after = convert.updated_log_config(before, change, wall_secs=100)
    assert after.loggers == {
        "kept": LoggerLevel("INFO"),
        "ROOT": LoggerLevel("DEBUG", until_wall_secs=130, lasting_secs=30),
        "ever": LoggerLevel("WARN"),
    }
    told = through_bytes(convert.log_config_to_thrift(after, wall_secs=110)).named_logger_level["ROOT"]  # type: ignore[attr-defined]
    assert (told.reset_log_level_timeout_secs, told.reset_log_level_timeout_epoch) == (20, 130_000)


@pytest.mark.parametrize(
    ("level", "reset", "refusal"),
    [(None, None, "names no level"), ("LOUD", None, "not 'LOUD'"), ("DEBUG", "QUIET", "not 'QUIET'")],
)
def test_a_level_that_is_none_is_refused(level: str | None, reset: str | None, refusal: str) -> None:
    t = storm_thrift()
    update = t.LogLevel(action=t.LogLevelAction.UPDATE, target_log_level=level, reset_log_level=reset)
    with pytest.raises(ThriftProtocolError, match=f"'ROOT'.*{refusal}"):
        convert.updated_log_config(LogConfig(), t.LogConfig(named_logger_level={"ROOT": update}), wall_secs=1)


def log_level_change(*loggers: str, removed: Sequence[str] = ()) -> object:
    t = storm_thrift()
    update = t.LogLevel(action=t.LogLevelAction.UPDATE, target_log_level="DEBUG")
    remove = t.LogLevel(action=t.LogLevelAction.REMOVE)
    return t.LogConfig(named_logger_level={**dict.fromkeys(loggers, update), **dict.fromkeys(removed, remove)})


def test_no_more_loggers_have_a_level_than_may_and_only_such_as_have_a_name() -> None:
    names = [f"app.{i}" for i in range(LOGGERS_MAX)]
    full = convert.updated_log_config(LogConfig(), log_level_change(*names), wall_secs=1)
    assert len(full.loggers) == LOGGERS_MAX
    with pytest.raises(ThriftProtocolError, match="101 loggers of the topology would have a level; at most 100"):
        convert.updated_log_config(full, log_level_change("one.more"), wall_secs=1)
    instead = convert.updated_log_config(full, log_level_change("one.more", removed=names[:1]), wall_secs=1)
    assert instead.loggers.keys() == {*names[1:], "one.more"}
    with pytest.raises(ThriftProtocolError, match="printable characters"):
        convert.updated_log_config(LogConfig(), log_level_change("a\x1b[31m"), wall_secs=1)


def test_what_an_older_nimbus_took_too_much_can_be_taken_back_piece_by_piece() -> None:
    levels = {f"app.{i}\n": LoggerLevel("DEBUG") for i in range(LOGGERS_MAX + 50)}
    less = convert.updated_log_config(LogConfig(levels), log_level_change(removed=["app.0\n"]), wall_secs=1)
    assert len(less.loggers) == LOGGERS_MAX + 49


def test_levels_that_are_over_make_room_unless_they_left_something_behind() -> None:
    before = LogConfig({"over": LoggerLevel("DEBUG", 10), "left": LoggerLevel("DEBUG", 10, "WARN")})
    assert convert.updated_log_config(before, log_level_change("new"), wall_secs=9).loggers.keys() == {
        "over",
        "left",
        "new",
    }
    assert convert.updated_log_config(before, log_level_change("new"), wall_secs=10).loggers.keys() == {"left", "new"}
