"""Each checker finds what it is for, and nothing in a run that is well."""

from __future__ import annotations

import pytest
from checkers import (
    Committed,
    End,
    Observed,
    afterwards,
    apart,
    by_fault,
    detected_secs,
    duplicates,
    duplicates_max,
    ends_by_fault,
    lost,
    more_than,
    not_calm,
    not_fenced,
    not_told,
    order_of_commits,
    problems,
    quiet_secs,
    restarts_by_fault,
    tracebacks,
    unexpected,
    unwritten,
)
from hypothesis import given
from hypothesis import strategies as st
from records import Ack, LedgerLine, Run

OLD, NEW = 100, 200  # process ids


def line(number: int, at: float, task: int = 7, pid: int = OLD, *, sound: bool = True, part: int = 0) -> LedgerLine:
    return LedgerLine(number, 1, 1, at, sound, task, pid, part)


def run_of(messages: int, **changes: object) -> Run:
    """All numbers written at number + 0.1 s and acked at number + 0.2 s."""
    whole = Run(
        messages, [Ack(n, n + 0.2, OLD) for n in range(messages)], [line(n, n + 0.1) for n in range(messages)], []
    )
    return whole._replace(**changes)


def fault(at: float, until: float | None = None, **more: object) -> Observed:
    return Observed("worker-killed", "worker-0", at, at if until is None else until)._replace(**more)


def test_a_whole_run_has_lost_nothing() -> None:
    assert lost(run_of(20)) == unexpected(run_of(20)) == []


def test_a_number_that_was_never_acked_is_lost() -> None:
    (found,) = lost(run_of(20, acks=[Ack(n, n + 0.2, OLD) for n in range(20) if n != 13]))
    assert str(found) == "C-LOST: 1 numbers were never acked: 13"


def test_a_number_that_was_given_up_is_not_lost() -> None:
    acks = [Ack(n, n + 0.2, OLD) for n in range(20) if n != 13]
    assert lost(run_of(20, acks=acks, given_up=frozenset({13}))) == []


@pytest.mark.parametrize("lines", [[], [line(0, 9.0)]], ids=["never", "only afterwards"])
def test_an_ack_without_a_line_before_it_is_a_loss(lines: list[LedgerLine]) -> None:
    run = run_of(1, lines=lines)
    assert unwritten(run) == {0}
    assert [found.check for found in lost(run)] == ["C-LOST"]


@given(st.integers(1, 60), st.data())
def test_exactly_the_numbers_that_miss_something_are_lost(messages: int, data: st.DataObject) -> None:
    numbers = st.sets(st.integers(0, messages - 1))
    not_acked, not_written = data.draw(numbers), data.draw(numbers)
    run = run_of(
        messages,
        acks=[Ack(n, n + 0.2, OLD) for n in range(messages) if n not in not_acked],
        lines=[line(n, n + 0.1) for n in range(messages) if n not in not_written],
    )
    assert unwritten(run) == not_written - not_acked
    assert bool(lost(run)) == bool(not_acked | not_written)


def test_an_ack_needs_a_line_of_each_part_before_it() -> None:
    whole = run_of(1, lines=[line(0, 0.1, part=0), line(0, 0.15, part=1)], parts=2)
    assert lost(whole) == unexpected(whole) == duplicates(whole.lines) == []
    for lines in (whole.lines[:1], whole.lines[1:], [whole.lines[0], line(0, 0.3, part=1)]):
        assert unwritten(whole._replace(lines=lines)) == {0}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"lines": [line(3, 1.0, part=1)]}, "lines of parts that do not exist: 3"),
        ({"lines": [line(20, 1.0)]}, "lines of numbers that do not exist: 20"),
        ({"lines": [line(-1, 1.0)]}, "lines of numbers that do not exist: -1"),
        ({"lines": [line(3, 1.0, sound=False)]}, "lines with a wrong payload: 3"),
        ({"acks": [Ack(99, 1.0, OLD)]}, "acks of numbers that do not exist: 99"),
    ],
)
def test_what_the_source_never_sent_is_unexpected(changes: dict[str, object], text: str) -> None:
    (found,) = unexpected(run_of(20, **changes))
    assert text in found.text


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2))))
def test_all_lines_but_the_first_of_each_part_are_duplicates(written: list[tuple[int, int]]) -> None:
    lines = [line(number, float(i), part=part) for i, (number, part) in enumerate(written)]
    assert len(duplicates(lines)) == len(written) - len(set(written))


