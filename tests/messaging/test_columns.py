from __future__ import annotations

from array import array
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.errors import FrameError
from storm.messaging.batch import TupleSection
from storm.messaging.columns import ValueCheck, by_origin, columns, tuples_of
from storm.tuples import Origin, Tuple

ORIGIN = Origin("split", "default", 7, ["word", "n"])
OTHER = Origin("count", "default", 8, ["word", "n"])


class Colour(IntEnum):
    RED = 1


class Name(str):
    pass


PLAIN = ["a", b"b", 1, -(1 << 63), (1 << 64) - 1, 1.5, True, None]
NOT_PLAIN = [Colour.RED, Name("a"), [], (), {}, bytearray(), object()]


def section(count: int, ids: list[int] | None, more: dict[int, dict[int, int]]) -> TupleSection:
    return TupleSection(1, 7, "default", count, memoryview(b""), None if ids is None else array("Q", ids), more)


def test_values_that_every_encoder_writes_alike_are_called_plain() -> None:
    assert columns([Tuple([value, 0], ORIGIN) for value in PLAIN]).plain
    for value in NOT_PLAIN:
        assert not columns([Tuple(["a", 0], ORIGIN), Tuple([0, value], ORIGIN)]).plain


def test_a_row_is_a_list_whatever_was_emitted() -> None:
    assert columns([Tuple(("a", 1), ORIGIN)]).rows == [["a", 1]]


@pytest.mark.parametrize("rows", [[["a", 1]], [["a", 1], ["b"]], [["a", 1], ["b", 2, 3]]])
def test_rows_that_do_not_fit_the_stream_are_refused(rows: list[list[Any]]) -> None:
    with pytest.raises(FrameError, match=r"values on a stream|tuples where"):
        tuples_of(rows, section(2, None, {}), ORIGIN)


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=8))
def test_roots_and_edges_that_do_not_fit_the_rows_are_refused(ids: list[int]) -> None:
    rows = [["a", 1], ["b", 2]]
    if len(ids) == 4:
        assert [n for tup in tuples_of(rows, section(2, ids, {}), ORIGIN) for n in (tup.root, tup.edge)] == ids
    else:
        with pytest.raises(FrameError, match="tuples where"):
            tuples_of(rows, section(2, ids, {}), ORIGIN)


def test_tuples_of_several_origins_keep_their_order_within_each() -> None:
    batch = [Tuple([word, 0], ORIGIN if word in "ab" else OTHER) for word in "axb"]
    assert [(origin, [tup.values[0] for tup in part]) for origin, part in by_origin(batch)] == [
        (ORIGIN, ["a", "b"]),
        (OTHER, ["x"]),
    ]
    assert by_origin(batch[:1]) == [(ORIGIN, batch[:1])]


@pytest.mark.parametrize("value", PLAIN)
def test_plain_values_pass_the_check_at_once(value: Any) -> None:
    examined: list[Any] = []
    ValueCheck(100, examined.append).check([value, 0])
    assert examined == []


@pytest.mark.parametrize("value", [*NOT_PLAIN, 1 << 64, -(1 << 63) - 1, "\ud800", "é", "x" * 101, b"x" * 101])
def test_all_others_are_examined(value: Any) -> None:
    examined: list[Any] = []
    values = [0, value]
    ValueCheck(100, examined.append).check(values)
    assert examined == [values]
