from __future__ import annotations

from storm.log_repeats import is_logged


def test_lines_get_rarer_as_something_repeats() -> None:
    assert [times for times in range(1, 100) if is_logged(times)] == [1, 2, 4, 8, 16, 32, 64]


def test_of_many_at_once_it_is_asked_whether_one_of_them_is_logged() -> None:
    assert is_logged(5, new=2)  # the 4th
    assert not is_logged(7, new=3)
    assert is_logged(1_000, new=1_000)