def test_duplicates_are_bounded_by_what_was_under_way_at_each_fault_and_timeout() -> None:
    assert duplicates_max([fault(1.0), fault(10.0, 22.0)], 100, 5.0) == 100 * (1 + (1 + 3))


@pytest.mark.parametrize("at", [19.9, 20.0, 25.0])
def test_what_fails_or_comes_again_when_all_is_calm_is_a_violation(at: float) -> None:
    run = run_of(30, fails=[Ack(3, at, OLD)])
    run = run._replace(lines=[*run.lines, line(4, at)])
    texts = ["1 numbers failed when all was calm: 3", "1 numbers came again when all was calm: 4"]
    assert [found.text for found in not_calm(run, 20.0)] == (texts if at >= 20.0 else [])


def came_back() -> Observed:
    return fault(1.0, 9.0, fault="host-paused", victims=frozenset({OLD}), returned_at=10.0)


@pytest.mark.parametrize(
    ("lines", "by", "is_well"),
    [
        ([line(0, 11.0)], NEW, False),  # only one that was replaced wrote it
        ([line(0, 11.0), line(0, 13.0, pid=NEW)], NEW, False),  # another did so too late
        ([line(0, 11.0), line(0, 11.5, pid=NEW)], NEW, True),
        ([line(0, 0.5)], NEW, True),  # it was written before it was stopped
        ([line(0, 11.0)], OLD, True),  # within the one that was replaced
    ],
)
def test_an_ack_needs_a_line_of_a_worker_that_was_not_replaced(lines: list[LedgerLine], by: int, is_well: bool) -> None:
    run = Run(1, [Ack(0, 12.0, by)], lines, [])
    found = not_fenced(run, [came_back(), fault(1.0)])
    assert [each.check for each in found] == ([] if is_well else ["C-FENCE"])
    assert is_well or "host-paused of worker-0" in found[0].text


def test_each_part_needs_a_line_of_a_worker_that_was_not_replaced() -> None:
    lines = [line(0, 11.0, part=0, pid=NEW), line(0, 11.0, part=1)]
    assert [each.check for each in not_fenced(Run(1, [Ack(0, 12.0, NEW)], lines, [], parts=2), [came_back()])] == [
        "C-FENCE"
    ]


def test_times_belong_to_the_last_fault_that_began_before() -> None:
    assert by_fault([0.5, 1.0, 1.5, 3.0, 99.0], [fault(1.0), fault(2.0)]) == {0: 2, 1: 2}


def sparing(at: float, until: float | None = None) -> Observed:
    return fault(at, until, spares_workers=True, fault="nimbus-killed", target="nimbus")


def test_more_lines_than_may_come_again_are_a_violation() -> None:
    lines = [line(0, 1.0), line(0, 2.0), line(0, 3.0)]
    assert more_than(2, lines) == []
    (found,) = more_than(1, lines)
    assert str(found) == "C-DUP: 2 lines came again, at most 1 may"


def test_a_start_belongs_to_the_last_fault_that_may_end_workers_while_that_is_not_over() -> None:
    faults = [fault(1.0), sparing(3.0)]
    assert restarts_by_fault([0.5, 4.0, 5.5], faults, 5.0) == {0: 2}
    assert restarts_by_fault([7.0], faults, 5.0) == {1: 1}


