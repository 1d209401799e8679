from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.cluster import record_codec
from storm.cluster.records import (
    Assignment,
    DebugOptions,
    ErrorInfo,
    LogConfig,
    LoggerLevel,
    NimbusInfo,
    RebalanceRequest,
    StormBase,
    SupervisorInfo,
    TopologyStatus,
)
from storm.errors import RecordError
from storm.ids import ExecutorId, WorkerSlot

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
whole = st.integers(-(2**63), 2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | whole | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
executors = st.builds(ExecutorId, whole, whole)
slots = st.builds(WorkerSlot, text, whole)
hashes = st.dictionaries(text, text, max_size=3)
rebalances = st.builds(
    RebalanceRequest,
    st.none() | whole,
    st.dictionaries(text, whole, max_size=3),
    st.dictionaries(text, json_values, max_size=3),
)
records = st.one_of(
    st.builds(
        StormBase, text, text, st.sampled_from(TopologyStatus), whole, st.dictionaries(text, whole, max_size=3),
        whole, text, st.none() | st.sampled_from(TopologyStatus), whole, whole, st.none() | rebalances,
        st.dictionaries(text, st.builds(DebugOptions, st.booleans(), st.floats(0, 100)), max_size=3), hashes,
        st.none() | text,
    ),
    st.builds(
        Assignment, text, whole, st.dictionaries(executors, slots, max_size=4),
        st.dictionaries(executors, whole, max_size=4), st.dictionaries(text, text, max_size=3),
        st.dictionaries(slots, whole, max_size=4), hashes, text,
    ),
    st.builds(
        SupervisorInfo, text, text, st.lists(whole, max_size=4).map(tuple), st.lists(whole, max_size=4).map(tuple),
        whole, whole, text, hashes, st.dictionaries(text, st.floats(allow_nan=False), max_size=3),
    ),
    st.builds(NimbusInfo, text, whole, whole, text, st.booleans()),
    st.builds(ErrorInfo, text, whole, text, whole),
    st.builds(
        LogConfig,
        st.dictionaries(text, st.builds(LoggerLevel, text, st.none() | whole, st.none() | text), max_size=3),
    ),
)  # fmt: skip

ASSIGNMENT = Assignment(
    "wc-1-1700000000",
    3,
    {ExecutorId(1, 2): WorkerSlot("node-1", 6700), ExecutorId(3, 3): WorkerSlot("node-2", 6701)},
    {ExecutorId(1, 2): 1_700_000_000, ExecutorId(3, 3): 1_700_000_001},
    {"node-1": "host-1", "node-2": "host-2"},
    {WorkerSlot("node-1", 6700): 1, WorkerSlot("node-2", 6701): 3},
)
BASE = StormBase("wc-1-1700000000", "wc", TopologyStatus.ACTIVE, 2, {"split": 2}, 1_700_000_000)


@given(records)
def test_a_record_comes_back_equal_with_its_types(record: Any) -> None:
    back = record_codec.decode(type(record), record_codec.encode(record), "/path")
    assert back == record
    if isinstance(back, Assignment):
        assert all(type(executor) is ExecutorId for executor in back.executor_slots)
        assert all(type(slot) is WorkerSlot for slot in back.executor_slots.values())
        assert all(type(slot) is WorkerSlot for slot in back.slot_epochs)


@given(records, st.data())
def test_damaged_bytes_give_a_whole_record_or_an_error(record: Any, data: st.DataObject) -> None:
    damaged = bytearray(record_codec.encode(record))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    check_whole_or_error(type(record), bytes(damaged))


@given(st.sampled_from(list(record_codec.VERSIONS)), st.binary(max_size=60))
def test_garbage_gives_an_error(record_type: type[Any], garbage: bytes) -> None:
    check_whole_or_error(record_type, garbage)
    kind, version = record_codec.VERSIONS[record_type]
    check_whole_or_error(record_type, msgspec.msgpack.encode((kind, version, msgspec.Raw(garbage or b"\xc0"))))


def check_whole_or_error(record_type: type[Any], data: bytes) -> None:
    """The codec's promise: what it returns can be written again and is then the same."""
    try:
        record = record_codec.decode(record_type, data, "/some/path")
    except RecordError as e:
        assert "/some/path" in str(e)  # noqa: PT017 - either outcome is right
    else:
        assert type(record) is record_type
        data = record_codec.encode(record)
        assert record_codec.encode(record_codec.decode(record_type, data, "/some/path")) == data


@pytest.mark.parametrize("cut", range(len(record_codec.encode(ASSIGNMENT))))
def test_a_cut_record_is_refused(cut: int) -> None:
    with pytest.raises(RecordError, match="/assignments/wc"):
        record_codec.decode(Assignment, record_codec.encode(ASSIGNMENT)[:cut], "/assignments/wc")


def test_bytes_that_follow_a_record_are_refused() -> None:
    with pytest.raises(RecordError, match="trailing"):
        record_codec.decode(StormBase, record_codec.encode(BASE) + b"\xc0", "/storms/wc")


def test_another_kind_is_refused_by_name() -> None:
    with pytest.raises(RecordError, match=r"/storms/wc .*StormBase.*Assignment"):
        record_codec.decode(StormBase, record_codec.encode(ASSIGNMENT), "/storms/wc")


def test_a_future_version_is_refused_with_advice() -> None:
    future = msgspec.msgpack.encode(("StormBase", 2, {}))
    with pytest.raises(RecordError, match=r"/storms/wc .*version 2.*same release"):
        record_codec.decode(StormBase, future, "/storms/wc")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_workers", "2"), ("num_workers", 2.5), ("num_workers", None), ("status", "DANCING"), ("name", 7),
        ("component_executors", []), ("component_executors", {"a": "1"}), ("rebalance", 1), ("name", b"wc"),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_named(field: str, value: object) -> None:
    fields = msgspec.to_builtins(BASE) | {field: value}
    with pytest.raises(RecordError, match=field):
        record_codec.decode(StormBase, msgspec.msgpack.encode(("StormBase", 1, fields)), "/storms/wc")


def test_a_missing_field_is_named_and_a_later_releases_field_is_passed_over() -> None:
    fields = msgspec.to_builtins(BASE)
    newer = msgspec.msgpack.encode(("StormBase", 1, fields | {"colour": "blue"}))
    assert record_codec.decode(StormBase, newer, "/storms/wc") == BASE
    del fields["num_workers"]
    with pytest.raises(RecordError, match="num_workers"):
        record_codec.decode(StormBase, msgspec.msgpack.encode(("StormBase", 1, fields)), "/storms/wc")


def test_deep_nesting_and_false_lengths_are_refused() -> None:
    def body(value: bytes) -> bytes:
        conf = b"\x81\xa1a" + value
        rebalance = b"\x81\xaeconf_overrides" + conf
        return b"\x93\xa9StormBase\x01" + b"\x81\xa9rebalance" + rebalance

    for value in (b"\x91" * 100_000, b"\xdd\x7f\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"):
        with pytest.raises(RecordError, match="/storms/wc"):
            record_codec.decode(StormBase, body(value), "/storms/wc")


def test_a_record_that_zookeeper_would_not_take_is_refused_with_its_size() -> None:
    large = dataclasses.replace(BASE, blob_hashes={str(i): "x" * 100 for i in range(10_000)})
    with pytest.raises(RecordError, match=r"StormBase takes 1,[\d,]+ bytes.*1,000,000"):
        record_codec.encode(large)


@pytest.mark.parametrize("value", [object(), 2**80, {1, object()}])
def test_a_record_with_a_value_that_has_no_bytes_is_refused(value: object) -> None:
    base = dataclasses.replace(BASE, rebalance=RebalanceRequest(conf_overrides={"k": value}))
    with pytest.raises(RecordError, match="StormBase"):
        record_codec.encode(base)
