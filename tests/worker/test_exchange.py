from __future__ import annotations

import asyncio
import threading
from array import array

import pytest
from exchange_parts import COUNT, LEFT, MARKS, RIGHT, SPLIT, Side, address, assignment, turns

from storm.executor.inquiry import Holding, How
from storm.executor.transfer import Tracking
from storm.messaging import batch
from storm.messaging.batch import (
    FrameKind,
    Held,
    Hello,
    batch_frame,
    held_frame,
    hello_frame,
    read_frame,
    tuple_section,
)
from storm.messaging.columns import columns
from storm.messaging.in_process import FRAMES_ON_THE_WAY_MAX, InProcessNetwork
from storm.messaging.tuple_codec import encode_rows
from storm.metrics.insight_records import Obstacles
from storm.tuples import Tuple
from storm.worker.backpressure import EXPIRY_SECS
from storm.worker.exchange import ASK_AGAIN_SECS
from storm.worker.transfer import LATE_SECS

VERSION_AT = 8  # docs/wire.md


def pair() -> tuple[Side, Side]:
    network = InProcessNetwork()
    return Side(network, LEFT, {1}), Side(network, RIGHT, {2, 3})


def connected_pair() -> tuple[Side, Side]:
    left, right = pair()
    left.sees(assignment())
    right.sees(assignment())
    turns(left, right)
    return left, right


def send(side: Side, target: int, *words: str) -> None:
    side.transfer.send(target, [Tuple([word, 0], SPLIT) for word in words])
    side.transfer.flush()


def words(side: Side) -> list[object]:
    return [values[1] for _, values in side.lanes.tuples]


def test_tuples_and_acks_cross() -> None:
    left, right = connected_pair()
    send(left, 2, "a", "b")
    right.transfer.send_tracking(Tracking.ACK, 1, 2, array("Q", [5, 6]))
    right.transfer.flush()
    turns(left, right)
    assert words(right) == ["a", "b"]
    assert left.lanes.tracking == [(Tracking.ACK, 1, 2, [5, 6])]


def test_what_a_peer_does_not_take_follows_in_order() -> None:
    left, right = connected_pair()
    for i in range(FRAMES_ON_THE_WAY_MAX + 3):
        send(left, 2, str(i))
    turns(right, left, right)
    assert words(right) == [str(i) for i in range(FRAMES_ON_THE_WAY_MAX + 3)]
    assert left.transfer.dropped == {}


def test_a_batch_that_nobody_flushes_leaves_by_itself() -> None:
    left, right = connected_pair()
    left.transfer.send(2, [Tuple(["a", 0], SPLIT)])
    turns(left, right)
    assert words(right) == ["a"]


def test_peers_are_missing_until_both_have_seen_the_assignment_and_answered() -> None:
    left, right = pair()
    left.sees(assignment())
    turns(left, right)
    assert [peer.slot for peer in left.exchange.missing_peers()] == [RIGHT]
    assert right.exchange.missing_peers() == []  # it knows of none
    right.sees(assignment())
    turns(left, right)
    assert left.exchange.missing_peers() == right.exchange.missing_peers() == []


def test_a_worker_of_an_older_epoch_on_the_port_is_not_the_peer() -> None:
    network = InProcessNetwork()
    left, old = Side(network, LEFT, {1}), Side(network, RIGHT, {2, 3}, epoch=3)
    old.sees(assignment())
    left.sees(assignment(version=4, right_epoch=4))
    turns(left, old)
    assert [peer.epoch for peer in left.exchange.missing_peers()] == [4]
    assert left.receive.dropped["a frame of a worker that was replaced"] > 0


def test_a_peer_is_sent_hellos_only_until_it_said_what_it_reads_and_that_version_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch, "NEWEST", 2)
    network = InProcessNetwork()
    left, right = Side(network, LEFT, {1}), network.transport()
    right.bind("127.0.0.1", RIGHT.port)
    to_left = right.connect("127.0.0.1", LEFT.port)
    left.sees(assignment())

    def heard(*told: Hello) -> list[tuple[FrameKind, int]]:
        for hello in told:
            assert to_left.try_send(hello_frame(address(RIGHT), hello))
        send(left, 2, "a")
        turns(left)
        return [(read_frame(frame).kind, frame[VERSION_AT]) for frame in right.receive(100)]

    assert heard() == [(FrameKind.HELLO, 1)]
    assert heard() == []
    left.clock.sleep(ASK_AGAIN_SECS)
    assert heard() == [(FrameKind.HELLO, 1)]
    assert heard(Hello(True, 7, 1)) == [(FrameKind.BATCH, 1)]
    left.clock.sleep(ASK_AGAIN_SECS)
    assert heard(Hello(True, 8, 2)) == [(FrameKind.BATCH, 2)]
    assert heard(Hello(True, 9, 3)) == [(FrameKind.BATCH, 2)]
    assert heard(Hello(True, 10, 1)) == [(FrameKind.BATCH, 1)]