def test_what_a_fault_hit_or_may_end_ends_whenever_it_will() -> None:
    faults = [fault(1.0, victims=frozenset({OLD}), may_end=frozenset({NEW})), sparing(50.0)]
    assert ends_by_fault([End(1.5, OLD, 0.0), End(60.0, NEW, 0.0)], faults, 5.0) == ({}, [])


@pytest.mark.parametrize("moved", [True, False])
def test_a_worker_that_ended_by_a_fault_that_spares_workers_is_a_violation(moved: bool) -> None:
    counts, (wrong,) = ends_by_fault([End(11.0, NEW, 0.0, moved)], [fault(1.0), sparing(10.0)], 5.0)
    assert counts == {1: 1}
    assert wrong.check == "C-ALIVE"
    assert f"worker {NEW} ended during nimbus-killed of nimbus" in wrong.text


def test_a_worker_that_no_fault_hit_and_nobody_moved_may_not_end_even_while_others_are_ended() -> None:
    counts, (wrong,) = ends_by_fault([End(2.0, NEW, 0.0)], [fault(1.0, victims=frozenset({OLD}))], 5.0)
    assert counts == {0: 1}
    assert "worker-killed of worker-0: nothing had hit it" in wrong.text


@pytest.mark.parametrize("end", [End(4.0, NEW, 0.0, moved=True), End(4.0, NEW, 2.0)], ids=["moved", "young"])
def test_after_a_fault_that_ends_workers_others_are_moved_and_started_in_vain(end: End) -> None:
    assert ends_by_fault([end], [fault(1.0), sparing(3.0)], 5.0) == ({1: 1}, [])


def test_ends_before_all_faults_are_none_of_theirs() -> None:
    assert ends_by_fault([End(0.5, NEW, 0.0)], [fault(1.0)], 5.0) == ({}, [])


def test_while_another_fault_goes_on_the_patience_with_the_one_before_waits() -> None:
    faults = [fault(1.0, 2.0), sparing(4.0, 10.0)]
    assert quiet_secs(faults[0], 1.5, faults) == pytest.approx(-0.5)
    assert quiet_secs(faults[0], 3.0, faults) == pytest.approx(1.0)
    assert quiet_secs(faults[0], 9.0, faults) == pytest.approx(2.0)
    assert quiet_secs(faults[0], 12.0, faults) == pytest.approx(4.0)
    assert ends_by_fault([End(12.0, NEW, 0.0, moved=True)], faults, 4.5) == ({1: 1}, [])
    assert len(ends_by_fault([End(12.0, NEW, 0.0, moved=True)], faults, 3.5)[1]) == 1


def test_patience_waits_once_where_two_others_went_on_at_a_time() -> None:
    faults = [fault(1.0, 2.0), sparing(4.0, 10.0), sparing(6.0, 8.0), sparing(9.0, 11.0)]
    assert quiet_secs(faults[0], 12.0, faults) == pytest.approx(12.0 - 2.0 - 7.0)
    assert quiet_secs(faults[0], 7.0, faults) == pytest.approx(2.0)


def test_those_that_went_on_at_one_time_are_counted_apart() -> None:
    faults = apart([fault(1.0, 5.0), sparing(3.0, 9.0), fault(9.0, 9.0), fault(10.0, 12.0), sparing(11.0, 11.5)])
    assert [each.apart_at for each in faults] == [9.0, 5.0, None, 11.5, 12.0]
    assert [each.kind for each in faults[:3]] == ["worker-killed +", "nimbus-killed +", "worker-killed"]
    assert str(faults[0]) == "worker-killed + of worker-0"


NEEDING = {"waits_for": frozenset({"hosts", "zookeeper"}), "told_by": frozenset({"hosts"})}


def test_one_that_was_over_before_holds_up_and_excuses_nobody() -> None:
    slow = fault(6.0, 7.0, has_back=True, back_at=17.0, must_be_told=True, **NEEDING)
    (alone, _) = apart([slow, sparing(1.5, 5.0)._replace(takes=frozenset({"hosts"}))])
    assert (alone.held_until, alone.must_be_told) == (None, True)


