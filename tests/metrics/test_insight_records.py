from __future__ import annotations

import pytest

from storm.metrics.insight_records import (
    BACK_PRESSURE,
    IN_CALL,
    INACTIVE,
    MAX_PENDING,
    MISSING_PEERS,
    NOTHING_TO_EMIT,
    OPENING,
    REASONS,
    SLOW_PEER,
    WAITS_FOR_THREAD,
    ExecutorInsight,
    Hindrance,
    Usage,
    sentence,
    together,
    usage_of_all,
)


def test_of_nothing_nothing_is_known() -> None:
    assert together([]) is None


def test_executors_add_up_and_the_worst_is_told() -> None:
    found = together(
        [
            ExecutorInsight(Hindrance(NOTHING_TO_EMIT), silent=True, pending=1, pending_max=10),
            ExecutorInsight(Hindrance(BACK_PRESSURE, ("split",), ("b:1",)), silent=False, pending=2, pending_max=10),
            ExecutorInsight(Hindrance(BACK_PRESSURE, ("count",), ("a:1",)), silent=True, pending=3, pending_max=10),
            ExecutorInsight(silent=False, pending=4, pending_max=10),
        ]
    )
    assert found is not None
    assert found.reasons == {BACK_PRESSURE: 2, NOTHING_TO_EMIT: 1}
    assert (found.known, found.silent, found.full, found.pending, found.pending_max) == (4, 2, 0, 10, 40)
    assert found.text == "back pressure: the queues of 'split' at b:1 are full"
    assert (found.held_by, found.held_by_workers) == (("count", "split"), ("a:1", "b:1"))


def test_queues_add_up_and_the_longest_is_told() -> None:
    found = together(
        [
            ExecutorInsight(queued=7, queue_max=5, queue_mark=100, full=False, unsettled=3),
            ExecutorInsight(queued=200, queue_max=150, queue_mark=100, full=True, unsettled=4),
            ExecutorInsight(),
        ]
    )
    assert found is not None
    assert (found.queued, found.queue_max, found.queue_mark, found.full, found.unsettled) == (207, 150, 100, 1, 7)
    assert (found.reasons, found.text, found.pending_max) == ({}, "", None)


def test_the_longest_call_is_the_worst() -> None:
    found = together(
        [ExecutorInsight(Hindrance(IN_CALL, call_secs=secs, call_at=f"x.py, line {secs:g}")) for secs in (3.0, 60.0)]
    )
    assert found is not None
    assert found.text == "one call of its code has gone on for 60 s or more, at x.py, line 60"


@pytest.mark.parametrize(
    ("insight", "text"),
    [
        (ExecutorInsight(), ""),
        (
            ExecutorInsight(Hindrance(MAX_PENDING), pending=1_000, pending_max=1_000),
            "as many tuples are under way as topology.max.spout.pending allows (1,000 of 1,000)",
        ),
        (ExecutorInsight(Hindrance(BACK_PRESSURE, ("a", "b"))), "back pressure: the queues of 'a', 'b' are full"),
        (
            ExecutorInsight(Hindrance(SLOW_PEER, ("a",), ("h:1",))),
            "more is sent to 'a' at h:1 than is taken there; the outgoing buffer is full",
        ),
        (
            ExecutorInsight(Hindrance(WAITS_FOR_THREAD, ("a",), (), 12.4, "a.py, line 3, in execute")),
            "'a' on its thread has been in one call for 12 s or more, at a.py, line 3, in execute",
        ),
        (
            ExecutorInsight(Hindrance(MISSING_PEERS, (), ("h:1", "h:2"))),
            "its worker has not heard of h:1, h:2 yet",
        ),
        (ExecutorInsight(Hindrance(OPENING)), "open, activate or prepare is not over yet"),
        (ExecutorInsight(Hindrance(INACTIVE)), "the topology is not active, as far as its worker knows"),
        (ExecutorInsight(Hindrance(NOTHING_TO_EMIT)), "next_tuple has nothing to emit"),
    ],
)
def test_people_read_a_sentence(insight: ExecutorInsight, text: str) -> None:
    assert sentence(insight) == text


def test_each_reason_has_a_sentence_and_one_of_a_newer_release_its_name() -> None:
    assert all(sentence(ExecutorInsight(Hindrance(reason))) not in {"", reason} for reason in REASONS)
    newer = ExecutorInsight(Hindrance("moon-phase"))
    assert sentence(newer) == "moon-phase"
    found = together([newer, ExecutorInsight(Hindrance(NOTHING_TO_EMIT)), ExecutorInsight()])
    assert found is not None
    assert found.text == "next_tuple has nothing to emit"


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([Usage(1.5, 10.0), Usage(2.0), Usage()], (3.5, 10.0)),
        ([Usage(), Usage(1.0)], (1.0, None)),
        ([Usage()], (None, None)),
        ([], (0.0, 0.0)),
    ],
)
def test_usages_add_up_as_far_as_they_are_known(usages: list[Usage], expected: tuple[float | None, ...]) -> None:
    assert usage_of_all(usages) == expected
