from __future__ import annotations

import pytest

from storm.tuples import Origin, Tuple

ORIGIN = Origin("split", "default", 7, ["word", "count"])


def test_values_are_read_by_position_by_name_and_as_attributes() -> None:
    tup = Tuple(["storm", 3], ORIGIN)
    assert (tup[0], tup["word"], tup.word) == ("storm",) * 3
    assert (tup[-1], tup["count"], tup.count) == (3, 3, 3)
    assert list(tup) == ["storm", 3]
    assert len(tup) == 2
    assert "word" in tup
    assert "words" not in tup
    assert tup.as_dict() == {"word": "storm", "count": 3}


def test_it_knows_where_it_comes_from() -> None:
    tup = Tuple(["storm", 3], ORIGIN)
    assert (tup.component, tup.stream, tup.task, tup.fields) == ("split", "default", 7, ("word", "count"))
    assert repr(tup) == "Tuple(['storm', 3] from split:7/default)"
    assert not tup.is_tick()
    assert Tuple([1], Origin("__system", "__tick", -1, ["rate_secs"])).is_tick()


def test_what_is_not_there_is_named() -> None:
    tup = Tuple(["storm", 3], ORIGIN)
    with pytest.raises(KeyError, match=r"no field 'wrod' in \['word', 'count'\]"):
        tup["wrod"]
    with pytest.raises(AttributeError, match="no field 'wrod'"):
        _ = tup.wrod
    with pytest.raises(IndexError):
        tup[2]


def test_a_field_with_the_name_of_a_method_is_read_by_name() -> None:
    tup = Tuple([1, 2], Origin("a", "default", 1, ["stream", "values"]))
    assert (tup["stream"], tup["values"]) == (1, 2)
    assert tup.stream == "default"


def test_a_new_tuple_belongs_to_no_tree() -> None:
    tup = Tuple(["storm", 3], ORIGIN)
    assert (tup.root, tup.edge, tup.more, tup.settled) == (0, 0, None, False)
