from __future__ import annotations

import struct
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.errors import ThriftProtocolError
from storm.thrift.binary_protocol import encode_message, serialize
from storm.thrift.interface import storm_thrift
from storm.thrift.prescan import (
    CALL,
    I64,
    LIST,
    MAP,
    STRING,
    STRUCT,
    MessageHeader,
    ScanLimits,
    read_header,
    scan_message,
    scan_struct,
    skip_value,
)

VOID, HUGE = 1, 2**31 - 1


def message(body: bytes, method: bytes = b"getTopology") -> bytes:
    return struct.pack(">HBBi", 0x8001, 0, CALL, len(method)) + method + struct.pack(">i", 7) + body


def field(kind: int, value: bytes, number: int = 1) -> bytes:
    return struct.pack(">Bh", kind, number) + value


def some_topology() -> bytes:
    t = storm_thrift()
    source = t.GlobalStreamId(componentId="lines", streamId="default")
    common = t.ComponentCommon(
        inputs={source: t.Grouping(fields=["word"])},
        streams={"default": t.StreamInfo(output_fields=["word", "count"], direct=False)},
        parallelism_hint=2,
        json_conf="{}",
    )
    bolt = t.Bolt(bolt_object=t.ComponentObject(serialized_python=b"\x80\x05N."), common=common)
    topology = t.StormTopology(spouts={}, bolts={"count": bolt}, state_spouts={}, worker_hooks=[b"\xff"])
    return serialize(topology)


def test_header_is_read() -> None:
    assert read_header(message(b"\0")) == MessageHeader("getTopology", CALL, 7, 23)


def test_real_messages_pass() -> None:
    options = storm_thrift().KillOptions(wait_secs=3)
    assert scan_message(encode_message(MessageHeader("x", CALL, 1, 0), options)).method == "x"
    scan_struct(some_topology())


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (field(LIST, struct.pack(">Bi", VOID, HUGE)) + b"\0", "unknown type"),
        (field(LIST, struct.pack(">Bi", I64, HUGE)) + b"\0", "elements with"),
        (field(LIST, struct.pack(">Bi", I64, -1)) + b"\0", "elements with"),
        (field(MAP, struct.pack(">BBi", STRING, VOID, 5)) + b"\0", "unknown type"),
        (field(MAP, struct.pack(">BBi", STRING, I64, HUGE)) + b"\0", "elements with"),
        (field(STRING, struct.pack(">i", HUGE)) + b"\0", "ends inside"),
        (field(STRING, struct.pack(">i", -1)) + b"\0", "a string of -1"),
        (field(99, b"") + b"\0", "no type 99"),
        (field(I64, b"1234"), "ends inside"),
        (field(LIST, struct.pack(">Bi", LIST, 1)) + struct.pack(">Bi", LIST, 1) * 200_000, "deeper than 32"),
        (b"", "ends inside"),
        (b"\0\0", "follow the end"),
    ],
)
def test_hostile_bodies_are_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(ThriftProtocolError, match=complaint):
        scan_message(message(body))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x80\x01\0\1",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        struct.pack(">HBBi", 0x8001, 0, 9, 1) + b"x\0\0\0\0",
        struct.pack(">HBBi", 0x8001, 0, CALL, HUGE) + b"x\0\0\0\0",
        struct.pack(">HBBi", 0x8001, 0, CALL, -1) + b"x\0\0\0\0",
        message(b"\0", method=b"m" * 129),
        message(b"\0", method=b"\xff\xfe"),
    ],
)
def test_hostile_headers_are_refused(frame: bytes) -> None:
    with pytest.raises(ThriftProtocolError):
        read_header(frame)


def test_an_announced_gigabyte_is_not_allocated() -> None:
    frame = message(field(LIST, struct.pack(">Bi", STRUCT, HUGE)))
    tracemalloc.start()
    with pytest.raises(ThriftProtocolError):
        scan_message(frame)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1 << 20


def test_empty_containers_may_have_any_type() -> None:
    scan_struct(field(MAP, struct.pack(">BBi", 0, 0, 0)) + b"\0")


def test_fields_and_elements_are_counted_together() -> None:
    three = struct.pack(">Bi3q", I64, 3, 1, 2, 3)
    body = field(LIST, three) + field(LIST, three, number=2) + b"\0"
    scan_struct(body, limits=ScanLimits(values_max=8))
    with pytest.raises(ThriftProtocolError, match="more than 7 values"):
        scan_struct(body, limits=ScanLimits(values_max=7))


def test_depth_counts_the_outermost_struct() -> None:
    nested = field(STRUCT, field(STRUCT, b"\0") + b"\0") + b"\0"
    scan_struct(nested, limits=ScanLimits(depth_max=3))
    with pytest.raises(ThriftProtocolError, match="deeper than 2"):
        scan_struct(nested, limits=ScanLimits(depth_max=2))


def test_a_value_is_skipped_to_its_end() -> None:
    value = struct.pack(">BBi", STRING, I64, 1) + struct.pack(">i3sq", 3, b"abc", 9)
    assert skip_value(b"xx" + value + b"rest", 2, MAP) == 2 + len(value)


@given(st.binary(max_size=300))
def test_any_bytes_end_in_an_answer(data: bytes) -> None:
    for frame in (data, message(data)):
        try:
            scan_message(frame)
        except ThriftProtocolError:
            continue
        assert frame.endswith(b"\0")


@given(st.data())
def test_mutated_messages_end_in_an_answer(data: st.DataObject) -> None:
    original = message(field(STRUCT, some_topology()) + b"\0")
    frame = bytearray(original)
    places = st.integers(0, len(frame) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        frame[place] = byte
    try:
        header = scan_message(bytes(frame))
    except ThriftProtocolError:
        return
    assert 0 < header.body_offset < len(frame)


def calls_of(frame: bytes) -> int:
    """How many functions, ours and built-in ones, a scan calls."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        scan_message(frame)
    except ThriftProtocolError:
        pass
    finally:
        sys.setprofile(None)
    return calls


CALLS_PER_BYTE = 16
EMPTY_STRUCTS = field(LIST, struct.pack(">Bi", STRUCT, 500)) + bytes(500) + b"\0"
EMPTY_LISTS = field(LIST, struct.pack(">Bi", LIST, 100)) + struct.pack(">Bi", VOID, 0) * 100 + b"\0"
EMPTY_MAPS = field(MAP, struct.pack(">BBi", STRING, STRUCT, 100)) + (struct.pack(">i", 0) + b"\0") * 100 + b"\0"
SHORT_FIELDS = field(2, b"\1") * 200 + b"\0"


@pytest.mark.parametrize("body", [EMPTY_STRUCTS, EMPTY_LISTS, EMPTY_MAPS, SHORT_FIELDS])
def test_the_smallest_values_cost_a_few_steps_a_byte(body: bytes) -> None:
    assert calls_of(message(body)) <= CALLS_PER_BYTE * len(body)


@given(st.data())
def test_no_message_costs_more_than_its_length(data: st.DataObject) -> None:
    """Bytes that are mostly types and small counts, so that many of them are read as values."""
    likely = st.sampled_from([0, 0, 0, 1, 2, 3, 8, 10, 11, 12, 13, 14, 15])
    body = bytes(data.draw(st.lists(likely | st.integers(0, 255), max_size=400)))
    assert calls_of(message(body)) <= CALLS_PER_BYTE * len(body) + 100
