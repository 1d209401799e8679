"""How long it took until all was well is read off what has to be seen for that, and what was never seen is told."""

from __future__ import annotations

import pytest
from checkers import Bar, End, Observed, apart, not_told
from records import LedgerLine
from recovery import (
    BEFORE_SECS,
    ENOUGH_LINES,
    SOON_SECS,
    Ledger,
    is_missed,
    not_recovered,
    recovered_secs,
    signs_of_recovery,
    too_slow,
)

OLD, NEW = 100, 200  # process ids
HOSTS = {OLD: "a", NEW: "b", 300: "c"}


def line(number: int, at: float, task: int = 7, pid: int = OLD, *, sender: int = 0) -> LedgerLine:
    return LedgerLine(number, 1, 1, at, True, task, pid, 0, sender)


def fault(at: float, until: float | None = None, **more: object) -> Observed:
    return Observed("worker-killed", "worker-0", at, at if until is None else until)._replace(**more)


@pytest.mark.parametrize(("took", "busy", "is_well"), [(20.0, 1.0, True), (20.1, 1.0, False), (59.0, 3.0, True)])
def test_a_recovery_may_take_some_times_as_long_as_it_should_and_longer_on_a_busy_machine(
    took: float, busy: float, is_well: bool
) -> None:
    slow = fault(1.0, has_back=True, back_at=1.0 + took, busy=busy)
    found = too_slow([slow], Ledger([]), {"worker-killed": Bar(2.0, 5.0)})
    assert [each.check for each in found] == ([] if is_well else ["C-TTR"])
    assert is_well or found[0].text.startswith("worker-killed of worker-0 took 20.1 s to recover from, at most 20.0 s")
    assert too_slow([slow], Ledger([]), {"link-cut": Bar(1.0)}) == []


def test_a_log_line_that_says_all_is_well_has_to_come() -> None:
    (found,) = not_recovered([fault(1.0, has_back=True)], Ledger([]))
    assert found.text == "after worker-killed of worker-0 this was never seen: a log says that all is well"
    assert not_recovered([fault(1.0, has_back=True, problem="could not be injected")], Ledger([])) == []


def test_a_task_that_another_worker_took_over_has_to_be_written_by_that_one() -> None:
    moved = fault(1.0, done_at=2.0, replaced=frozenset({OLD}))
    lines = [line(1, 0.5), line(2, 2.5), line(3, 4.0, pid=NEW)]
    assert recovered_secs(moved, Ledger(lines)) == pytest.approx(2.0)
    assert recovered_secs(moved, Ledger(lines[:2])) is None


def test_tasks_that_were_hit_and_never_wrote_again_are_a_violation_once_all_others_did_a_lot() -> None:
    before = [line(1, 0.5, task=7), line(2, 0.6, task=8, pid=NEW)]
    killed = fault(1.0, victims=frozenset({OLD}), victim_tasks=frozenset({7, 9}))
    others = [line(n, 2.0 + n / 1000, task=8, pid=NEW) for n in range(2 * ENOUGH_LINES)]
    (found,) = not_recovered([killed], Ledger([*before, *others]))
    assert found.text == "after worker-killed of worker-0 this was never seen: task 7 writes again"
    assert not_recovered([killed], Ledger([*before, *others[1:]])) == []
    assert not_recovered([killed], Ledger([*before, *others, line(3, 9.0, task=7, pid=NEW)])) == []
    assert len(not_recovered([killed], Ledger([*before, *others, line(3, 9.0, task=7, pid=OLD)]))) == 1
    assert len(not_recovered([fault(1.0)], Ledger([*before, *others]))) == 1
    assert not_recovered([fault(1.0)], Ledger([*before, *others, line(3, 9.0, task=7)])) == []


def test_a_fault_that_takes_until_it_is_done_recovers_from_when_it_was_asked_for() -> None:
    lines = [line(1, 0.5), line(2, 3.5)]
    assert recovered_secs(fault(1.0, 9.0, done_at=2.0), Ledger(lines)) == pytest.approx(1.5)


def test_a_worker_has_recovered_when_each_of_its_tasks_writes_from_another_process() -> None:
    lines = [line(1, 0.5, task=7), line(2, 0.6, task=8), line(3, 0.7, task=9, pid=300)]
    killed = fault(1.0, victims=frozenset({OLD}), victim_tasks=frozenset({7, 8, 3}))
    late_of_the_dead = line(4, 1.1, task=7)
    assert recovered_secs(killed, Ledger(lines)) is None
    back = [*lines, late_of_the_dead, line(5, 2.5, task=8, pid=NEW)]
    assert recovered_secs(killed, Ledger(back)) is None
    assert recovered_secs(killed, Ledger([*back, line(6, 3.5, task=7, pid=NEW)])) == pytest.approx(2.5)


def test_where_no_worker_was_hit_it_has_recovered_when_all_tasks_write_after_the_healing() -> None:
    cut = fault(1.0, 6.0)
    lines = [line(1, 0.5, task=7), line(2, 0.6, task=8), line(3, 5.0, task=7), line(4, 6.5, task=7)]
    assert recovered_secs(cut, Ledger(lines)) is None
    assert recovered_secs(cut, Ledger([*lines, line(5, 7.0, task=8)])) == pytest.approx(1.0)


def test_where_a_log_says_that_all_is_well_that_counts() -> None:
    assert recovered_secs(fault(1.0, 3.0, has_back=True, back_at=4.5), Ledger([])) == pytest.approx(1.5)
    assert recovered_secs(fault(1.0, 3.0, has_back=True), Ledger([])) is None


