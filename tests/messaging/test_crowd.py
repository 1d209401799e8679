from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from storm.messaging.crowd import STRANGER_BYTES_MAX, Crowd

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAVY, LIGHT = STRANGER_BYTES_MAX + 1, STRANGER_BYTES_MAX


def crowd(connections: Iterable[int], strangers_max: int = 3, connections_max: int = 100) -> Crowd:
    made = Crowd(strangers_max, connections_max)
    for connection in connections:
        made.accepted(connection)
    return made


def test_the_oldest_strangers_go_when_there_are_too_many() -> None:
    door = crowd([1, 2, 3])
    assert door.surplus() == []
    door.accepted(4)
    door.accepted(5)
    assert door.surplus() == [1, 2]
    assert door.surplus() == []
    assert len(door) == 3


def test_a_peer_keeps_its_place_however_many_come() -> None:
    door = crowd([1, 2])
    door.is_peer(1)
    for connection in range(3, 50):
        door.accepted(connection)
        assert not {1, connection} & set(door.surplus())


def test_a_number_that_is_used_again_is_a_strangers() -> None:
    door = crowd([1])
    door.is_peer(1)
    door.gone(1)
    door.accepted(1)
    assert [*door.strangers] == [1]
    door.is_peer(1)
    door.accepted(1)  # nobody said that it had gone
    assert [*door.strangers] == [1]


def test_who_is_not_connected_is_no_peer() -> None:
    door = crowd([1])
    door.gone(1)
    door.is_peer(1)
    assert len(door) == 0


def test_peers_count_among_all_connections_and_are_never_shut() -> None:
    door = crowd(range(6), strangers_max=10, connections_max=4)
    for connection in range(5):
        door.is_peer(connection)
    assert door.surplus() == [5]
    assert len(door) == 5


def test_a_stranger_that_was_too_heavy_twice_is_shut() -> None:
    door = crowd([1, 2])
    assert door.weighed({1: HEAVY, 2: LIGHT}) == []
    door.received(0, emptied=True)
    assert door.weighed({1: HEAVY, 2: LIGHT}) == [1]
    assert [*door.strangers] == [2]


def test_a_peer_whose_first_frame_is_taken_after_the_weighing_stays() -> None:
    door = crowd([1])
    door.weighed({1: HEAVY})
    door.is_peer(1)
    door.received(1, emptied=True)
    assert door.weighed({}) == []


def test_nobody_is_judged_before_every_connection_had_its_turn() -> None:
    door = crowd([1, 2, 3])
    door.is_peer(3)
    door.weighed({1: HEAVY, 2: HEAVY})
    door.received(2, emptied=False)
    assert door.weighed({1: HEAVY, 2: HEAVY}) == []
    door.received(1, emptied=False)
    assert sorted(door.weighed({1: HEAVY, 2: HEAVY})) == [1, 2]


def test_the_weight_of_one_that_is_gone_is_not_that_of_the_next() -> None:
    door = crowd([1])
    door.weighed({1: HEAVY})
    door.accepted(1)
    door.received(0, emptied=True)
    assert door.weighed({1: LIGHT}) == []


def test_one_that_is_not_there_any_more_is_not_counted() -> None:
    door = crowd([1, 2])
    assert door.weighed({1: None, 2: 0}) == []
    assert [*door.strangers] == [2]


STEPS = st.lists(st.tuples(st.sampled_from(["accepted", "gone", "peer", "weigh", "take"]), st.integers(0, 12)))


@given(STEPS)
def test_limits_hold_and_peers_stay_whatever_happens(steps: list[tuple[str, int]]) -> None:
    door = crowd([], strangers_max=3, connections_max=6)
    connected: set[int] = set()
    peers: set[int] = set()
    for what, number in steps:
        shut: list[int] = []
        match what:
            case "accepted":
                connected.add(number)
                peers.discard(number)
                door.accepted(number)
            case "gone":
                connected.discard(number)
                peers.discard(number)
                door.gone(number)
            case "peer":
                peers |= {number} & connected
                door.is_peer(number)
            case "weigh":
                shut = door.weighed(dict.fromkeys(door.strangers, HEAVY))
            case _:
                door.received(number, emptied=number == 0)
        shut += door.surplus()
        assert not peers & set(shut)
        connected -= set(shut)
        assert len(door) == len(connected)
        assert len(connected - peers) <= 3
        assert len(connected) <= max(6, len(peers))
