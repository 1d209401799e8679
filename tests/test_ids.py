from __future__ import annotations

from storm.ids import ExecutorId, is_system_id


def test_an_executors_tasks_are_from_the_first_to_the_last() -> None:
    assert list(ExecutorId(3, 5).tasks()) == [3, 4, 5]
    assert list(ExecutorId(7, 7).tasks()) == [7]


def test_ids_that_begin_with_two_underscores_are_the_systems() -> None:
    assert is_system_id("__acker")
    assert not is_system_id("_mine")
