from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.dev_zookeeper.jute import JuteReader, JuteWriter
from storm.errors import MalformedPacketError

FIELDS = st.one_of(
    st.tuples(st.just("bool"), st.booleans()),
    st.tuples(st.just("int"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("long"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("buffer"), st.none() | st.binary(max_size=50)),
    st.tuples(st.just("string"), st.none() | st.text(max_size=50)),
)
READERS = ["read_bool", "read_int", "read_long", "read_buffer", "read_string"]


def written(fields: list[tuple[str, object]]) -> bytes:
    writer = JuteWriter()
    for kind, value in fields:
        getattr(writer, f"write_{kind}")(value)
    return bytes(writer.packet)


@given(st.lists(FIELDS))
def test_what_is_written_is_read_back(fields: list[tuple[str, object]]) -> None:
    reader = JuteReader(written(fields))

    assert [getattr(reader, f"read_{kind}")() for kind, _ in fields] == [value for _, value in fields]
    assert reader.remaining_bytes == 0


@given(st.lists(st.text(max_size=10)))
def test_a_vector_of_strings_is_read_back(strings: list[str]) -> None:
    reader = JuteReader(bytes(JuteWriter().write_strings(strings).packet))

    assert reader.read_vector(reader.read_string) == tuple(strings)


@given(st.lists(FIELDS, min_size=1), st.data())
def test_a_packet_cut_short_is_malformed(fields: list[tuple[str, object]], data: st.DataObject) -> None:
    packet = written(fields)
    reader = JuteReader(packet[: data.draw(st.integers(0, len(packet) - 1))])

    with pytest.raises(MalformedPacketError):
        [getattr(reader, f"read_{kind}")() for kind, _ in fields]


@given(st.binary(max_size=40), st.lists(st.sampled_from(READERS), max_size=8))
def test_any_bytes_are_read_or_refused(packet: bytes, reads: list[str]) -> None:
    reader = JuteReader(packet)
    try:
        for read in reads:
            getattr(reader, read)()
    except MalformedPacketError:
        return
    assert 0 <= reader.remaining_bytes <= len(packet)


@pytest.mark.parametrize("count", [-2, 3, 2**31 - 1])
def test_a_vector_with_an_impossible_count_is_refused_before_it_is_built(count: int) -> None:
    reader = JuteReader(bytes(JuteWriter().write_int(count).packet) + b"ab")

    with pytest.raises(MalformedPacketError, match="2 bytes"):
        reader.read_vector(reader.read_bool)


def test_a_vector_of_more_items_than_allowed_is_refused_before_it_is_built() -> None:
    packet = bytes(JuteWriter().write_strings(["a"] * 3).packet)
    reader = JuteReader(packet)
    assert reader.read_vector(reader.read_string, 3) == ("a",) * 3
    with pytest.raises(MalformedPacketError, match="3 items; the most is 2"):
        JuteReader(packet).read_vector(lambda: pytest.fail("nothing is read"), 2)


def test_a_null_vector_is_empty() -> None:
    reader = JuteReader(b"\xff\xff\xff\xff")

    assert reader.read_vector(reader.read_int) == ()


def test_a_string_must_be_utf8() -> None:
    with pytest.raises(MalformedPacketError, match="UTF-8"):
        JuteReader(b"\0\0\0\x01\xff").read_string()
