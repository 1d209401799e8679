from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.cluster.records import Assignment, DebugOptions, ErrorInfo, LogConfig, LoggerLevel, RebalanceRequest
from storm.errors import InvalidTopologyError, ThriftProtocolError
from storm.ids import ExecutorId, GlobalStreamId, WorkerSlot
from storm.metrics.stats_records import WINDOWS, BoltStats, ExecutorStats, SpoutStats
from storm.thrift import convert
from storm.thrift.interface import storm_thrift

names = st.text(max_size=6)
counts = st.integers(0, 2**31 - 1)
executors = st.builds(ExecutorId, counts, counts)
slots = st.builds(WorkerSlot, names, counts)
assignments = st.builds(
    Assignment,
    topology_id=names,
    version=counts,
    executor_slots=st.dictionaries(executors, slots, max_size=4),
    executor_start_wall_secs=st.dictionaries(executors, counts, max_size=4),
    node_hosts=st.dictionaries(names, names, max_size=3),
    slot_epochs=st.dictionaries(slots, counts, max_size=3),
    blob_hashes=st.dictionaries(names, names, max_size=3),
    owner=names,
)


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


@given(assignments)
def test_an_assignment_comes_back(assignment: Assignment) -> None:
    assert convert.assignment_from_thrift(through_bytes(convert.assignment_to_thrift(assignment))) == assignment


@given(st.dictionaries(executors, executor_stats, max_size=3))
def test_statistics_come_back_in_a_heartbeat(stats: dict[ExecutorId, ExecutorStats]) -> None:
    heartbeat = storm_thrift().SupervisorWorkerHeartbeat(
        storm_id="words-1-1", executors=[], time_secs=1, executor_stats=convert.all_executor_stats_to_thrift(stats)
    )
    read = through_bytes(heartbeat)
    assert convert.all_executor_stats_from_thrift(read.executor_stats) == stats  # type: ignore[attr-defined]


def test_a_heartbeat_without_statistics_has_none() -> None:
    assert convert.all_executor_stats_from_thrift(None) == {}


@given(st.builds(ErrorInfo, names, counts, names, counts))
def test_an_error_comes_back(error: ErrorInfo) -> None:
    assert convert.error_from_thrift(through_bytes(convert.error_to_thrift(error))) == error


def test_an_error_of_2039_can_be_sent() -> None:
    error = convert.error_to_thrift(ErrorInfo("boom", 2_190_542_408, "h", 6700))
    assert convert.deserialize(type(error), convert.serialize(error)).error_time_secs == 2**31 - 1


@given(st.builds(DebugOptions, st.booleans(), averages))
def test_debug_options_come_back(options: DebugOptions) -> None:
    assert convert.debug_options_from_thrift(through_bytes(convert.debug_options_to_thrift(options))) == options


def test_debug_options_that_are_left_out_are_the_usual() -> None:
    assert convert.debug_options_from_thrift(storm_thrift().DebugOptions()) == DebugOptions()


@given(
    st.builds(
        RebalanceRequest,
        num_workers=st.none() | counts,
        component_executors=st.dictionaries(names, counts, max_size=3),
        conf_overrides=st.dictionaries(names, counts | names, max_size=3),
    )
)
def test_a_rebalance_comes_back(request: RebalanceRequest) -> None:
    assert convert.rebalance_from_thrift(through_bytes(convert.rebalance_to_thrift(request, 3))) == request


@pytest.mark.parametrize("text", ["{", "[]"])
def test_overrides_that_are_no_json_object_are_refused(text: str) -> None:
    with pytest.raises(InvalidTopologyError, match="the overrides of the topology's settings"):
        convert.rebalance_from_thrift(storm_thrift().RebalanceOptions(topology_conf_overrides=text))


def test_an_assignment_of_apache_storm_is_refused() -> None:
    with pytest.raises(ThriftProtocolError, match="comes from Apache Storm"):
        convert.assignment_from_thrift(storm_thrift().Assignment(master_code_dir="x"))


def test_a_slot_has_one_port_and_an_executor_two_tasks() -> None:
    t = storm_thrift()
    with pytest.raises(ThriftProtocolError, match="holds 2 ports"):
        convert.slot_from_thrift(t.NodeInfo(node="a", port={1, 2}))
    broken = t.Assignment(master_code_dir="", topology_id="x", version=1, executor_start_time_secs={(1, 2, 3): 4})
    with pytest.raises(ThriftProtocolError, match="a first and a last task"):
        convert.assignment_from_thrift(broken)


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
            "ever": t.LogLevel(action=action.UPDATE, target_log_level="WARN", reset_log_level_timeout_secs=0),
        }
    )
    after = convert.updated_log_config(before, change, wall_secs=100)
    assert after.loggers == {
        "kept": LoggerLevel("INFO"),
        "ROOT": LoggerLevel("DEBUG", until_wall_secs=130),
        "ever": LoggerLevel("WARN"),
    }
    told = through_bytes(convert.log_config_to_thrift(after, wall_secs=110)).named_logger_level["ROOT"]  # type: ignore[attr-defined]
    assert (told.reset_log_level_timeout_secs, told.reset_log_level_timeout_epoch) == (20, 130_000)


def test_a_level_that_is_set_to_nothing_is_refused() -> None:
    t = storm_thrift()
    change = t.LogConfig(named_logger_level={"ROOT": t.LogLevel(action=t.LogLevelAction.UPDATE)})
    with pytest.raises(ThriftProtocolError, match="'ROOT' names no level"):
        convert.updated_log_config(LogConfig(), change, wall_secs=1)