def test_all_are_settled_once_each_said_that_it_routes_by_the_new_assignment() -> None:
    left, right = connected_pair()
    assert left.exchange.is_settled()
    left.sees(assignment(version=4))
    assert not left.exchange.is_settled()  # its own turn comes first
    turns(left, right)
    assert not left.exchange.is_settled()
    assert right.exchange.is_settled()  # by what it knows
    right.sees(assignment(version=4))
    turns(right, left)
    assert left.exchange.is_settled()
    assert right.exchange.is_settled()


def test_a_peer_that_is_replaced_gets_what_comes_after() -> None:
    network = InProcessNetwork()
    left, old = Side(network, LEFT, {1}), Side(network, RIGHT, {2, 3})
    for side in (left, old):
        side.sees(assignment())
    turns(left, old)
    old.transport.close()
    send(left, 2, "lost")
    new = Side(network, RIGHT, {2, 3}, epoch=4)
    for side in (left, new):
        side.sees(assignment(version=4, right_epoch=4))
    turns(left, new)
    send(left, 2, "kept")
    turns(left, new)
    assert words(new) == ["kept"]


def test_trees_under_way_fail_when_a_peer_died_and_not_when_only_its_connection_did() -> None:
    network = InProcessNetwork()
    left, old = Side(network, LEFT, {1}), Side(network, RIGHT, {2, 3})
    for side in (left, old):
        side.sees(assignment())
    turns(left, old)
    send(old, 1, "more of the same process")
    turns(left, old)
    assert left.lanes.failed_pending == 0
    old.transport.close()
    turns(left)
    assert left.lanes.failed_pending == 1, "at once: its successor may take long"
    again = Side(network, RIGHT, {2, 3})
    again.sees(assignment())
    turns(left, again)
    assert left.lanes.failed_pending == 1
    left.sees(assignment(version=4, right_epoch=4))
    turns(left)
    assert left.lanes.failed_pending == 2


def test_trees_under_way_fail_when_a_peer_died_before_it_was_heard_of() -> None:
    """It may have taken tuples: its connection stood. What comes after it is the first that is heard."""
    left, mute = pair()
    left.sees(assignment())
    turns(left, count=3)  # the other one never has a turn
    send(left, 2, "lost")
    turns(left, count=3)
    assert left.lanes.failed_pending == 0
    mute.transport.close()
    turns(left)
    assert left.lanes.failed_pending == 1
    again = Side(left.network, RIGHT, {2, 3})
    again.sees(assignment())
    turns(left, again)
    assert left.exchange.missing_peers() == []
    assert left.lanes.failed_pending == 1


def test_what_is_replayed_waits_until_the_successor_knows_who_sends_it() -> None:
    left, right = connected_pair()
    right.transport.close()
    turns(left)
    send(left, 2, "replayed")
    again = Side(left.network, RIGHT, {2, 3})
    turns(left, again)  # it listens, and has not seen the assignment
    assert words(again) == []
    again.sees(assignment())
    turns(left, again)
    assert words(again) == ["replayed"]
    assert left.lanes.failed_pending == 1


def test_workers_of_a_topology_that_is_stopped_end_without_failing_trees() -> None:
    left, right = connected_pair()
    left.lanes.emitting = False
    right.transport.close()
    turns(left)
    assert left.lanes.failed_pending == 0
    again = Side(left.network, RIGHT, {2, 3})
    again.sees(assignment())
    turns(left, again)
    assert left.lanes.failed_pending == 1, "it was no stop: the slot is served again"
    left.lanes.emitting = True
    turns(left, again)
    assert left.lanes.failed_pending == 1


def test_trees_under_way_fail_when_a_peer_that_was_never_heard_of_is_replaced_elsewhere() -> None:
    left, mute = pair()
    left.sees(assignment())
    turns(left, count=3)
    mute.transport.close()
    left.sees(assignment(version=4, right_epoch=4))
    turns(left)
    assert left.lanes.failed_pending == 1


