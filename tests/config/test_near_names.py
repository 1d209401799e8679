from __future__ import annotations

from storm.config.near_names import did_you_mean


def test_the_nearest_name_is_offered() -> None:
    assert did_you_mean("wrd", ["word", "count"]) == ": did you mean 'word'?"


def test_a_few_names_are_listed_where_none_is_near() -> None:
    assert did_you_mean("xyz", ["word", "count"]) == " (there is: count, word)"
    assert did_you_mean("xyz", []) == " (there is none)"
    assert did_you_mean("xyz", [f"field{i}" for i in range(100)]) == ""
