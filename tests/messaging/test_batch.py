from __future__ import annotations

import contextlib
import zlib
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.config.options import OPTIONS
from storm.errors import FrameError
from storm.messaging import batch
from storm.messaging.batch import (
    HEADER_BYTES,
    INQUIRY_ROOTS_MAX,
    NEWEST,
    FrameKind,
    Held,
    Hello,
    Inquiry,
    Throttle,
    TrackingSection,
    TupleSection,
    WorkerAddress,
    batch_frame,
    held_frame,
    hello_frame,
    inquiry_frame,
    node_hash,
    read_frame,
    read_held,
    read_hello,
    read_inquiry,
    read_sections,
    read_throttle,
    throttle_frame,
    topology_hash,
    tracking_section,
    tuple_section,
)
from storm.messaging.columns import columns, tuples_of
from storm.messaging.tuple_codec import decode_rows, encode_rows
from storm.tuples import Origin, Tuple

SOURCE = WorkerAddress(topology_hash("wc-1-1700000000"), node_hash("node-a"), 6700, 3)
ORIGIN = Origin("split", "default", 7, ["word", "n"])

roots = st.integers(1, (1 << 64) - 1)
edges = st.integers(0, (1 << 64) - 1)
task_ids = st.integers(-1, (1 << 31) - 1)


@st.composite
def tuples(draw: st.DrawFn) -> Tuple:
    tup = Tuple([draw(st.text("ab水")), draw(st.integers())], ORIGIN)
    if draw(st.booleans()):
        tup.root, tup.edge = draw(roots), draw(edges)
        tup.more = draw(st.none() | st.dictionaries(roots, edges, min_size=1, max_size=3))
    return tup


def seen(tup: Tuple) -> tuple[Any, ...]:
    return (list(tup.values), tup.origin, tup.root, tup.edge, tup.more, tup.settled)


def section_of(target: int, batch: list[Tuple]) -> bytes:
    parts = columns(batch)
    return tuple_section(target, ORIGIN, parts, encode_rows(parts.rows))


@given(st.lists(st.tuples(task_ids, st.lists(tuples(), min_size=1)), max_size=4))
def test_tuples_come_out_as_they_went_in(batches: list[tuple[int, list[Tuple]]]) -> None:
    frame = read_frame(batch_frame(SOURCE, [section_of(target, batch) for target, batch in batches]))
    assert (frame.source, frame.kind) == (SOURCE, FrameKind.BATCH)
    got = []
    for section in read_sections(frame.body):
        assert isinstance(section, TupleSection)
        assert (section.source, section.stream) == (7, "default")
        got.append((section.target, tuples_of(decode_rows(section.values), section, ORIGIN)))
    assert [(target, list(map(seen, batch))) for target, batch in got] == [
        (target, list(map(seen, batch))) for target, batch in batches
    ]


@given(st.integers(0, 255), task_ids, task_ids, st.lists(st.tuples(edges, edges)))
def test_tracking_comes_out_as_it_went_in(kind: int, target: int, source: int, pairs: list[tuple[int, int]]) -> None:
    packed = array("Q", [number for pair in pairs for number in pair])
    frame = read_frame(batch_frame(SOURCE, [tracking_section(kind, target, source, packed)]))
    assert list(read_sections(frame.body)) == [TrackingSection(kind, target, source, packed)]


@pytest.mark.parametrize("answer", [True, False])
def test_hello(answer: bool) -> None:
    frame = read_frame(hello_frame(SOURCE, Hello(answer, 7)))
    assert frame.kind is FrameKind.HELLO
    assert read_hello(frame.body) == Hello(answer, 7)


@given(st.integers(0, 60_000), st.lists(task_ids).map(tuple))
def test_throttle(ttl_ms: int, tasks: tuple[int, ...]) -> None:
    frame = read_frame(throttle_frame(SOURCE, Throttle(ttl_ms, tasks)))
    assert frame.kind is FrameKind.THROTTLE
    assert read_throttle(frame.body) == Throttle(ttl_ms, tasks)