def test_nothing_fails_where_no_process_was_there_before() -> None:
    network = InProcessNetwork()
    left = Side(network, LEFT, {1})
    left.sees(assignment())
    turns(left)
    right = Side(network, RIGHT, {2, 3})
    right.sees(assignment())
    turns(left, right)
    left.sees(assignment(version=4))
    turns(left, right)
    assert left.lanes.failed_pending == right.lanes.failed_pending == 0


def test_a_peer_that_changed_while_the_link_was_cut_is_noticed() -> None:
    network = InProcessNetwork()
    left, old = Side(network, LEFT, {1}), Side(network, RIGHT, {2, 3})
    for side in (left, old):
        side.sees(assignment())
    turns(left, old)
    old.transport.close()
    turns(left, count=3)
    unseen = Side(network, RIGHT, {2, 3})  # lives and dies while nobody here has a turn
    unseen.transport.close()
    again = Side(network, RIGHT, {2, 3})
    again.sees(assignment())
    turns(left, again)
    assert left.lanes.failed_pending == 1


def test_who_holds_this_worker_back_is_told_until_it_does_no_more() -> None:
    left, right = connected_pair()
    name = f"127.0.0.1:{RIGHT.port}"
    assert left.exchange.obstacles() == Obstacles()
    right.lanes.lengths = {2: MARKS.high + 1}
    right.receive.delivered += 1
    turns(left, right, count=12)
    assert left.exchange.obstacles() == Obstacles(announced={name: frozenset({2})})
    left.clock.sleep(EXPIRY_SECS + 1)
    assert left.exchange.obstacles() == Obstacles()


def test_a_peer_that_takes_less_than_it_is_sent_is_told() -> None:
    left, _ = connected_pair()
    for i in range(FRAMES_ON_THE_WAY_MAX + 10):
        send(left, 2, str(i))
        turns(left, count=1)
    assert left.exchange.obstacles() == Obstacles(slow={f"127.0.0.1:{RIGHT.port}": frozenset({2, 3})})


def test_connections_and_what_was_dropped_are_counted() -> None:
    left, right = connected_pair()
    assert (left.exchange.peers(), left.exchange.reconnects(), left.exchange.dropped()) == (1, 0, {})
    right.transport.close()
    turns(left)
    again = Side(left.network, RIGHT, {2, 3})
    again.sees(assignment())
    turns(left, again)
    assert left.exchange.reconnects() == 1
    send(left, 99, "a", "b")
    left.receive.take(b"noise")
    left.receive.take(b"noise")
    assert left.exchange.dropped() == {
        "before sending: no worker has the task": 2,
        "on arrival: a malformed frame": 2,
    }


def test_peers_are_asked_what_they_hold_and_answer() -> None:
    left, right = connected_pair()
    right.lanes.holdings = [Holding(5, 2, How.TAKEN), Holding(0, 3, How.DROPPED)]
    assert left.exchange.ask(9, [5, 8]) == [f"127.0.0.1:{RIGHT.port}"]
    turns(left, right)
    assert right.lanes.asked == [(5, 8)]
    assert left.lanes.answers == [(9, f"127.0.0.1:{RIGHT.port}", right.lanes.holdings)]


def test_who_may_not_look_does_not_answer() -> None:
    left, right = connected_pair()
    left.exchange.ask(9, [5])
    turns(left, right)
    assert right.lanes.asked == [(5,)]
    assert left.lanes.answers == []


def test_of_an_answer_only_what_is_understood_counts() -> None:
    left, right = connected_pair()
    stranger = right.transport.connect("127.0.0.1", LEFT.port)
    assert stranger.try_send(held_frame(address(RIGHT), Held(9, ((5, 2, 77), (6, 2, 2)))))
    turns(left)
    assert left.lanes.answers == [(9, f"127.0.0.1:{RIGHT.port}", [Holding(6, 2, How.QUEUED)])]


def test_without_peers_nobody_is_asked() -> None:
    left, _ = pair()
    assert left.exchange.ask(9, [5]) == []


def test_a_peer_that_restarts_gets_what_waited() -> None:
    network = InProcessNetwork()
    left, old = Side(network, LEFT, {1}), Side(network, RIGHT, {2, 3})
    for side in (left, old):
        side.sees(assignment())
    turns(left, old)
    old.transport.close()
    send(left, 2, "waits")
    turns(left)
    again = Side(network, RIGHT, {2, 3})
    again.sees(assignment())
    turns(left, again)
    assert words(again) == ["waits"]


