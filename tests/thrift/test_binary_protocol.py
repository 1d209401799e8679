from __future__ import annotations

import struct
from functools import cache
from typing import Any

import pytest
import thriftpy2
from hypothesis import given, settings
from hypothesis import strategies as st
from thriftpy2.protocol import TBinaryProtocolFactory
from thriftpy2.utils import deserialize as stock_deserialize
from thriftpy2.utils import serialize as stock_serialize

from storm.errors import ThriftProtocolError
from storm.thrift.binary_protocol import deserialize, serialize
from storm.thrift.interface import BINARY, IDL_PATH, service, storm_thrift
from storm.thrift.prescan import BOOL, BYTE, DOUBLE, I16, I32, I64, MAP, STRING, STRUCT

names = st.text(max_size=8)
i32, i64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
numbers = st.floats(allow_nan=False)


@cache
def stock_thrift() -> Any:
    return thriftpy2.load(str(IDL_PATH), module_name="stock_thrift")


def as_stock(value: Any) -> Any:
    """The same in thriftpy2's classes."""
    if hasattr(value, "thrift_spec"):
        fields = {name: as_stock(each) for name, each in vars(value).items()}
        return getattr(stock_thrift(), type(value).__name__)(**fields)
    if isinstance(value, dict):
        return {as_stock(key): as_stock(each) for key, each in value.items()}
    return [as_stock(each) for each in value] if isinstance(value, list) else value


@st.composite
def assignments(draw: st.DrawFn) -> object:
    t = storm_thrift()
    nodes = st.builds(t.NodeInfo, node=names, port=st.frozensets(i64, max_size=2))
    executors = st.tuples(i64, i64)
    return t.Assignment(
        master_code_dir=draw(names),
        node_host=draw(st.dictionaries(names, names, max_size=3)),
        executor_node_port=draw(st.dictionaries(executors, nodes, max_size=4)),
        executor_start_time_secs=draw(st.dictionaries(executors, i64, max_size=4)),
        worker_resources=draw(st.dictionaries(nodes, st.builds(t.WorkerResources, cpu=numbers), max_size=2)),
        owner=draw(st.none() | names),
    )


@given(assignments())
def test_what_is_written_is_read(assignment: object) -> None:
    assert deserialize(type(assignment), serialize(assignment)) == assignment


@given(assignments())
def test_bytes_are_those_of_the_stock_codec(assignment: object) -> None:
    assert serialize(assignment) == stock_serialize(as_stock(assignment), TBinaryProtocolFactory())


def test_every_kind_of_value_is_read_as_the_stock_codec_reads_it() -> None:
    t = storm_thrift()
    arguments = [
        t.JavaObjectArg(int_arg=-1),
        t.JavaObjectArg(long_arg=2**62),
        t.JavaObjectArg(string_arg="naïve"),
        t.JavaObjectArg(bool_arg=True),
        t.JavaObjectArg(binary_arg=b"\xff\x00"),
        t.JavaObjectArg(double_arg=0.5),
    ]
    data = serialize(t.JavaObject(full_class_name="x.Y", args_list=arguments))
    stock = stock_deserialize(stock_thrift().JavaObject(), data, TBinaryProtocolFactory())
    assert as_stock(deserialize(t.JavaObject, data)) == stock
    assert stock.args_list[2].string_arg == "naïve"


def test_list_keys_and_sets_can_be_looked_up() -> None:
    t = storm_thrift()
    node = t.NodeInfo(node="a", port={6700})
    assignment = t.Assignment(
        master_code_dir="", executor_node_port={(1, 2): node}, worker_resources={node: t.WorkerResources(cpu=1.0)}
    )
    read = deserialize(t.Assignment, serialize(assignment))
    assert read.executor_node_port[1, 2].port == frozenset({6700})
    assert read.worker_resources[t.NodeInfo(node="a", port=frozenset({6700}))].cpu == 1.0


def test_structs_do_not_share_their_defaults() -> None:
    t = storm_thrift()
    t.Assignment(master_code_dir="").node_host["a"] = "b"
    assert t.Assignment(master_code_dir="").node_host == {}


def test_unknown_fields_are_passed_over() -> None:
    t = storm_thrift()
    data = serialize(t.ReadableBlobMeta(settable=t.SettableBlobMeta(acl=[]), version=1, sha256="ab"))
    assert deserialize(t.KillOptions, data) == t.KillOptions()


def test_a_field_of_another_type_is_passed_over_and_missed_if_it_is_required() -> None:
    t = storm_thrift()
    data = serialize(t.LogPart(data=b"", offset=1, size=2))
    with pytest.raises(ThriftProtocolError, match="ExecutorInfo lacks the required field 'task_start'"):
        deserialize(t.ExecutorInfo, data)


