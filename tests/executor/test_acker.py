from __future__ import annotations

from array import array
from functools import reduce
from operator import xor
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from storm.executor.acker import BUCKETS, AckLedger
from storm.executor.tracking import TrackingOut
from storm.executor.transfer import Tracking

ROOT = 77
INIT, ACK, FAIL, RESET = Tracking.INIT, Tracking.ACK, Tracking.FAIL, Tracking.RESET


def tell(ledger: AckLedger, kind: Tracking, root: int = ROOT, value: int = 0) -> Tracking | None:
    """The verdict on one message."""
    out = TrackingOut()
    ledger.receive(kind, array("Q", [root, value]), out)
    verdicts: list[Tracking] = []
    out.flush(1, lambda verdict, target, source, pairs: verdicts.append(verdict))
    return verdicts[0] if verdicts else None


@given(edges=st.lists(st.integers(1, (1 << 64) - 1), min_size=1, max_size=6, unique=True), data=st.data())
def test_a_chain_is_acked_once_by_its_last_message_in_any_order(edges: list[int], data: Any) -> None:
    """Each tuple of the chain acks its own edge and its child's; INIT is the first edge."""
    acks = [edge ^ (edges[i + 1] if i + 1 < len(edges) else 0) for i, edge in enumerate(edges)]
    messages = data.draw(st.permutations([(INIT, edges[0]), *((ACK, value) for value in acks)]))
    ledger = AckLedger()
    verdicts = [tell(ledger, kind, ROOT, value) for kind, value in messages]
    assert reduce(xor, acks) == edges[0]
    assert verdicts[-1] is Tracking.ACKED
    assert verdicts[:-1] == [None] * len(acks)
    assert len(ledger) == 0


def test_init_twice_counts_once() -> None:
    ledger = AckLedger()
    assert tell(ledger, INIT, ROOT, 5) is None
    assert tell(ledger, INIT, ROOT, 5) is None
    assert tell(ledger, ACK, ROOT, 5) is Tracking.ACKED


def test_a_tuple_that_went_nowhere_is_acked_at_once() -> None:
    assert tell(AckLedger(), INIT, ROOT, 0) is Tracking.ACKED


def test_fail_is_told_once_the_spout_is_known() -> None:
    ledger = AckLedger()
    assert tell(ledger, FAIL, ROOT) is None
    assert tell(ledger, ACK, ROOT, 5) is None
    assert tell(ledger, INIT, ROOT, 5) is Tracking.FAILED
    assert len(ledger) == 0
    assert tell(ledger, INIT, 78, 5) is None
    assert tell(ledger, FAIL, 78) is Tracking.FAILED


def failed_by(ledger: AckLedger, *messages: tuple[Tracking, int]) -> list[int]:
    """What the verdict FAILED says of who did it, after these messages of one tree."""
    out, found = TrackingOut(), []
    for kind, value in messages:
        ledger.receive(kind, array("Q", [ROOT, value]), out)
    out.flush(1, lambda verdict, target, source, pairs: found.extend([verdict, *pairs]))
    assert found[:2] == [Tracking.FAILED, ROOT]
    return found[2:]


def test_the_verdict_names_the_task_that_failed_a_tuple() -> None:
    ledger = AckLedger()
    assert failed_by(ledger, (INIT, 5), (FAIL, 12)) == [12]
    assert failed_by(ledger, (FAIL, 13), (ACK, 1 << 63), (INIT, 5)) == [13]
    assert ledger.failed_by == {}


def test_who_failed_what_never_began_is_forgotten_with_it() -> None:
    ledger = AckLedger()
    tell(ledger, FAIL, ROOT, 12)
    for _ in range(BUCKETS):
        ledger.rotate()
    assert ledger.failed_by == {}
    ledger.receive(FAIL, array("Q", [0, 12]), TrackingOut())
    assert ledger.failed_by == {}


def test_what_nothing_touches_is_forgotten_after_three_rotations() -> None:
    ledger = AckLedger()
    tell(ledger, INIT, ROOT, 5)
    assert [ledger.rotate() for _ in range(BUCKETS)] == [0, 0, 1]
    assert len(ledger) == 0


def test_without_timeouts_only_what_never_begins_is_forgotten() -> None:
    ledger = AckLedger()
    tell(ledger, INIT, ROOT, 5)
    assert tell(ledger, INIT, ROOT + 1, 5) is None
    tell(ledger, FAIL, ROOT + 1, 12)
    tell(ledger, ACK, ROOT + 1, 7)  # of a tuple of the tree that has failed
    tell(ledger, FAIL, ROOT + 2, 12)
    assert [ledger.rotate(only_remains=True) for _ in range(2 * BUCKETS)] == [0, 0, 2, 0, 0, 0]
    assert (len(ledger), ledger.failed_by) == (1, {})


def test_every_message_and_a_reset_keep_a_tree() -> None:
    ledger = AckLedger()
    tell(ledger, INIT, ROOT, 5)
    for touch in (lambda: tell(ledger, ACK, ROOT, 0), lambda: tell(ledger, RESET, ROOT)):
        assert [ledger.rotate(), ledger.rotate()] == [0, 0]
        touch()
    assert tell(ledger, RESET, ROOT) is Tracking.RESET_DONE
    assert tell(ledger, RESET, 999) is None
    assert len(ledger) == 1


def test_many_messages_at_once_are_as_good_as_one_by_one() -> None:
    ledger, out = AckLedger(), TrackingOut()
    roots = range(1, 2001)
    ledger.receive(INIT, array("Q", [n for root in roots for n in (root, root << 32)]), out)
    ledger.receive(ACK, array("Q", [n for root in roots for n in (root, root << 32 if root % 2 else 1)]), out)
    found: list[Any] = []
    out.flush(1, lambda verdict, target, source, pairs: found.append((verdict, list(pairs[::2]))))
    assert found == [(Tracking.ACKED, [root for root in roots if root % 2])]
    assert len(ledger) == 1000


def test_a_root_of_nothing_is_nobodys() -> None:
    """0 marks a free place; a frame may name it all the same."""
    ledger, out = AckLedger(), TrackingOut()
    for kind in (INIT, ACK, FAIL, RESET):
        ledger.receive(kind, array("Q", [0, 0] * 100), out)
    assert not out.flush(1, lambda *_: None)
    assert len(ledger) == 0