@pytest.mark.parametrize(("victims", "has_back"), [(frozenset({OLD}), False), (frozenset(), True)])
def test_who_is_away_does_not_tell_how_a_worker_ended(victims: frozenset[int], has_back: bool) -> None:
    ended = fault(1.0, 2.0, has_back=True, victims=victims, **NEEDING)
    assert apart([ended])[0].has_back
    assert apart([ended, sparing(0.5, 5.0)._replace(takes=frozenset({"hosts"}))])[0].has_back == has_back
    assert apart([ended, sparing(0.5, 5.0)._replace(takes=frozenset({"nimbus"}))])[0].has_back


def test_what_a_fault_found_wrong_itself_is_a_violation() -> None:
    assert [found.text for found in afterwards([fault(1.0), fault(2.0, wrong=("why",))])] == [
        "worker-killed of worker-0: why"
    ]


def test_detection_counts_from_the_blow() -> None:
    assert detected_secs(fault(1.0, 9.0, told_at=1.25)) == pytest.approx(0.25)
    assert detected_secs(fault(1.0)) is None


def test_a_fault_that_no_log_names_is_a_violation() -> None:
    faults = [fault(1.0, must_be_told=True), fault(2.0, must_be_told=True, told_at=2.1), fault(3.0)]
    assert [found.check for found in not_told(faults)] == ["C-LOG"]


def test_a_fault_that_could_not_be_injected_is_a_violation() -> None:
    assert [found.check for found in problems([fault(1.0), fault(2.0, problem="could not be injected: why")])] == [
        "HARNESS"
    ]


TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n{}\n'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-01-01 all is well\n", []),
        (f"x\n{TRACEBACK.format('ValueError: no')}2026-01-01 more\n", ["ValueError: no"]),
        (f"x\n{TRACEBACK.format('RuntimeError: the harness asked for an error')}", []),
        (f"{TRACEBACK.format('KeyError: 1')}2026-01-01 the harness asked for nothing\n", ["KeyError: 1"]),
        (
            TRACEBACK.format("KeyError: 1")
            + "\nDuring handling of the above exception, another exception occurred:\n\n"
            + TRACEBACK.format("OSError: 2"),
            ["OSError: 2"],
        ),
        (
            TRACEBACK.format("KeyError: 1")
            + "\nThe above exception was the direct cause of the following exception:\n\n"
            + TRACEBACK.format("RuntimeError: the harness asked for it"),
            [],
        ),
    ],
)
def test_tracebacks_are_found_unless_they_were_asked_for(text: str, found: list[str]) -> None:
    assert tracebacks(text) == found


@given(st.dictionaries(st.integers(0, 3), st.integers(1, 6), min_size=1), st.randoms())
def test_batches_in_order_are_well_in_any_mixture_of_partitions(batches: dict[int, int], rng: object) -> None:
    commits: list[Committed] = []
    left = dict.fromkeys(batches, 1)
    while left:
        partition = rng.choice(sorted(left))  # type: ignore[attr-defined]
        commits.append(Committed(left[partition], partition))
        left[partition] += 1
        if left[partition] > batches[partition]:
            del left[partition]
    assert order_of_commits(commits, batches) == []
    for i in range(len(commits)):
        assert order_of_commits(commits[:i] + commits[i + 1 :], batches) != []
        assert order_of_commits([*commits[: i + 1], commits[i], *commits[i + 1 :]], batches) != []


def test_what_is_wrong_with_commits_is_said() -> None:
    commits = [Committed(1, 0), Committed(1, 0), Committed(3, 0), Committed(1, 5)]
    assert [found.text for found in order_of_commits(commits, {0: 4})] == [
        "batch 1 of partition 0 was applied twice",
        "batch 3 of partition 0 came after batch 1",
        "partition 0 ends with batch 3 of 4",
        "there is no partition 5",
    ]
