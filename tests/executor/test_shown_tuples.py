from __future__ import annotations

from typing import Any

from storm.executor.shown_tuples import VALUES_CHARS_MAX, shown_tuple, shown_work
from storm.tuples import Origin, Tuple

WORDS = Origin("words", "default", 3, ["value"])
FROM = " from 'words' (task 3), stream 'default'"


def of(*values: Any, settled: bool = False) -> Tuple:
    tup = Tuple(list(values), WORDS)
    tup.settled = settled
    return tup


def test_values_and_where_they_came_from() -> None:
    assert shown_tuple(of("red", 3, None)) == f"['red', 3, None]{FROM}"


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no")


def test_all_values_together_are_cut() -> None:
    values = shown_tuple(of(*["x" * 79] * 6)).removesuffix(FROM)
    assert values.endswith("...")
    assert len(values) == VALUES_CHARS_MAX


def test_what_cannot_be_shown_does_no_harm() -> None:
    text = shown_tuple(of(Unspeakable()))
    assert "Unspeakable" in text
    assert text.endswith(FROM)


def test_of_several_tuples_how_many_and_the_first_that_is_not_settled() -> None:
    assert shown_work([]) == ""
    assert shown_work([of(1, settled=True)]) == f"Executing [1]{FROM}"
    some = [of(1, settled=True), of(2), of(3)]
    assert shown_work(some) == f"Executing 3 tuples at once, 2 not settled yet, the first of these: [2]{FROM}"
    done = [of(1, settled=True), of(2, settled=True)]
    assert shown_work(done) == f"Executing 2 tuples at once, all of them settled, the first: [1]{FROM}"
