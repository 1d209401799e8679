from __future__ import annotations

import copy

import pytest

from storm.tuples import Origin, Tuple

WORDS = Origin("split", "default", 4, ["word", "count"])


def test_values_by_position_name_and_attribute() -> None:
    tup = Tuple(["storm", 3], WORDS)
    assert (tup[0], tup["word"], tup.word) == ("storm", "storm", "storm")
    assert (tup[-1], tup["count"], tup.count) == (3, 3, 3)
    assert list(tup) == ["storm", 3]
    assert tup.as_dict() == {"word": "storm", "count": 3}
    assert len(tup) == 2
    assert "word" in tup
    assert "nothing" not in tup


def test_where_it_came_from() -> None:
    tup = Tuple(["storm", 3], WORDS)
    assert (tup.component, tup.stream, tup.task, tup.fields) == ("split", "default", 4, ("word", "count"))
    assert repr(tup) == "Tuple(['storm', 3] from split:4/default)"
    assert not tup.is_tick()


def test_a_field_that_is_not_there_is_named_with_those_that_are() -> None:
    tup = Tuple(["storm", 3], WORDS)
    with pytest.raises(KeyError, match=r"no field 'wrod' in \['word', 'count'\]"):
        tup["wrod"]
    with pytest.raises(AttributeError, match=r"no field 'wrod' in \['word', 'count'\]"):
        _ = tup.wrod
    with pytest.raises(IndexError):
        tup[2]


def test_half_made_tuples_and_copies_do_not_recurse() -> None:
    bare = Tuple.__new__(Tuple)
    with pytest.raises(AttributeError):
        _ = bare.values
    assert copy.copy(Tuple(["a", 1], WORDS)).word == "a"


def test_a_tick_is_told_apart() -> None:
    assert Tuple([1], Origin("__system", "__tick", -1, ["rate_secs"])).is_tick()