def test_tuples_that_nobody_tracks_carry_no_ids() -> None:
    plain = [Tuple(["a", 1], ORIGIN), Tuple(["b", 2], ORIGIN)]
    assert columns(plain).ids is None
    tracked = section_of(1, [*plain, Tuple(["c", 3], ORIGIN, root=5, edge=6)])
    assert len(tracked) - len(section_of(1, plain)) == 3 * 16 + len(encode_rows([["c", 3]])) - 1


def whole_frame() -> bytes:
    several = Tuple(["c", 3], ORIGIN, root=5, edge=6)
    several.more = {8: 9}
    return batch_frame(
        SOURCE,
        [section_of(1, [Tuple(["a", 1], ORIGIN), several]), tracking_section(2, 9, 7, array("Q", [1, 2, 3, 4]))],
    )


@given(st.integers(0, 8 * len(whole_frame()) - 1))
def test_a_damaged_frame_is_never_read(bit: int) -> None:
    frame = bytearray(whole_frame())
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FrameError):
        read_frame(bytes(frame))


@given(st.integers(0, len(whole_frame()) - 1))
def test_a_truncated_frame_is_never_read(size: int) -> None:
    with pytest.raises(FrameError):
        read_frame(whole_frame()[:size])


@given(st.binary() | st.binary().map(lambda data: b"STRM" + zlib.crc32(data).to_bytes(4, "little") + data))
def test_arbitrary_bytes_are_a_frame_error(data: bytes) -> None:
    with pytest.raises(FrameError):
        read_frame(data)


def read_all(body: bytes) -> None:
    view = memoryview(body)
    for read in (read_hello, read_throttle, read_inquiry, read_held):
        with contextlib.suppress(FrameError):
            read(view)
    for section in read_sections(view):
        if isinstance(section, TupleSection):
            rows = decode_rows(section.values)
            assert len(tuples_of(rows, section, ORIGIN)) == section.tuple_count


@given(st.data())
def test_a_body_with_a_right_checksum_and_wrong_content_is_a_frame_error_too(data: st.DataObject) -> None:
    body = bytearray(whole_frame()[HEADER_BYTES:])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)))]
    with contextlib.suppress(FrameError):
        read_all(bytes(body))


@given(st.binary())
def test_an_arbitrary_body_is_a_frame_error(body: bytes) -> None:
    with contextlib.suppress(FrameError):
        read_all(body)


def speaks(monkeypatch: pytest.MonkeyPatch, oldest: int, newest: int) -> None:
    """From now on this is a release that speaks these versions."""
    monkeypatch.setattr(batch, "OLDEST", oldest)
    monkeypatch.setattr(batch, "NEWEST", newest)


def with_kind(frame: bytes, kind: int) -> bytes:
    rest = frame[8:9] + bytes([kind]) + frame[10:]
    return frame[:4] + zlib.crc32(rest).to_bytes(4, "little") + rest


@given(st.integers(1, 255), st.binary())
def test_a_hello_says_what_its_sender_reads_and_may_say_more_than_we_know(newest: int, more: bytes) -> None:
    frame = read_frame(hello_frame(SOURCE, Hello(False, 7, newest)))
    hello = read_hello(memoryview(bytes(frame.body) + more))
    assert (hello, hello.spoken) == (Hello(False, 7, newest), NEWEST)


def test_peers_speak_the_newest_version_that_both_read_and_a_newer_one_is_refused_with_advice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speaks(monkeypatch, 1, 2)
    assert [Hello(False, 7, newest).spoken for newest in (1, 2, 3)] == [1, 2, 2]
    frames = {version: batch_frame(SOURCE, [], version) for version in (1, 2, 3)}
    assert read_frame(frames[1]).kind is read_frame(frames[2]).kind is FrameKind.BATCH
    with pytest.raises(FrameError, match=r"version 3.*reads up to 2.*one release at a time"):
        read_frame(frames[3])


