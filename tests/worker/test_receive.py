from __future__ import annotations

from array import array
from dataclasses import dataclass

import pytest
from exchange_parts import COUNT, LEFT, RIGHT, SPLIT, NotingLanes, address, assignment
from hypothesis import given
from hypothesis import strategies as st

from storm.executor.transfer import Tracking
from storm.ids import WorkerSlot
from storm.messaging import tuple_codec
from storm.messaging.batch import (
    HEADER_BYTES,
    Held,
    Hello,
    Inquiry,
    Throttle,
    batch_frame,
    held_frame,
    hello_frame,
    inquiry_frame,
    throttle_frame,
    topology_hash,
    tracking_section,
    tuple_section,
)
from storm.messaging.columns import columns
from storm.messaging.tuple_codec import encode_rows, register_type
from storm.tuples import Origin, Tuple
from storm.worker.connections import view
from storm.worker.receive import Announcement, Receive


def receiver() -> tuple[Receive, NotingLanes]:
    lanes = NotingLanes()
    return Receive(lanes, frozenset({2, 3}), view(assignment(), RIGHT)), lanes


def section(target: int = 2, origin: Origin = SPLIT, *values: object) -> bytes:
    parts = columns([Tuple(list(values or ("a", 1)), origin, root=5, edge=6)])
    return tuple_section(target, origin, parts, encode_rows(parts.rows))


def test_tuples_and_tracking_go_to_the_lanes() -> None:
    receive, lanes = receiver()
    acks = tracking_section(Tracking.ACK, 3, 1, array("Q", [7, 8]))
    assert receive.take(batch_frame(address(LEFT), [section(), acks])) is None
    assert lanes.tuples == [(2, [1, "a", 1, 5, 6])]
    assert lanes.tracking == [(Tracking.ACK, 3, 1, [7, 8])]
    assert receive.delivered == 1
    assert receive.dropped == {}


def test_hellos_and_throttles_of_peers_are_handed_on() -> None:
    receive, _ = receiver()
    [peer] = receive.view.peers.values()
    assert receive.take(hello_frame(address(LEFT), Hello(True, 7))) == Announcement(peer, Hello(True, 7))
    throttle = Throttle(2000, (1,))
    assert receive.take(throttle_frame(address(LEFT), throttle)) == Announcement(peer, throttle)


def test_questions_and_answers_of_peers_are_handed_on() -> None:
    receive, _ = receiver()
    [peer] = receive.view.peers.values()
    inquiry, held = Inquiry(3, (5,)), Held(3, ((5, 1, 2),))
    assert receive.take(inquiry_frame(address(LEFT), inquiry)) == Announcement(peer, inquiry)
    assert receive.take(held_frame(address(LEFT), held)) == Announcement(peer, held)


def test_a_worker_that_the_assignment_does_not_have_yet_is_heard_but_is_no_peer() -> None:
    receive, lanes = receiver()
    newcomer = address(WorkerSlot("new", 1), epoch=4)
    assert receive.take(batch_frame(newcomer, [section()])) is None
    assert receive.take(hello_frame(newcomer, Hello(False, 7))) is None
    assert len(lanes.tuples) == 1
    assert receive.unheard_of


def test_peers_are_told_from_strangers_by_their_frames() -> None:
    receive, lanes = receiver()
    hello = Hello(False, 7)
    assert receive.is_from_peer(hello_frame(address(LEFT), hello))
    assert receive.is_from_peer(batch_frame(address(LEFT), [section()]))
    assert receive.is_from_peer(hello_frame(address(WorkerSlot("new", 1), epoch=4), hello))  # not yet assigned
    assert receive.is_from_peer(hello_frame(address(LEFT, epoch=2), hello))  # replaced, or so it seems
    assert not receive.is_from_peer(hello_frame(OTHER_TOPOLOGY, hello))
    damaged = bytearray(hello_frame(address(LEFT), hello))
    damaged[-1] ^= 1
    assert not receive.is_from_peer(bytes(damaged))
    assert lanes == NotingLanes()
    assert receive.dropped == {}


