from __future__ import annotations

from functools import reduce
from operator import xor
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from storm.executor.acker import BUCKETS, AckLedger
from storm.executor.transfer import Tracking

ROOT = 77


@given(edges=st.lists(st.integers(1, (1 << 64) - 1), min_size=1, max_size=6, unique=True), data=st.data())
def test_a_chain_is_acked_once_by_its_last_message_in_any_order(edges: list[int], data: Any) -> None:
    """Each tuple of the chain acks its own edge and its child's; INIT is the first edge."""
    acks = [edge ^ (edges[i + 1] if i + 1 < len(edges) else 0) for i, edge in enumerate(edges)]
    messages = data.draw(st.permutations([("init", edges[0]), *(("ack", value) for value in acks)]))
    ledger = AckLedger()
    verdicts = [getattr(ledger, kind)(ROOT, value) for kind, value in messages]
    assert reduce(xor, acks) == edges[0]
    assert verdicts[-1] is Tracking.ACKED
    assert verdicts[:-1] == [None] * len(acks)
    assert len(ledger) == 0


def test_init_twice_counts_once() -> None:
    ledger = AckLedger()
    assert ledger.init(ROOT, 5) is None
    assert ledger.init(ROOT, 5) is None
    assert ledger.ack(ROOT, 5) is Tracking.ACKED


def test_a_tuple_that_went_nowhere_is_acked_at_once() -> None:
    assert AckLedger().init(ROOT, 0) is Tracking.ACKED


def test_fail_is_told_once_the_spout_is_known() -> None:
    ledger = AckLedger()
    assert ledger.fail(ROOT) is None
    assert ledger.ack(ROOT, 5) is None
    assert ledger.init(ROOT, 5) is Tracking.FAILED
    assert len(ledger) == 0
    assert ledger.init(78, 5) is None
    assert ledger.fail(78) is Tracking.FAILED


def test_what_nothing_touches_is_forgotten_after_three_rotations() -> None:
    ledger = AckLedger()
    ledger.init(ROOT, 5)
    assert [ledger.rotate() for _ in range(BUCKETS)] == [0, 0, 1]
    assert len(ledger) == 0


def test_every_message_and_a_reset_keep_a_tree() -> None:
    ledger = AckLedger()
    ledger.init(ROOT, 5)
    for touch in (lambda: ledger.ack(ROOT, 0), lambda: ledger.reset(ROOT)):
        assert [ledger.rotate(), ledger.rotate()] == [0, 0]
        touch()
    assert ledger.reset(ROOT) is Tracking.RESET_DONE
    assert ledger.reset(999) is None
    assert len(ledger) == 1
