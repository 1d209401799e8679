"""A row for each kind of fault, with what came of it."""

from __future__ import annotations

import io

import pytest
from checkers import Bar, End, Observed, Violation
from records import Ack, LedgerLine, Run
from results_table import Row, Workers, barred, print_table, rows


def test_what_happened_after_a_fault_is_in_its_row() -> None:
    faults = [
        Observed(
            "worker-killed", "worker-0", 1.0, 1.0, frozenset({10}), frozenset({7}), must_be_told=True, told_at=1.25
        ),
        Observed("nimbus-killed", "nimbus", 5.0, 6.0, spares_workers=True, has_back=True, back_at=6.5),
        Observed("worker-killed", "worker-1", 9.0, 9.0, must_be_told=True),
    ]
    lines = [
        LedgerLine(0, 1, 1, 0.5, True, 7, 10),
        LedgerLine(0, 2, 1, 3.0, True, 7, 20),
        LedgerLine(1, 2, 1, 5.5, True, 7, 20),
    ]
    acks = [Ack(0, 3.1, 20), Ack(1, 5.6, 20), Ack(2, 9.5, 20)]
    workers = Workers([2.0, 9.5], [End(1.1, 10, 0.0), End(9.1, 30, 9.05)], patience_secs=3.0)
    found = rows(Run(3, acks, lines, []), faults, workers, {"nimbus-killed": Bar(7.0)})
    killed, nimbus = found
    assert killed == Row(
        "worker-killed", 2, lost=1, duplicated=1, detected=(0.25,), recovered=(2.0,), restarts=2,
        violations=(Violation("C-LOG", "no log line tells of worker-killed of worker-1", "worker-killed"),),
        never=1, others=1,
    )  # fmt: skip
    assert nimbus == Row("nimbus-killed", 1, recovered=(0.5,), bar=Bar(7.0))
    assert (killed.verdict, nimbus.verdict) == ("FAILED", "ok")


def test_faults_that_overlapped_have_a_row_of_their_own_without_a_bar() -> None:
    faults = [
        Observed("nimbus-killed", "nimbus-1", 1.0, 2.0, has_back=True, back_at=2.5),
        Observed("nimbus-killed", "nimbus-2", 5.0, 6.0, has_back=True, apart_at=9.0),
    ]
    alone, beside = rows(Run(0, [], [], []), faults, Workers([], [], 3.0), {"nimbus-killed": Bar(7.0)})
    assert (alone.fault, alone.bar, alone.never, alone.violations) == ("nimbus-killed", Bar(7.0), 0, ())
    assert (beside.fault, beside.bar, beside.never, len(beside.violations)) == ("nimbus-killed +", None, 1, 1)
    out = io.StringIO()
    print_table([alone, beside], out)
    assert out.getvalue().splitlines()[-1].startswith(" +: while another fault went on")


def test_what_is_wrong_stands_in_the_row_of_its_own_kind_only() -> None:
    kinds = ["session-expired", "worker-session-expired", "nimbus-session-expired"]
    faults = [
        Observed(kind, "a", 1.0 + number, 1.0 + number, has_back=True, wrong=(f"w{number}",), problem=f"p{number}")
        for number, kind in enumerate(kinds)
    ]
    found = rows(Run(0, [], [], []), faults, Workers([], [], 3.0), {})
    assert [[violation.text for violation in row.violations] for row in found] == [
        [f"{kind} of a p{number}", f"{kind} of a: w{number}"] for number, kind in enumerate(kinds)
    ]


def test_a_link_is_judged_by_the_hosts_of_the_processes_that_sent_and_wrote() -> None:
    cut = Observed("link-cut", "a-b", 1.0, 2.0, links=frozenset({("a", "b")}))
    lines = [LedgerLine(n, 1, 1, at, True, 7, 10, 0, sender) for n, (at, sender) in enumerate([(0.5, 20), (2.5, 20)])]
    (row,) = rows(Run(0, [], lines, []), [cut], Workers([], [], 3.0, {10: "b", 20: "a"}), {"link-cut": Bar(3.0)})
    assert row.recovered == (0.5,)
    (row,) = rows(Run(0, [], lines, []), [cut], Workers([], [], 3.0, {10: "b", 20: "c"}), {"link-cut": Bar(3.0)})
    assert row.recovered == ()


def test_the_table_shows_p50_maximum_and_what_is_wrong() -> None:
    out = io.StringIO()
    violation = Violation("C-LOST", "2 numbers were never acked: 3, 4")
    print_table([Row("worker-killed", 3, 2, 17, (0.1, 0.3, 0.2), (), 3, (violation, violation), 1, 2, Bar(2, 5))], out)
    lines = out.getvalue().splitlines()
    assert lines[2].split() == ["worker-killed", "3", "2", "17", "0.20/0.30", "-", "3", "1", "2", "2/5", "FAILED"]
    assert lines[3:] == ["    C-LOST: 2 numbers were never acked: 3, 4"]


@pytest.mark.parametrize(
    ("recovered", "bar", "words"),
    [
        ((1.0,), None, "-"),
        ((), Bar(3.0), "3"),
        ((1.0, 2.0, 9.0), Bar(2.5), "2.5 met"),
        ((1.0, 2.0, 9.0), Bar(1.5), "1.5 missed"),
        ((1.0, 2.0, 5.0), Bar(2.0, 5.0), "2/5 met"),
        ((1.0, 2.0, 5.1), Bar(2.0, 5.0), "2/5 missed"),
    ],
)
def test_a_bar_is_met_by_the_median_and_where_it_has_one_by_the_longest(
    recovered: tuple[float, ...], bar: Bar | None, words: str
) -> None:
    row = Row("worker-killed", 3, recovered=recovered, bar=bar)
    assert barred(row) == words
    assert row.verdict == "ok"