def test_tasks_over_their_mark_are_spared_by_the_other_side_until_they_are_under() -> None:
    left, right = connected_pair()
    right.lanes.lengths = {2: 101, 3: 0}
    send(left, 2, "a")
    turns(left, right, count=10)
    assert left.lanes.throttled == [frozenset({2})]
    turns(left, right, count=1000)  # renewed for longer than it would hold
    right.lanes.lengths = {2: 40, 3: 0}
    turns(left, right, count=10)
    assert left.lanes.throttled == [frozenset({2}), frozenset()]


def test_a_throttle_of_a_worker_that_died_expires() -> None:
    left, right = connected_pair()
    right.lanes.lengths = {2: 101}
    send(left, 2, "a")
    turns(left, right, count=10)
    right.transport.close()
    left.clock.sleep(EXPIRY_SECS)
    turns(left)
    assert left.lanes.throttled == [frozenset({2}), frozenset()]


def test_a_worker_that_connects_later_is_told_at_once() -> None:
    network = InProcessNetwork()
    left, right = Side(network, LEFT, {1}), Side(network, RIGHT, {2, 3})
    for side in (left, right):
        side.sees(assignment())
    turns(left, right)
    right.lanes.lengths = {2: 101}
    send(left, 2, "a")
    turns(left, right, count=10)
    left.transport.close()
    again = Side(network, LEFT, {1})
    again.sees(assignment())
    turns(again, right)
    assert again.lanes.throttled[:1] == [frozenset({2})]


def test_the_tasks_of_a_peer_that_takes_nothing_are_spared_and_nothing_blocks() -> None:
    left, right = connected_pair()
    right.transport.close()
    turns(left)
    for _ in range(2):  # the first ones are in the frame that waits
        for _ in range(10):
            send(left, 2, "a")
        turns(left)
    assert left.lanes.throttled == [frozenset({2, 3})]


def test_a_frame_from_a_worker_unheard_of_asks_for_the_assignment_once() -> None:
    left, right = connected_pair()
    parts = columns([Tuple([1], COUNT)])
    frame = batch_frame(address(RIGHT, epoch=9), [tuple_section(1, COUNT, parts, encode_rows(parts.rows))])
    stranger = right.transport.connect("127.0.0.1", LEFT.port)
    assert stranger.try_send(frame)
    turns(left)
    assert left.exchange.take_unheard_of()
    assert not left.exchange.take_unheard_of()


def test_an_idle_worker_sleeps_and_a_busy_one_wakes_often() -> None:
    left, right = connected_pair()
    left.clock.sleep(10)
    assert left.exchange.awake_until(left.exchange.step()) - left.clock.now() == 1.0
    send(left, 2, "a")
    assert left.exchange.awake_until(left.exchange.step()) - left.clock.now() <= LATE_SECS
    right.exchange.step()
    assert words(right) == ["a"]


def test_the_thread_sends_what_it_is_given_and_ends_when_told() -> None:
    left, right = connected_pair()
    failed = threading.Event()
    left.exchange.start(failed.set)
    send(left, 2, "a")
    for _ in range(100):
        right.transport.wait(0.1)
        right.exchange.step()
        if words(right):
            break
    left.exchange.stop(10)
    assert words(right) == ["a"]
    assert not failed.is_set()
    assert left.exchange.failure is None


class Panic(BaseException):
    """As Rust's panics are."""


@pytest.mark.parametrize("raised", [RuntimeError, Panic, SystemExit, asyncio.CancelledError])
def test_a_fault_of_the_thread_is_told(raised: type[BaseException]) -> None:
    left, _ = connected_pair()
    failed = threading.Event()

    def fault() -> dict[int, int]:
        raise raised("a fault")

    left.lanes.queue_lengths = fault  # type: ignore[method-assign]
    left.receive.delivered += 1
    left.exchange.start(failed.set)
    assert failed.wait(10)
    assert isinstance(left.exchange.failure, raised)
    left.exchange.stop(10)


def test_the_port_keeps_who_sends_frames_of_the_topology() -> None:
    left, _ = connected_pair()
    assert left.transport.is_from_peer(hello_frame(address(RIGHT), Hello(False, 7)))
    assert not left.transport.is_from_peer(b"hello")
    assert left.exchange.figures().strangers_shut == 0


def test_a_hello_of_nobody_known_changes_nothing() -> None:
    left, right = connected_pair()
    before = left.exchange.figures()
    stranger = right.transport.connect("127.0.0.1", LEFT.port)
    assert stranger.try_send(hello_frame(address(RIGHT, epoch=9), Hello(False, 7)))
    turns(left)
    assert left.exchange.figures() == before