def test_every_release_reads_a_hello_and_refuses_a_peer_that_would_not_understand_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = (hello_frame(SOURCE, Hello(False, 7, newest)) for newest in (1, 2))
    speaks(monkeypatch, 2, 3)
    assert hello_frame(SOURCE, Hello(False, 7, 2)) == second
    assert read_hello(read_frame(second).body).spoken == 2
    with pytest.raises(FrameError, match=r"up to version 1.*2 to 3.*one release at a time"):
        read_hello(read_frame(first).body)


def test_a_kind_of_frame_that_is_not_known_is_a_frame_error() -> None:
    with pytest.raises(FrameError, match="unknown kind of frame 99"):
        read_frame(with_kind(batch_frame(SOURCE, []), 99))


def test_sections_before_one_of_an_unknown_kind_are_read() -> None:
    known = tracking_section(2, 9, 7, array("Q", [1, 2]))
    found = read_sections(memoryview(known + b"\x63" + bytes(100)))
    assert next(found) == TrackingSection(2, 9, 7, array("Q", [1, 2]))
    with pytest.raises(FrameError, match="unknown kind of section 99"):
        next(found)


def golden_frames() -> list[bytes]:
    """The examples of docs/wire.md, in order: blocks of hexadecimal digits, each line with a comment."""
    text = (Path(__file__).parents[2] / "docs" / "wire.md").read_text()
    blocks = text.split("```hex\n")[1:]
    return [
        bytes.fromhex("".join(line.partition("#")[0] for line in block.partition("```")[0].splitlines()))
        for block in blocks
    ]


def test_golden_bytes() -> None:
    assert golden_frames() == [
        whole_frame(),
        hello_frame(SOURCE, Hello(False, 7, routed_by=3)),
        throttle_frame(SOURCE, Throttle(2000, (4, 5))),
        inquiry_frame(SOURCE, Inquiry(3, (5, 8))),
        held_frame(SOURCE, Held(3, ((5, 4, 3), (0, 6, 1)))),
    ]


@given(st.integers(0, (1 << 32) - 1), st.lists(edges).map(tuple))
def test_inquiry(number: int, wanted: tuple[int, ...]) -> None:
    frame = read_frame(inquiry_frame(SOURCE, Inquiry(number, wanted)))
    assert frame.kind is FrameKind.INQUIRY
    assert read_inquiry(frame.body) == Inquiry(number, wanted)


@given(st.integers(0, (1 << 32) - 1), st.lists(st.tuples(edges, task_ids, st.integers(0, (1 << 32) - 1))).map(tuple))
def test_held(number: int, entries: tuple[tuple[int, int, int], ...]) -> None:
    frame = read_frame(held_frame(SOURCE, Held(number, entries)))
    assert frame.kind is FrameKind.HELD
    assert read_held(frame.body) == Held(number, entries)


def test_a_question_or_an_answer_that_is_too_long_is_cut() -> None:
    many = tuple(range(1, INQUIRY_ROOTS_MAX + 2))
    assert read_inquiry(read_frame(inquiry_frame(SOURCE, Inquiry(1, many))).body).roots == many[:-1]
    held = Held(1, tuple((root, 1, 2) for root in many))
    frame = held_frame(SOURCE, held)
    assert read_held(read_frame(frame).body).entries == held.entries[:-1]
    limit = OPTIONS["storm.messaging.max.message.bytes"].type
    limit.checked(2 * len(frame))
    with pytest.raises(ValueError, match="expected integer >= "):
        limit.checked(len(frame))


@pytest.mark.parametrize("read", [read_inquiry, read_held])
@pytest.mark.parametrize(
    "body", [b"", bytes(7), bytes(9), b"\x01\0\0\0\x01\0\0\0", b"\x01\0\0\0\xff\xff\xff\xff" + bytes(16)]
)
def test_a_malformed_question_or_answer_is_a_frame_error(read: Any, body: bytes) -> None:
    with pytest.raises(FrameError):
        read(memoryview(body))
