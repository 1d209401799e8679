from __future__ import annotations

from typing import TYPE_CHECKING

from storm.worker.drops import Drops

if TYPE_CHECKING:
    import pytest


def test_drops_are_counted_by_their_reason_without_its_details() -> None:
    drops = Drops("times dropped")
    drops.note("malformed: a")
    drops.note("malformed: b", 2)
    drops.note("late")
    assert drops == {"malformed": 3, "late": 1}


def test_the_first_and_each_power_of_two_are_logged_with_the_details(caplog: pytest.LogCaptureFixture) -> None:
    drops = Drops("tuples dropped")
    for number in range(1, 101):
        drops.note(f"malformed: {number}")
    assert [record.getMessage() for record in caplog.records] == [
        f"{number} tuples dropped so far: malformed: {number}" for number in (1, 2, 4, 8, 16, 32, 64)
    ]
    caplog.clear()
    drops.note("malformed: many", 1_000)
    drops.note("malformed: none", 0)
    assert [record.getMessage() for record in caplog.records] == ["1100 tuples dropped so far: malformed: many"]