OTHER_TOPOLOGY = address(LEFT)._replace(topology_hash=topology_hash("wc-2-0"))


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "a malformed frame"),
        (batch_frame(address(LEFT), [section()])[:-1], "a malformed frame"),
        (batch_frame(OTHER_TOPOLOGY, [section()]), "a frame of another topology"),
        (batch_frame(address(LEFT, epoch=2), [section()]), "a frame of a worker that was replaced"),
        (hello_frame(address(LEFT, epoch=2), Hello(False, 7)), "a frame of a worker that was replaced"),
        (batch_frame(address(LEFT), [section(target=1)]), "a section for a task that is not here"),
        (
            batch_frame(address(LEFT), [section(2, Origin("x", "other", 1, ["a"]), 1)]),
            "a section from an unknown stream",
        ),
        (batch_frame(address(LEFT), [section(2, SPLIT, "one value")]), "a malformed section"),
        (
            batch_frame(address(LEFT), [tuple_section(2, SPLIT, columns([Tuple([], SPLIT)]), b"\xc1")]),
            "a malformed section",
        ),
        (batch_frame(address(LEFT), [tracking_section(99, 2, 1, array("Q"))]), "a malformed section"),
        (batch_frame(address(LEFT), [b"\x63"]), "a malformed frame"),
        (hello_frame(address(LEFT), Hello(False, 7)) + b"\x00", "a malformed frame"),
    ],
)
def test_everything_else_is_dropped_and_counted_by_reason(frame: bytes, reason: str) -> None:
    receive, lanes = receiver()
    assert receive.take(frame) is None
    assert receive.dropped == {reason: 1}
    assert lanes == NotingLanes()


def test_a_wrong_section_does_not_harm_those_beside_it() -> None:
    receive, lanes = receiver()
    receive.take(batch_frame(address(LEFT), [section(target=9), section(3), section(2, COUNT, 1, 2)]))
    assert [target for target, _ in lanes.tuples] == [3]


def test_a_fault_of_the_lanes_ends_nothing() -> None:
    class Faulty(NotingLanes):
        def deliver(self, target: int, tuples: list[Tuple]) -> bool:
            raise RuntimeError("a fault")

    receive = Receive(Faulty(), frozenset({2}), view(assignment(), RIGHT))
    assert receive.take(batch_frame(address(LEFT), [section()])) is None
    assert receive.dropped == {"a frame that could not be delivered": 1}


def test_tuples_for_a_task_that_takes_none_are_counted() -> None:
    class TakesNone(NotingLanes):
        def deliver(self, target: int, tuples: list[Tuple]) -> bool:
            return False

    receive = Receive(TakesNone(), frozenset({2}), view(assignment(), RIGHT))
    assert receive.take(batch_frame(address(LEFT), [section()])) is None
    assert receive.dropped == {"tuples for a task that takes none": 1}
    assert receive.delivered == 0


@dataclass(frozen=True)
class Price:
    cents: int


def price_of(cents: int) -> Price:
    if cents < 0:
        raise ValueError("no such price")
    if cents == 0:
        raise SystemExit
    return Price(cents)


register_type("price", Price, lambda price: price.cents, price_of)


class Refusing:
    """A receiver that notes what it refuses: (target, [(root, edge, further roots, why), ...])."""

    def __init__(self) -> None:
        self.lanes = NotingLanes()
        self.refused: list[tuple[int, list[tuple[int, int, dict[int, int] | None, str]]]] = []
        self.receive = Receive(self.lanes, frozenset({2, 3}), view(assignment(), RIGHT), self.refuse)

    def refuse(self, target: int, refused: list[tuple[Tuple, str]]) -> None:
        self.refused.append((target, [(tup.root, tup.edge, tup.more, why) for tup, why in refused]))


def prices(*cents: int) -> bytes:
    """A section of tuples with 10, 11, ... as their roots, each of which belongs to another tree too."""
    tuples = []
    for i, price in enumerate(cents):
        tup = Tuple(["a", Price(price)], SPLIT, root=10 + i, edge=20 + i)
        tup.more = {30 + i: 40 + i}
        tuples.append(tup)
    parts = columns(tuples)
    return tuple_section(2, SPLIT, parts, encode_rows(parts.rows))


WHERE = "a tuple from component 'split', stream 'default', was failed, since its field 'n' cannot be decoded: "


def test_tuples_that_cannot_be_decoded_are_refused_and_those_beside_them_arrive() -> None:
    story = Refusing()
    assert story.receive.take(batch_frame(address(LEFT), [prices(5, -1, 6, 0), section()])) is None
    assert story.lanes.tuples == [
        (2, [1, "a", Price(5), 10, 20]),
        (2, [1, "a", Price(6), 12, 22]),
        (2, [1, "a", 1, 5, 6]),
    ]
    raised = f"{WHERE}`from_plain` of 'price' raised "
    assert story.refused == [
        (2, [(11, 21, {31: 41}, f"{raised}ValueError('no such price')"), (13, 23, {33: 43}, f"{raised}SystemExit()")])
    ]
    assert story.receive.dropped == {"tuples that cannot be decoded": 2}
    assert story.receive.delivered == 3


