from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm.ids import WorkerSlot
from storm.messaging.batch import Throttle
from storm.worker.backpressure import (
    EXPIRY_SECS,
    RENEW_SECS,
    Announced,
    Marks,
    OwnQueues,
    gone,
    heard,
    look,
    spared,
)
from storm.worker.connections import Peer

MARKS = Marks(high=100, low=40)
PEER = Peer(WorkerSlot("a", 1), "a", 1)
OTHER = Peer(WorkerSlot("b", 1), "b", 1)


def test_a_task_is_announced_over_the_high_mark_until_it_is_under_the_low_one() -> None:
    state = OwnQueues()
    told = []
    for second, length in enumerate([0, 100, 101, 100, 41, 40, 100, 101]):
        state, throttle = look(state, {1: length, 2: 0}, MARKS, second * RENEW_SECS / 10)
        told.append(None if throttle is None else throttle.tasks)
    assert told == [None, None, (1,), None, None, (), None, (1,)]


def test_an_announcement_is_renewed_while_a_task_is_over_and_not_afterwards() -> None:
    state, _ = look(OwnQueues(), {1: 101}, MARKS, 10.0)
    state, throttle = look(state, {1: 101}, MARKS, 10.0 + RENEW_SECS)
    assert throttle == Throttle(round(EXPIRY_SECS * 1000), (1,))
    state, throttle = look(state, {1: 0}, MARKS, 10.0 + RENEW_SECS)
    assert throttle is not None
    assert throttle.tasks == ()
    assert look(state, {1: 0}, MARKS, 1000.0) == (state, None)


def test_the_tasks_of_all_peers_are_spared_until_the_announcement_ends_or_expires() -> None:
    state = heard(Announced(), PEER, Throttle(2000, (1, 2)), 0.0)
    state = heard(state, OTHER, Throttle(500, (2, 3)), 0.0)
    assert spared(state, 0.4) == {1, 2, 3}
    assert spared(state, 0.6) == {1, 2}
    assert spared(heard(state, PEER, Throttle(2000, (3,)), 0.6), 0.7) == {3}
    assert spared(heard(state, PEER, Throttle(2000, ()), 0.6), 0.7) == set()
    assert spared(gone(state, PEER), 0.4) == {2, 3}
    assert spared(state, 2.1) == set()


@given(st.integers(0, (1 << 32) - 1))
def test_no_announcement_holds_for_long(ttl_ms: int) -> None:
    assert spared(heard(Announced(), PEER, Throttle(ttl_ms, (1,)), 5.0), 5.0 + EXPIRY_SECS) == set()


@given(st.lists(st.dictionaries(st.integers(1, 5), st.integers(0, 200))))
def test_a_peer_that_hears_every_announcement_spares_what_is_over(rounds: list[dict[int, int]]) -> None:
    own, announced = OwnQueues(), Announced()
    for i, lengths in enumerate(rounds):
        now = i * RENEW_SECS
        own, throttle = look(own, lengths, MARKS, now)
        if throttle is not None:
            announced = heard(announced, PEER, throttle, now)
        assert spared(announced, now) == own.over
