from __future__ import annotations

from dataclasses import replace

from storm.ids import ExecutorId
from storm.supervisor.assignment_sync import BlobHash, LocalAssignment
from storm.supervisor.left_code import REMEMBERED_SECS, TOLD_MAX, LeftCode
from storm.supervisor.slot import Slot, SlotState

WORDS = LocalAssignment("words", (ExecutorId(1, 1),), 1, (BlobHash("words-stormcode.ser", "aa"),))
NEW_CODE = replace(WORDS, blob_hashes=(BlobHash("words-stormcode.ser", "bb"),))


def died(port: int, deaths: int, code: LocalAssignment = WORDS) -> Slot:
    return Slot(port, SlotState.BACKING_OFF, code, 0.0, deaths)


def test_code_goes_on_counting_on_another_port_for_a_while() -> None:
    left = LeftCode()
    left.add(died(6700, 3), 10.0)
    moved = replace(WORDS, executors=(ExecutorId(2, 2),), epoch=2)
    assert left.deaths(6701, moved, 10.0) == left.deaths(6701, moved, 9.9 + REMEMBERED_SECS) == 3
    assert left.deaths(6701, NEW_CODE, 10.0) == left.deaths(6701, moved, 10.0 + REMEMBERED_SECS) == 0


def test_so_it_does_in_the_step_in_which_it_leaves_whichever_port_is_looked_at_first() -> None:
    left = LeftCode()
    left.look([died(6700, 3), Slot(6702)])
    assert left.deaths(6701, WORDS, 0.0) == 3
    assert left.deaths(6700, WORDS, 0.0) == 0
    left.look([])
    assert left.deaths(6701, WORDS, 0.0) == 0


def test_of_workers_of_one_code_the_worst_is_told_and_the_last_one_counts_on() -> None:
    left = LeftCode()
    left.add(died(6700, 9), 0.0)
    left.add(died(6701, 1), 1.0)
    assert (left.told(1.0), left.deaths(6702, WORDS, 1.0)) == ({"words": 9}, 1)
    left.add(died(6701, 2, NEW_CODE), 2.0)
    assert left.told(2.0) == {"words": 2}


def test_those_that_left_last_are_told_of() -> None:
    left = LeftCode()
    for turn in range(TOLD_MAX + 5):
        left.add(died(6700, 1 + turn, replace(WORDS, topology_id=f"t{turn}")), float(turn))
    assert left.told(TOLD_MAX + 5.0) == {f"t{turn}": 1 + turn for turn in range(5, TOLD_MAX + 5)}
    assert left.told(REMEMBERED_SECS + TOLD_MAX + 3) == {f"t{TOLD_MAX + 4}": TOLD_MAX + 5}