def test_of_a_type_that_is_not_registered_here_no_tuple_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = batch_frame(address(LEFT), [prices(5, 6)])
    monkeypatch.delitem(tuple_codec._registered, "price")
    story = Refusing()
    assert story.receive.take(frame) is None
    assert story.lanes == NotingLanes()
    [(_, refused)] = story.refused
    assert [root for root, *_ in refused] == [10, 11]
    assert all(why.startswith(f"{WHERE}no type is registered as 'price'") for *_, why in refused)
    assert story.receive.dropped == {"tuples that cannot be decoded": 2}


def test_a_malformed_section_is_dropped_as_a_whole_whatever_its_values() -> None:
    parts = columns([Tuple(["a", Price(-1)], SPLIT, root=5, edge=6), Tuple(["a", 2], SPLIT)])
    payload = encode_rows(parts.rows)
    story = Refusing()
    for wrong in (encode_rows([*parts.rows, ["a", 3]]), encode_rows([["a", Price(-1)], ["a"]]), payload + b"\x00"):
        story.receive.take(batch_frame(address(LEFT), [tuple_section(2, SPLIT, parts, wrong)]))
    assert story.lanes == NotingLanes()
    assert story.refused == []
    assert story.receive.dropped == {"a malformed section": 3}


def rich_frame() -> bytes:
    """A frame with all that there can be in one."""
    several = Tuple(["b", [1, (2.5, None)]], SPLIT, root=5, edge=6)
    several.more = {8: 9, 10: 11}
    parts = columns([Tuple(["a", 1], SPLIT), several, Tuple([b"c", True], SPLIT, root=7, edge=1)])
    sections = [
        tuple_section(2, SPLIT, parts, encode_rows(parts.rows)),
        tracking_section(Tracking.ACK, 3, 1, array("Q", [7, 8, 9, 10])),
        section(3),
    ]
    return batch_frame(address(LEFT), sections)


@given(st.integers(0, 8 * len(rich_frame()) - 1))
def test_of_a_frame_with_a_flipped_bit_nothing_is_delivered(bit: int) -> None:
    frame = bytearray(rich_frame())
    frame[bit // 8] ^= 1 << bit % 8
    receive, lanes = receiver()
    assert receive.take(bytes(frame)) is None
    assert lanes == NotingLanes()
    assert receive.dropped == {"a malformed frame": 1}


@given(st.integers(0, len(rich_frame()) - 1))
def test_of_a_truncated_frame_nothing_is_delivered(size: int) -> None:
    receive, lanes = receiver()
    assert receive.take(rich_frame()[:size]) is None
    assert lanes == NotingLanes()
    assert receive.dropped == {"a malformed frame": 1}


@given(st.integers(0, 2))
def test_of_an_old_epoch_nothing_is_delivered(epoch: int) -> None:
    receive, lanes = receiver()
    assert receive.take(batch_frame(address(LEFT, epoch=epoch), [rich_frame()[HEADER_BYTES:]])) is None
    assert lanes == NotingLanes()
    assert receive.dropped == {"a frame of a worker that was replaced": 1}


@given(st.data())
def test_wrong_content_under_a_right_checksum_delivers_whole_tuples_of_known_streams_or_nothing(
    data: st.DataObject,
) -> None:
    body = bytearray(rich_frame()[HEADER_BYTES:])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    receive, lanes = receiver()
    receive.take(batch_frame(address(LEFT), [bytes(body[: data.draw(st.integers(0, len(body)))])]))
    assert "a frame that could not be delivered" not in receive.dropped
    for target, (source, *rest) in lanes.tuples:
        assert target in (2, 3)
        assert len(rest) == {SPLIT.task: 2, COUNT.task: 1}[source] + 2
    for kind, target, _, pairs in lanes.tracking:
        assert kind in set(Tracking)
        assert target in (2, 3)
        assert len(pairs) % 2 == 0


@given(st.binary(), st.booleans())
def test_arbitrary_bytes_never_reach_the_lanes(data: bytes, framed: bool) -> None:
    receive, lanes = receiver()
    receive.take(batch_frame(address(LEFT), [data]) if framed else data)
    assert lanes == NotingLanes()
