from __future__ import annotations

import pytest

from storm.http.problems import Problem
from storm.ui.pages.log_part import PART_BYTES, Part, Wanted, marked, part, shown, wanted

LOG = b"one\ntwo\nthree\nfour\n"


def test_what_is_asked_for_is_bounded_whatever_the_query_says() -> None:
    assert wanted({}).asked() == (-PART_BYTES, PART_BYTES)
    assert wanted({"start": "7"}).asked() == (7, PART_BYTES)
    assert wanted({"end": "100"}).asked() == (0, 100)
    assert wanted({"end": "1000000"}).asked() == (1_000_000 - PART_BYTES, PART_BYTES)
    assert wanted({"start": "0", "text": "a b"}) == Wanted(0, None, "a b")


@pytest.mark.parametrize(
    "query",
    [
        {"start": "-1"},
        {"start": "x"},
        {"end": "1e3"},
        {"end": "9" * 17},
        {"start": "１"},
        {"text": "é" * 513},
        {"file": "worker.log.6"},
    ],
)
def test_what_makes_no_sense_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(Problem) as refused:
        wanted(query)
    assert refused.value.status == 400


def test_parts_from_the_end_have_whole_lines_and_meet() -> None:
    newest = part(Wanted(), LOG[5:], 5, len(LOG))
    assert newest == Part((("three\nfour\n", False),), 8, len(LOG), len(LOG))
    older = part(Wanted(end=newest.begin), LOG[:8], 0, len(LOG))
    assert older == Part((("one\ntwo\n", False),), 0, 8, len(LOG))


def test_parts_from_a_byte_on_have_whole_lines_and_the_last_one_what_there_is() -> None:
    first = part(Wanted(start=0), LOG[:6], 0, len(LOG))
    assert (first.pieces, first.end) == ((("one\n", False),), 4)
    last = part(Wanted(start=8), LOG[8:-1], 8, len(LOG) - 1)
    assert (last.pieces, last.end) == ((("three\nfour", False),), len(LOG) - 1)


def test_a_line_that_is_longer_than_a_part_is_shown_in_pieces() -> None:
    assert part(Wanted(), b"long line\n", 100, 110).begin == 100
    assert part(Wanted(start=0), b"long", 0, 9).end == 4


def test_a_log_that_was_put_aside_does_not_reach_so_far() -> None:
    assert Wanted(start=11).is_behind(10)
    assert Wanted(end=11).is_behind(10)
    assert not Wanted(start=10).is_behind(10)
    assert not Wanted().is_behind(0)


def test_a_text_is_marked_at_a_bounded_number_of_places() -> None:
    assert marked("a needle, needles", "needle") == (
        ("a ", False), ("needle", True), (", ", False), ("needle", True), ("s", False),
    )  # fmt: skip
    assert len(marked("x" * 5_000, "x")) == 1_001


def test_what_is_meant_for_terminals_is_not_shown() -> None:
    assert shown(b"\x1b[31mred\x1b[0m\tand\r\n\x00\xff") == "red\tand\n�"
