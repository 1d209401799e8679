from __future__ import annotations

import pytest

from storm.http.problems import Problem
from storm.logviewer.asking import (
    NEEDLE_BYTES_MAX,
    OFFSET_MAX,
    PAGE_BYTES,
    PAGE_BYTES_MAX,
    PageWanted,
    is_yes,
    matches_wanted,
    needed,
    offset,
    page_wanted,
    search_text,
)


def test_a_page_is_the_last_bytes_unless_it_is_told_otherwise() -> None:
    assert page_wanted({}) == PageWanted(None, PAGE_BYTES)
    assert page_wanted({"start": "", "length": ""}) == PageWanted(None, PAGE_BYTES)
    assert page_wanted({"start": "0", "length": "10", "grep": "x", "head": "9-1"}) == PageWanted(0, 10, "x", "9-1")


@pytest.mark.parametrize(
    "query",
    [{"start": "-1"}, {"start": "x"}, {"start": "²"}, {"start": str(OFFSET_MAX + 1)}, {"start": "1" * 5_000},
     {"length": "0"}, {"length": str(PAGE_BYTES_MAX + 1)}, {"length": "1e3"}],
)  # fmt: skip
def test_no_number_is_told(query: dict[str, str]) -> None:
    with pytest.raises(Problem) as refused:
        page_wanted(query)
    assert refused.value.status == 400


@pytest.mark.parametrize("text", ["", "x" * (NEEDLE_BYTES_MAX + 1), "é" * NEEDLE_BYTES_MAX])
def test_what_is_looked_for_has_a_length(text: str) -> None:
    assert search_text({"search-string": "é"}) == "é"
    with pytest.raises(Problem):
        search_text({"search-string": text})


def test_yes_and_no_in_several_words() -> None:
    assert [is_yes({"x": word}, "x") for word in ("yes", "TRUE", "1", "on")] == [True] * 4
    assert not any(is_yes(query, "x") for query in ({}, {"x": "no"}, {"x": "false"}, {"x": ""}))
    with pytest.raises(Problem, match="x is true or false"):
        is_yes({"x": "perhaps"}, "x")


def test_the_rest() -> None:
    assert needed({"file": "a"}, "file") == "a"
    assert (matches_wanted({}, 7), matches_wanted({"num-matches": "3"}, 7), offset({}, "start-byte-offset")) == (
        7,
        3,
        0,
    )
    with pytest.raises(Problem, match="file is missing"):
        needed({}, "file")
