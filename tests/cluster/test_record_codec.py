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
    Drain,
    ErrorInfo,
    LogConfig,
    LoggerLevel,
    NimbusInfo,
    RebalanceRequest,
    SlotFailure,
    StormBase,
    SupervisorInfo,
    TopologyStatus,
    UserBlob,
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
    st.booleans(),
)
failures = st.builds(SlotFailure, whole, text, text, whole, text, text, whole, st.none() | whole)
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
        st.lists(failures, max_size=2).map(tuple), text, text, text,
    ),
    st.builds(Drain, text, text, whole, st.none() | whole),
    st.builds(NimbusInfo, text, whole, whole, text, st.booleans()),
    st.builds(ErrorInfo, text, whole, text, whole),
    st.builds(UserBlob, text, whole, text, whole, whole, whole),
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
SUPERVISOR = SupervisorInfo("node-1", "host-1", (6700, 6701), (6700,), 6628, 1_700_000_000, "0.1.0")
NIMBUS = NimbusInfo("host-1", 6627, 1_700_000_000, "0.1.0")
ERROR = ErrorInfo("boom", 1_700_000_000, "host-1", 6700)
LOG_CONFIG = LogConfig({"ROOT": LoggerLevel("DEBUG", 1_700_000_060, "INFO")})

# What the release before this one wrote, and what it reads: to be taken from its FORMATS whenever one is published.
LAST_RELEASE_READS = {
    "StormBase": {1},
    "Assignment": {1},
    "SupervisorInfo": {1},
    "NimbusInfo": {1},
    "ErrorInfo": {1},
    "LogConfig": {1},
}
NEW_KINDS = {"Drain"}  # it does not look where they are
LAST_RELEASE_WROTE = [
    (
        BASE,
        "93a953746f726d42617365018eab746f706f6c6f67795f6964af77632d312d31373030303030303030a46e616d65a27763a6"
        "737461747573a6414354495645ab6e756d5f776f726b65727302b3636f6d706f6e656e745f6578656375746f727381a57370"
        "6c697402b06c61756e63685f77616c6c5f73656373ce6553f100a56f776e6572a0af70726576696f75735f737461747573c0"
        "a9776169745f7365637300ad6475655f77616c6c5f7365637300a9726562616c616e6365c0af636f6d706f6e656e745f6465"
        "62756780ab626c6f625f68617368657380b0746f706f6c6f67795f76657273696f6ec0",
    ),
    (
        ASSIGNMENT,
        "93aa41737369676e6d656e740188ab746f706f6c6f67795f6964af77632d312d31373030303030303030a776657273696f6e"
        "03ae6578656375746f725f736c6f74738292010292a66e6f64652d31cd1a2c92030392a66e6f64652d32cd1a2db865786563"
        "75746f725f73746172745f77616c6c5f7365637382920102ce6553f100920303ce6553f101aa6e6f64655f686f73747382a6"
        "6e6f64652d31a6686f73742d31a66e6f64652d32a6686f73742d32ab736c6f745f65706f6368738292a66e6f64652d31cd1a"
        "2c0192a66e6f64652d32cd1a2d03ab626c6f625f68617368657380a56f776e6572a0",
    ),
    (
        SUPERVISOR,
        "93ae53757065727669736f72496e666f0189a76e6f64655f6964a66e6f64652d31a4686f7374a6686f73742d31aa736c6f74"
        "5f706f72747392cd1a2ccd1a2daa757365645f706f72747391cd1a2cab7468726966745f706f7274cd19e4af73746172745f"
        "77616c6c5f73656373ce6553f100a776657273696f6ea5302e312e30a46d65746180a97265736f757263657380",
    ),
    (
        NIMBUS,
        "93aa4e696d627573496e666f0185a4686f7374a6686f73742d31a4706f7274cd19e3af73746172745f77616c6c5f73656373"
        "ce6553f100a776657273696f6ea5302e312e30a969735f6c6561646572c2",
    ),
    (
        ERROR,
        "93a94572726f72496e666f0184a474657874a4626f6f6da977616c6c5f73656373ce6553f100a4686f7374a6686f73742d31"
        "a4706f7274cd1a2c",
    ),
    (
        LOG_CONFIG,
        "93a94c6f67436f6e6669670181a76c6f676765727381a4524f4f5483a56c6576656ca54445425547af756e74696c5f77616c"
        "6c5f73656373ce6553f13cab72657365745f6c6576656ca4494e464f",
    ),
]


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


@given(st.sampled_from(list(record_codec.FORMATS)), st.binary(max_size=60))
def test_garbage_gives_an_error(record_type: type[Any], garbage: bytes) -> None:
    check_whole_or_error(record_type, garbage)
    kind, version, _ = record_codec.FORMATS[record_type]
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


@pytest.mark.parametrize(("record", "written"), LAST_RELEASE_WROTE)
def test_what_the_last_release_wrote_is_read(record: Any, written: str) -> None:
    assert record_codec.decode(type(record), bytes.fromhex(written), "/path") == record


@pytest.mark.parametrize("form", record_codec.FORMATS.values(), ids=lambda form: form.kind)
def test_what_this_release_writes_the_last_one_reads(form: record_codec.Format) -> None:
    """One release reads a version before the next one writes it: else no cluster could be upgraded host by host.

    It looks nowhere for kinds that it has not, which begin with version 1.
    """
    assert form.written in LAST_RELEASE_READS.get(form.kind, {1})


def with_workers(fields: dict[str, Any]) -> dict[str, Any]:
    fields["num_workers"] = fields.pop("workers")["most"]
    return fields


def test_another_version_is_read_as_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for record_type, convert in ((StormBase, with_workers), (Assignment, dict)):
        kind = record_codec.FORMATS[record_type].kind
        monkeypatch.setitem(record_codec.FORMATS, record_type, record_codec.Format(kind, also_read={2: convert}))
    fields = msgspec.to_builtins(BASE)
    newer = fields | {"workers": {"most": fields.pop("num_workers")}}
    assert record_codec.decode(StormBase, msgspec.msgpack.encode(("StormBase", 2, newer)), "/storms/wc") == BASE
    assert record_codec.decode(StormBase, record_codec.encode(BASE), "/storms/wc") == BASE
    assignment = record_codec.decode(Assignment, msgspec.msgpack.encode(("Assignment", 2, ASSIGNMENT)), "/a")
    assert assignment == ASSIGNMENT
    assert all(type(slot) is WorkerSlot for slot in assignment.executor_slots.values())
    for wrong in (fields, newer | {"workers": 2}, newer | {"workers": []}, newer | {"workers": {"most": "2"}}, [], 7):
        with pytest.raises(RecordError, match="/storms/wc does not hold a readable StormBase"):
            record_codec.decode(StormBase, msgspec.msgpack.encode(("StormBase", 2, wrong)), "/storms/wc")
    with pytest.raises(RecordError, match="reads version 1, 2:"):
        record_codec.decode(StormBase, msgspec.msgpack.encode(("StormBase", 3, fields)), "/storms/wc")


def test_a_future_version_is_refused_with_advice() -> None:
    future = msgspec.msgpack.encode(("StormBase", 2, {}))
    with pytest.raises(RecordError, match=r"/storms/wc .*version 2.*reads version 1:.*one release at a time"):
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
