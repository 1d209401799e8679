from __future__ import annotations

import pytest

from storm.ids import ExecutorId, is_system_id, topology_name


def test_an_executors_tasks_are_from_the_first_to_the_last() -> None:
    assert list(ExecutorId(3, 5).tasks()) == [3, 4, 5]
    assert list(ExecutorId(7, 7).tasks()) == [7]


@pytest.mark.parametrize(
    ("topology_id", "name"), [("words-1-1795424420", "words"), ("my-words-12-17", "my-words"), ("words", "words")]
)
def test_an_id_has_the_name_of_its_topology(topology_id: str, name: str) -> None:
    assert topology_name(topology_id) == name


def test_ids_that_begin_with_two_underscores_are_the_systems() -> None:
    assert is_system_id("__acker")
    assert not is_system_id("_mine")
