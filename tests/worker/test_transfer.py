from __future__ import annotations

from array import array
from typing import Any

import pytest
from exchange_parts import COUNT, LEFT, SPLIT, StandingClock, address, right_peer

from storm.errors import SerializationError
from storm.executor.transfer import Tracking
from storm.messaging.batch import TrackingSection, TupleSection, read_frame, read_sections
from storm.messaging.tuple_codec import decode_rows
from storm.tuples import Origin, Tuple
from storm.worker.transfer import BATCH_ITEMS_MIN, DROP_AT_MARKS, TransferOptions, WorkerTransfer, by_origin

PEER = right_peer()


def transfer(**options: Any) -> WorkerTransfer:
    made = WorkerTransfer(address(LEFT), TransferOptions(**options), StandingClock())
    made.route({2: PEER, 3: PEER}, [PEER])
    return made


def tuples(*values: Any, origin: Origin = SPLIT) -> list[Tuple]:
    return [Tuple([value, 0], origin) for value in values]


def taken(source: WorkerTransfer) -> list[list[TupleSection | TrackingSection]]:
    """The sections of each frame that waits; they leave the queue."""
    frames = []
    while (frame := source.peek(PEER)) is not None:
        source.pop(PEER)
        frames.append(list(read_sections(read_frame(frame).body)))
    return frames


def words(section: TupleSection | TrackingSection) -> list[Any]:
    assert isinstance(section, TupleSection)
    return [row[0] for row in decode_rows(section.values)]


def test_what_was_taken_leaves_at_a_flush_as_one_frame() -> None:
    source = transfer()
    source.send(2, tuples("a", "b"))
    source.send(3, tuples("c"))
    source.send_tracking(Tracking.ACK, 2, 1, array("Q", [5, 6]))
    assert taken(source) == []
    source.flush()
    [[first, second, third]] = taken(source)
    assert (words(first), words(second)) == (["a", "b"], ["c"])
    assert third == TrackingSection(Tracking.ACK, 2, 1, array("Q", [5, 6]))
    source.flush()
    assert taken(source) == []


def test_tuples_of_several_origins_keep_their_order_within_each() -> None:
    batch = [*tuples("a"), *tuples("x", origin=COUNT), *tuples("b")]
    assert [(origin, [tup.values[0] for tup in part]) for origin, part in by_origin(batch)] == [
        (SPLIT, ["a", "b"]),
        (COUNT, ["x"]),
    ]


def test_a_batch_leaves_by_itself_when_its_time_is_up() -> None:
    source = transfer(flush_secs=0.001)
    source.send(2, tuples("a"))
    assert source.seal_due(1000.0) == 1000.001
    assert taken(source) == []
    assert source.seal_due(1000.001) is None
    assert len(taken(source)) == 1


def frame_sizes(source: WorkerTransfer, count: int) -> list[int]:
    for i in range(count):
        source.send(2, tuples(i))
    return [sum(len(words(section)) for section in frame) for frame in taken(source)]


def test_batches_grow_while_they_fill_and_shrink_when_they_do_not() -> None:
    source = transfer()
    grown = frame_sizes(source, 10_000)
    assert grown == sorted(grown)
    assert grown[-1] > 4 * grown[0]
    for _ in range(20):
        source.send(2, tuples("a"))
        source.seal_due(float("inf"))
    taken(source)
    assert frame_sizes(source, BATCH_ITEMS_MIN) == [BATCH_ITEMS_MIN]


def test_the_exchange_is_woken_in_time() -> None:
    source = transfer(flush_secs=0.5)
    dues: list[float] = []
    source.wake = dues.append
    source.send(2, tuples("a"))
    source.send(2, tuples("b"))
    source.flush()
    source.flush()
    assert dues == [1000.5, 1000.0]


def test_tuples_for_a_task_that_no_worker_has_are_dropped_and_counted() -> None:
    source = transfer()
    source.send(9, tuples("a", "b"))
    source.send_tracking(Tracking.ACK, 9, 1, array("Q", [1, 2]))
    source.flush()
    assert taken(source) == []
    assert source.dropped == {"no worker has the task": 3}


def test_what_waits_for_a_worker_that_was_replaced_is_dropped() -> None:
    source = transfer()
    source.send(2, tuples("a"))
    source.flush()
    source.send(2, tuples("b"))
    source.route({}, [])
    assert source.peek(PEER) is None
    assert source.dropped == {"the worker was replaced": 2}


def test_a_peer_is_full_over_its_mark_until_a_quarter_of_it_is_left() -> None:
    source = transfer(queue_frames_mark=8)
    full = []
    for _ in range(9):
        full.append(bool(source.full_peers()))
        source.send(2, tuples("a"))
        source.flush()
    assert not any(full)
    for _ in range(9):
        full.append(bool(source.full_peers()))
        source.pop(PEER)
    assert full[9:] == [True] * 7 + [False] * 2


def test_a_queue_that_nobody_throttles_is_bounded_all_the_same() -> None:
    source = transfer(queue_frames_mark=2)
    for _ in range(100):
        source.send(2, tuples("a", "b"))
        source.flush()
    frames = len(taken(source))
    assert frames == 2 * DROP_AT_MARKS + 1
    assert source.dropped == {"the queue to the worker is full": 2 * (100 - frames)}


def test_values_that_cannot_travel_are_refused_at_once_and_dropped_if_they_changed_since() -> None:
    source = transfer()
    with pytest.raises(SerializationError, match="value 1"):
        source.check(["fine", object()])
    source.send(2, tuples("a", object(), "b", "c"))
    source.flush()
    assert [words(section) for frame in taken(source) for section in frame] == [["a"], ["b", "c"]]
    assert source.dropped == {"a value cannot travel": 1}


@pytest.mark.slow
def test_large_batches_become_several_frames_and_a_tuple_that_is_too_large_is_dropped() -> None:
    source = transfer(frame_bytes_max=1_000_000)
    source.send(2, tuples(*(bytes([i]) * 400_000 for i in range(5))))
    source.send(2, tuples(bytes(2_000_000)))
    source.flush()
    sizes = [sum(len(words(section)) for section in frame) for frame in taken(source)]
    assert sum(sizes) == 5
    assert max(sizes) <= 2
    assert source.dropped == {"a tuple is too large": 1}
