from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import pytest
from exchange_parts import LEFT, SPLIT, StandingClock, address, right_peer
from hypothesis import given
from hypothesis import strategies as st

from storm.errors import SerializationError
from storm.executor.transfer import Tracking
from storm.messaging.batch import OLDEST, TrackingSection, TupleSection, read_frame, read_sections
from storm.messaging.tuple_codec import decode_rows
from storm.tuples import Origin, Tuple
from storm.worker.transfer import (
    DROP_AT_MARKS,
    FRAME_BYTES,
    LATE_SECS,
    READY_ITEMS,
    TransferOptions,
    WorkerTransfer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PEER = right_peer()
VERSION_AT = 8  # docs/wire.md


def transfer(**options: Any) -> WorkerTransfer:
    made = WorkerTransfer(address(LEFT), TransferOptions(**options), StandingClock())
    made.route({2: PEER, 3: PEER}, [PEER])
    made.speak(PEER, OLDEST)
    return made


def tuples(*values: Any, origin: Origin = SPLIT) -> list[Tuple]:
    return [Tuple([value, 0], origin) for value in values]


def taken(source: WorkerTransfer, now: float = 1000.0) -> list[list[TupleSection | TrackingSection]]:
    """The sections of each frame that waits; they leave the queue."""
    frames = []
    while (frame := source.peek(PEER, now)) is not None:
        source.pop(PEER)
        frames.append(list(read_sections(read_frame(frame).body)))
    return frames


def words(section: TupleSection | TrackingSection) -> list[Any]:
    assert isinstance(section, TupleSection)
    return [row[0] for row in decode_rows(section.values)]


def test_nothing_leaves_before_the_peer_said_what_it_reads_and_then_in_that_version() -> None:
    source = WorkerTransfer(address(LEFT), TransferOptions(), StandingClock())
    source.route({2: PEER}, [PEER])
    source.send(2, tuples("a"))
    source.flush()
    assert source.peek(PEER, 1000.0) is None
    assert source.next_ready(()) is None
    source.speak(PEER, 7)
    assert source.next_ready(()) is not None
    frame = source.peek(PEER, 1000.0)
    assert frame is not None
    assert frame[VERSION_AT] == 7


def test_what_was_taken_leaves_at_a_flush_as_one_frame() -> None:
    source = transfer()
    source.send(2, tuples("a", "b"))
    source.send(3, tuples("c"))
    source.send_tracking(Tracking.ACK, 2, 1, array("Q", [5, 6]))
    assert taken(source) == []
    assert source.waiting() == 4
    source.flush()
    [[first, second, third]] = taken(source)
    assert source.waiting() == 0
    assert (words(first), words(second)) == (["a", "b"], ["c"])
    assert third == TrackingSection(Tracking.ACK, 2, 1, array("Q", [5, 6]))
    source.flush()
    assert taken(source) == []


def test_what_nobody_flushes_leaves_when_its_time_is_up() -> None:
    source = transfer(flush_secs=0.5)
    assert source.next_ready(()) is None
    source.send(2, tuples("a"))
    assert source.next_ready(()) == 1000.5
    assert source.next_ready({PEER}) is None
    assert taken(source, 1000.4) == []
    assert len(taken(source, 1000.5)) == 1
    assert source.next_ready(()) is None


def test_or_when_enough_waits() -> None:
    source = transfer()
    source.send(2, tuples(*range(READY_ITEMS - 1)))
    assert taken(source) == []
    source.send_tracking(Tracking.ACK, 2, 1, array("Q", [5, 6]))
    assert len(taken(source)) == 1


def test_a_frame_takes_all_that_waits_up_to_its_size() -> None:
    source = transfer()
    for _ in range(20):
        source.send(2, tuples(*["x" * 1000] * 100))
    sizes = [sum(len(words(section)) for section in frame) for frame in taken(source)]
    assert sum(sizes) == 2000
    assert sizes[0] == FRAME_BYTES // 100_000 * 100


def test_no_frame_of_tracking_is_larger_than_a_receiver_takes() -> None:
    source = transfer(frame_bytes_max=10_000)
    source.send_tracking(Tracking.ACK, 2, 1, array("Q", range(1, 20_001)))
    source.flush()
    told: list[int] = []
    while (frame := source.peek(PEER, 1000.0)) is not None:
        assert len(frame) <= 10_000
        source.pop(PEER)
        for section in read_sections(read_frame(frame).body):
            assert isinstance(section, TrackingSection)
            told += section.pairs
    assert told == list(range(1, 20_001))


def test_a_frame_is_the_same_until_it_was_sent() -> None:
    source = transfer()
    source.send(2, tuples("a"))
    source.flush()
    first = source.peek(PEER, 1000.0)
    source.send(2, tuples("b"))
    source.flush()
    assert source.peek(PEER, 1000.0) is first
    source.pop(PEER)
    [[section]] = taken(source)
    assert words(section) == ["b"]


def test_the_exchange_is_woken_in_time() -> None:
    source = transfer(flush_secs=0.5)
    dues: list[float] = []
    source.wake = dues.append
    source.send(2, tuples("a"))
    source.send(2, tuples("b"))
    source.flush()
    source.flush()
    assert dues == [1000.5 + LATE_SECS, 1000.0]


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
    source.send(2, tuples("b", "c"))
    source.route({}, [])
    assert source.peek(PEER, 1001.0) is None
    assert source.dropped == {"the worker was replaced": 3}


def test_a_peer_is_full_over_its_mark_until_a_quarter_of_it_is_left() -> None:
    source = transfer(queue_sections_mark=8, frame_bytes_max=100_100)
    full = []
    for _ in range(9):
        full.append(bool(source.full_peers()))
        source.send(2, tuples("x" * 100_000))
    assert not any(full)
    for _ in range(9):
        full.append(bool(source.full_peers()))
        assert source.peek(PEER, 1001.0) is not None  # one section a frame: two do not fit
        source.pop(PEER)
    assert full[9:] == [True] * 7 + [False] * 2


def test_a_queue_that_nobody_throttles_is_bounded_all_the_same() -> None:
    source = transfer(queue_sections_mark=2)
    for _ in range(100):
        source.send(2, tuples("a", "b"))
    [sections] = taken(source, 1001.0)
    assert len(sections) == 2 * DROP_AT_MARKS + 1
    assert source.dropped == {"the queue to the worker is full": 2 * (100 - len(sections))}


def test_values_that_cannot_travel_are_refused_at_once_and_dropped_if_they_changed_since() -> None:
    source = transfer()
    with pytest.raises(SerializationError, match="value 1"):
        source.check(["fine", object()])
    source.send(2, tuples("a", object(), "b", "c"))
    source.flush()
    assert [words(section) for frame in taken(source) for section in frame] == [["a"], ["b", "c"]]
    assert source.dropped == {"a value cannot travel": 1}


@pytest.mark.parametrize("payload", [bytes(1_000_000), "x" * 1_000_000, "é" * 500_000, [bytes(500_000)] * 2])
def test_a_tuple_that_fits_into_no_frame_is_refused_at_once(payload: Any) -> None:
    source = transfer(frame_bytes_max=1_000_000)
    with pytest.raises(SerializationError, match=r"value 1 \(.*1,000,0.. bytes.*the limit is 999,...") as error:
        source.check([7, payload])
    assert error.value.position == 1
    source.check([7, payload[: len(payload) // 2]])


@given(st.integers(900, 1100), st.sampled_from([bytes, lambda size: "x" * size, lambda size: "é" * (size // 2)]))
def test_what_was_not_refused_is_never_too_large_to_send(size: int, make: Callable[[int], Any]) -> None:
    source = transfer(frame_bytes_max=1400)
    values = [make(size), 1 << 40]
    try:
        source.check(values)
    except SerializationError:
        return
    source.send(2, [Tuple(values, Origin("a", "s" * 255, 1, ["x", "y"]), root=5, edge=6)])
    assert source.dropped == {}


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
