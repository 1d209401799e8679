"""The checks find what they are there for: cores that were broken on purpose fail within a few seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from simulated_cluster import simulate

from storm import hot_path
from storm.executor.pending import Pending
from storm.nimbus import assignments
from storm.supervisor import slot

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS_MAX = 15


def acked_too_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pending, "fold", lambda self, root, value: self.settle(root, True))


def never_timed_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pending, "rotate", lambda self: 0)


def told_twice(patch: pytest.MonkeyPatch) -> None:
    settle = Pending.settle

    def twice(self: Pending, root: int, acked: bool) -> None:
        before = len(self.failed)
        settle(self, root, acked)
        self.failed += self.failed[before:]

    patch.setattr(Pending, "settle", twice)


def dead_workers_keep_their_executors(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assignments, "_may_stay", lambda snapshot, used, this: True)


def slots_of_a_killed_topology_count_as_free(patch: pytest.MonkeyPatch) -> None:
    state = assignments.scheduling_state

    def unreserved(snapshot: Any, this: Any) -> Any:
        schedulable = snapshot.schedulable()
        kept = {key: value for key, value in snapshot.assignments.items() if key in schedulable}
        return state(replace(snapshot, assignments=kept), this)

    patch.setattr(assignments, "scheduling_state", unreserved)


def a_slot_does_not_wait_for_the_old_worker_to_die(patch: pytest.MonkeyPatch) -> None:
    def impatient(before: Any, seen: Any, limits: Any, now: float) -> Any:
        after, commands = slot._follow(before, seen.wanted, now)
        return after, [slot.ForgetWorker(), *commands]

    patch.setitem(slot._HANDLERS, slot.SlotState.KILLING, impatient)


# Compiled classes cannot be patched; the checks that these are for are the same in both modes.
OF_THE_ENGINE = [
    (acked_too_early, "not all of its tree was processed"),
    (never_timed_out, "has not ended since"),
    (told_twice, "ended twice"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("breaking", "words"),
    [
        *([] if hot_path.is_compiled() else OF_THE_ENGINE),
        (dead_workers_keep_their_executors, "has no worker on"),
        (slots_of_a_killed_topology_count_as_free, "is given to"),
        (a_slot_does_not_wait_for_the_old_worker_to_die, "is given up and lives"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_broken_core_is_found(
    breaking: Callable[[pytest.MonkeyPatch], None], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking(monkeypatch)
    assert any(words in problem for seed in range(SEEDS_MAX) for problem in simulate(seed).problems)