@pytest.mark.parametrize(
    ("struct", "values", "complaint"),
    [
        ("NotAliveException", {}, "NotAliveException lacks the required field 'msg'"),
        ("ErrorInfo", {"error": "x", "error_time_secs": 2**31}, "ErrorInfo.error_time_secs is a i32"),
        ("ErrorInfo", {"error": 3, "error_time_secs": 1}, "ErrorInfo.error is a string and cannot hold 3"),
        ("StreamInfo", {"output_fields": "words", "direct": False}, "StreamInfo.output_fields is a list"),
        ("LogPart", {"data": "text", "offset": 0, "size": 0}, "LogPart.data is a binary"),
        ("SpoutSpec", {"spout_object": 1, "common": 2}, "SpoutSpec.spout_object is a ComponentObject"),
        ("Grouping", {}, "exactly one field is set, not 0"),
        ("Grouping", {"fields": [], "custom_serialized": b""}, "exactly one field is set, not 2"),
    ],
)
def test_what_java_would_refuse_is_not_written(struct: str, values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ThriftProtocolError, match=complaint):
        serialize(getattr(storm_thrift(), struct)(**values))


def test_text_that_is_not_utf8_is_refused() -> None:
    t = storm_thrift()
    with pytest.raises(ThriftProtocolError, match=r"NotAliveException.msg is not UTF-8"):
        deserialize(t.NotAliveException, b"\x0b\x00\x01\x00\x00\x00\x01\xff\x00")


def test_elements_of_a_wrong_type_are_refused() -> None:
    t = storm_thrift()
    longs_for_strings = b"\x0f\x00\x01\x0a\x00\x00\x00\x01" + bytes(8) + b"\x02\x00\x02\x00\x00"
    with pytest.raises(ThriftProtocolError, match="a container of i64 where string belongs"):
        deserialize(t.StreamInfo, longs_for_strings)


@given(assignments(), st.data())
def test_mutated_bytes_are_read_or_refused(assignment: object, data: st.DataObject) -> None:
    mutated = bytearray(serialize(assignment))
    places = st.integers(0, len(mutated) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=8)):
        mutated[place] = byte
    try:
        read = deserialize(type(assignment), bytes(mutated))
    except ThriftProtocolError:
        return
    assert isinstance(read, type(assignment))


FIXED = {BOOL: 1, BYTE: 1, DOUBLE: 8, I16: 2, I32: 4, I64: 8}


def bytes_of(kind: int, detail: Any, data: st.DataObject, depth: int) -> bytes:
    """A value as the interface declares it, or, now and then, another one of its type."""
    if kind in FIXED:
        return data.draw(st.binary(min_size=FIXED[kind], max_size=FIXED[kind]))
    if kind in (STRING, BINARY):
        text = data.draw(st.binary(max_size=6))
        return struct.pack(">i", len(text)) + text
    if kind == STRUCT:
        return struct_bytes(detail, data, depth + 1)
    count = data.draw(st.integers(0, 2 if depth < 6 else 0))
    parts = detail if kind == MAP else [detail]
    kinds = [part if isinstance(part, tuple) else (part, None) for part in parts]
    head = bytes(STRING if each == BINARY else each for each, _ in kinds) + struct.pack(">i", count)
    return head + b"".join(bytes_of(*each, data, depth + 1) for _ in range(count) for each in kinds)


def struct_bytes(cls: Any, data: st.DataObject, depth: int = 0) -> bytes:
    """Some of the struct's fields, and some that it does not have or has otherwise."""
    out = b""
    for number, (kind, _, *details, required) in cls.thrift_spec.items():
        if not data.draw(st.booleans()) and not required:
            continue
        shift = data.draw(st.sampled_from([0] * 12 + [1]))
        wire = STRING if kind == BINARY else kind
        out += struct.pack(">Bh", wire, number + shift) + bytes_of(kind, details[0] if details else None, data, depth)
        if depth >= 6:
            break
    return out + b"\0"


ARGUMENTS = [
    getattr(service(name), f"{method}_args")
    for name in ("Nimbus", "Supervisor")
    for method in service(name).thrift_services
]


@settings(max_examples=200)
@given(st.sampled_from(ARGUMENTS), st.data())
def test_whatever_the_scan_lets_pass_is_read_or_refused(cls: Any, data: st.DataObject) -> None:
    """For the arguments of every method: nothing but ThriftProtocolError comes out of sound bytes of any shape."""
    content = bytearray(struct_bytes(cls, data))
    for _ in range(data.draw(st.integers(0, 2))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = deserialize(cls, bytes(content))
    except ThriftProtocolError:
        return
    assert isinstance(read, cls)