@pytest.mark.parametrize(
    ("taken", "is_held_up", "is_excused"),
    [("nimbus", False, False), ("zookeeper", True, False), ("hosts", True, True)],
)
def test_beside_one_that_takes_what_it_needs_a_fault_recovers_later_and_need_not_be_told(
    taken: str, *, is_held_up: bool, is_excused: bool
) -> None:
    bars = {"worker-killed": Bar(2.0)}
    needing = {"waits_for": frozenset({"hosts", "zookeeper"}), "told_by": frozenset({"hosts"})}
    slow = fault(1.0, 2.0, has_back=True, back_at=12.0, must_be_told=True, **needing)
    other = fault(1.5, 5.0, fault="nimbus-killed", takes=frozenset({taken}))
    beside = apart([slow, other])[0]
    assert bool(too_slow([beside], Ledger([]), bars)) != is_held_up
    assert bool(not_told([beside])) != is_excused
    (found,) = too_slow([beside._replace(back_at=14.0)], Ledger([]), bars)
    most = 11 if is_held_up else 8
    assert found.text.startswith(f"worker-killed + of worker-0 took 12.0 s to recover from, at most {most}.0 s it may")


def test_where_others_take_over_while_a_fault_goes_on_the_blow_counts() -> None:
    led = fault(1.0, 4.0, has_back=True, back_at=6.5)
    assert recovered_secs(led, Ledger([])) == pytest.approx(2.5)
    assert recovered_secs(led._replace(from_blow=True), Ledger([])) == pytest.approx(5.5)
    bars = {"worker-killed": Bar(1.0)}
    assert too_slow([led], Ledger([]), bars) == []
    assert [found.kind for found in too_slow([led._replace(from_blow=True)], Ledger([]), bars)] == ["worker-killed"]


def test_where_workers_were_hit_and_a_log_has_to_speak_both_have_to_come() -> None:
    lines = [line(1, 0.5), line(2, 3.0, pid=NEW)]
    both = fault(1.0, 2.0, has_back=True, victims=frozenset({OLD}), victim_tasks=frozenset({7}))
    assert recovered_secs(both._replace(back_at=2.5), Ledger(lines)) == pytest.approx(2.0)
    assert recovered_secs(both._replace(back_at=4.5), Ledger(lines)) == pytest.approx(3.5)
    assert recovered_secs(both._replace(back_at=4.5), Ledger(lines[:1])) is None
    assert recovered_secs(both, Ledger(lines)) is None
    assert [found.kind for found in not_recovered([both], Ledger(lines))] == ["worker-killed"]


CUT = fault(1.0, 6.0, fault="link-cut", links=frozenset({("a", "b"), ("b", "a")}))
BOTH_WAYS = [line(1, 0.5, pid=NEW, sender=OLD), line(2, 0.6, sender=NEW), line(3, 0.7, sender=300)]


def test_a_link_is_well_when_tuples_came_over_it_in_both_directions() -> None:
    """Whatever came over others, or stayed on its host, says nothing of it."""
    past_it = [line(4, 6.1), line(5, 6.1, sender=OLD), line(6, 6.1, sender=300), line(7, 6.1, pid=300, sender=NEW)]
    ledger = Ledger([*BOTH_WAYS, *past_it, line(8, 7.0, pid=NEW, sender=OLD)], HOSTS)
    assert signs_of_recovery(CUT, ledger) == {
        "a tuple comes from host a to host b": 7.0, "a tuple comes from host b to host a": None,
    }  # fmt: skip
    assert (recovered_secs(CUT, ledger), is_missed(CUT, ledger)) == (None, True)
    healed = Ledger([*BOTH_WAYS, *past_it, line(8, 7.0, pid=NEW, sender=OLD), line(9, 8.5, sender=NEW)], HOSTS)
    assert recovered_secs(CUT, healed) == pytest.approx(2.5)


def test_a_link_over_which_nothing_comes_any_more_is_a_violation_once_others_wrote_a_lot() -> None:
    others = [line(n, 6.0 + n / 10, sender=300) for n in range(1, ENOUGH_LINES + 1)]
    (found,) = not_recovered([CUT], Ledger([*BOTH_WAYS, *others], HOSTS))
    assert found.text.startswith("after link-cut of worker-0 this was never seen: a tuple comes from host a to host b")
    assert not_recovered([CUT], Ledger([*BOTH_WAYS, *others[1:]], HOSTS)) == []


def test_a_link_that_nothing_came_over_before_needs_no_sign() -> None:
    only_one = Ledger([line(1, 0.5, pid=NEW, sender=OLD), line(2, 1.0 - BEFORE_SECS, sender=NEW)], HOSTS)
    assert list(signs_of_recovery(CUT, only_one)) == ["a tuple comes from host a to host b"]


@pytest.mark.parametrize(
    ("pid", "at", "is_needed"),
    [
        (OLD, 3.0, False),
        (NEW, 6.0 + SOON_SECS, False),
        (NEW, 6.1 + SOON_SECS, True),  # by then it should have carried something
        (300, 7.0, True),  # of neither host
        (OLD, 0.9, True),  # its successor sent what came over it
    ],
)
def test_where_a_worker_of_its_hosts_ended_a_link_may_carry_nothing_any_more(
    pid: int, at: float, *, is_needed: bool
) -> None:
    ledger = Ledger(BOTH_WAYS, HOSTS, [End(at, pid, 0.0)])
    assert is_missed(CUT, ledger) == is_needed


def test_a_worker_that_ends_after_its_link_carried_something_changes_nothing() -> None:
    back = [line(8, 7.0, pid=NEW, sender=OLD), line(9, 7.5, sender=NEW)]
    ledger = Ledger([*BOTH_WAYS, *back], HOSTS, [End(8.0, OLD, 0.0)])
    assert recovered_secs(CUT, ledger) == pytest.approx(1.5)
