from __future__ import annotations

from array import array
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from storm.executor.pending import root_base
from storm.executor.tracking import TrackingOut
from storm.executor.transfer import Tracking

A, B = root_base(9, 4), root_base(8, 5)  # trees of the spout tasks 4 and 5, held by the ackers 9 and 8


def sent(out: TrackingOut) -> list[Any]:
    found: list[Any] = []
    assert out.flush(3, lambda kind, target, source, pairs: found.append((kind, target, source, list(pairs))))
    return found


def test_acks_of_a_tree_fold_into_one_pair() -> None:
    out = TrackingOut()
    for value in (1, 2, 4):
        out.ack(A | 1, value)
    out.ack(A | 2, 1 << 63)
    out.ack(B | 1, 5)
    assert sent(out) == [(Tracking.ACK, 9, 3, [A | 1, 7, A | 2, 1 << 63]), (Tracking.ACK, 8, 3, [B | 1, 5])]


def test_init_names_the_spout_as_its_source() -> None:
    out = TrackingOut()
    out.init(A | 1, 6)
    assert sent(out) == [(Tracking.INIT, 9, 4, [A | 1, 6])]


def test_fails_go_to_the_holder_and_verdicts_to_the_spout() -> None:
    out = TrackingOut()
    out.note(Tracking.FAIL, A | 1, 12)
    out.note(Tracking.ACKED, B | 1)
    out.note(Tracking.ACKED, A | 2)
    assert sent(out) == [
        (Tracking.FAIL, 9, 3, [A | 1, 12]),
        (Tracking.ACKED, 5, 3, [B | 1, 0]),
        (Tracking.ACKED, 4, 3, [A | 2, 0]),
    ]


def test_flush_empties() -> None:
    out = TrackingOut()
    out.ack(A | 1, 1)
    assert len(sent(out)) == 1
    assert not out.flush(3, lambda *_: None)


def test_pairs_are_64_bit() -> None:
    out, found = TrackingOut(), []
    out.ack((1 << 64) - 1, (1 << 64) - 1)
    out.flush(3, lambda kind, target, source, pairs: found.append(pairs))
    assert found == [array("Q", [(1 << 64) - 1] * 2)]


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, (1 << 64) - 1)), max_size=300))
def test_whatever_travels_has_the_same_xor_per_root(acks: list[tuple[int, int]]) -> None:
    out, wanted, found = TrackingOut(), {}, {}
    for root, value in acks:
        out.ack(root, value)
        wanted[root] = wanted.get(root, 0) ^ value
    if acks:
        ((_, _, _, pairs),) = sent(out)
        for i in range(0, len(pairs), 2):
            found[pairs[i]] = found.get(pairs[i], 0) ^ pairs[i + 1]
    assert found == wanted
