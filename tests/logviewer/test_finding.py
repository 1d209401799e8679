from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.logviewer.finding import CONTEXT_BYTES, Finder, Match


def found(data: bytes, needle: bytes, count: int, start: int, sizes: list[int]) -> list[Match]:
    """What a Finder finds that is fed pieces of these sizes, from as far before `start` as a search begins."""
    begin = max(0, start - CONTEXT_BYTES)
    finder, rest = Finder(needle, count, begin, start), data[begin:]
    for size in sizes:
        finder.feed(rest[:size])
        rest = rest[size:]
    finder.feed(rest)
    finder.finish()
    return finder.matches


def expected(data: bytes, needle: bytes, count: int, start: int) -> list[Match]:
    matches: list[Match] = []
    at = data.find(needle, start)
    while at >= 0 and len(matches) < count:
        end = at + len(needle)
        before = data[max(0, at - CONTEXT_BYTES) : at]
        matches.append(Match(at, before, needle, data[end : end + CONTEXT_BYTES]))
        at = data.find(needle, end)
    return matches


@given(
    data=st.binary(max_size=600).map(lambda data: bytes(byte % 3 for byte in data)),
    needle=st.binary(min_size=1, max_size=4).map(lambda data: bytes(byte % 3 for byte in data)),
    count=st.integers(1, 30),
    start=st.integers(0, 700),
    sizes=st.lists(st.integers(0, 150), max_size=10),
)
def test_it_finds_the_same_however_the_file_is_cut(
    data: bytes, needle: bytes, count: int, start: int, sizes: list[int]
) -> None:
    """What stands before a match at `start` is told from as far as is read."""
    assert found(data, needle, count, start, sizes) == expected(data, needle, count, start)


def test_a_match_over_the_border_of_pieces_is_found_with_all_around_it() -> None:
    data = b"b" * 500 + b"needle" + b"a" * 500
    [match] = found(data, b"needle", 5, 0, [503, 2])
    assert match == Match(500, b"b" * CONTEXT_BYTES, b"needle", b"a" * CONTEXT_BYTES)
    assert match.end == 506


@pytest.mark.parametrize("start", [0, 3, 10])
def test_its_position_is_where_to_go_on(start: int) -> None:
    finder = Finder(b"needle", 1, 0, start)
    finder.feed(b"x" * 1000 + b"nee")
    assert not finder.has_enough
    assert finder.position <= 1000
    again = Finder(b"needle", 1, finder.position, finder.position)
    again.feed((b"x" * 1000 + b"needle")[finder.position :])
    again.finish()
    assert [match.offset for match in again.matches] == [1000]


def test_it_keeps_no_more_of_the_file_than_it_needs() -> None:
    finder = Finder(b"needle", 1, 0, 0)
    for _ in range(100):
        finder.feed(b"x" * 10_000)
        assert len(finder._window) <= CONTEXT_BYTES + len(b"needle")
