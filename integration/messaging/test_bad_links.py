"""Frames over links that are cut, half-open, slow or wrong in their bits: less may arrive, later, and nothing else."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest
from exchange_parts import LEFT, RIGHT, SPLIT, NotingLanes, address, assignment
from tcp_proxy import BitFlips, TcpProxy, Truncation
from transport_contract import HOST, until

from storm.messaging import zeromq
from storm.messaging.batch import batch_frame, tuple_section
from storm.messaging.columns import columns
from storm.messaging.tuple_codec import encode_rows
from storm.messaging.zeromq import ZeroMqLimits, ZeroMqTransport
from storm.tuples import Tuple
from storm.worker.connections import view
from storm.worker.receive import Receive

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAME_BYTES_MAX = 65_536
PADDING = "x" * 1_000
HANDSHAKE_BYTES = 300


class Link:
    """A worker's sockets that send numbered tuples through a proxy to another's, and what it takes of them."""

    def __init__(self, near: ZeroMqTransport, far: ZeroMqTransport, proxy: TcpProxy) -> None:
        self.near, self.far, self.proxy = near, far, proxy
        self.lanes = NotingLanes()
        self.receive = Receive(self.lanes, frozenset({2}), view(assignment(), RIGHT))
        self.sender = near.connect(HOST, proxy.port)
        self.sent = 0
        self.until_connected()

    def until_connected(self) -> None:
        until(self.near, lambda: self.sender.connected)

    def send(self) -> bool:
        """The next number, if the socket takes it."""
        rows = columns([Tuple([PADDING, self.sent], SPLIT)])
        section = tuple_section(2, SPLIT, rows, encode_rows(rows.rows))
        took = self.sender.try_send(batch_frame(address(LEFT), [section]))
        self.sent += took
        return took

    def take(self) -> list[int]:
        """The numbers that have come so far."""
        for frame in self.far.receive(1_000):
            self.receive.take(frame)
        assert all(target == 2 and values[:2] == [1, PADDING] for target, values in self.lanes.tuples)
        return [values[2] for _, values in self.lanes.tuples]

    def until_all(self) -> None:
        """Until everything that was sent has come."""
        until(self.far, lambda: self.take() == list(range(self.sent)))


@pytest.fixture
def link() -> Iterator[Link]:
    limits = ZeroMqLimits(frame_bytes_max=FRAME_BYTES_MAX)
    with contextlib.ExitStack() as stack:
        near, far = ZeroMqTransport(limits), ZeroMqTransport(limits)
        stack.callback(near.close)
        stack.callback(far.close)
        proxy = stack.enter_context(TcpProxy((HOST, far.bind(HOST, 0))))
        yield Link(near, far, proxy)


def test_a_link_that_was_cut_is_used_again_when_it_is_back(link: Link) -> None:
    assert link.send()
    link.until_all()
    for connects in (2, 3):
        link.proxy.cut()
        until(link.near, lambda: not link.sender.connected)
        assert not link.send()
        link.proxy.heal()
        link.until_connected()
        assert link.sender.connects == connects
        assert link.send()
        link.until_all()


def test_a_half_open_link_is_noticed_and_used_again_when_it_is_back(link: Link) -> None:
    assert link.send()
    link.until_all()
    link.proxy.stall()
    until(link.near, lambda: not link.sender.connected)
    assert not link.send()
    link.proxy.heal()
    link.until_connected()
    assert link.send()
    link.until_all()


def test_half_a_connection_takes_no_frames_and_wakes_nobody() -> None:
    near, far = ZeroMqTransport(), ZeroMqTransport()
    with TcpProxy((HOST, far.bind(HOST, 0))) as proxy:
        proxy.stall()
        sender = near.connect(HOST, proxy.port)
        until(near, lambda: proxy.accepted)
        assert not sender.try_send(b"lost in the handshake")
        woken = threading.Event()
        threading.Timer(0.3, lambda: (woken.set(), near.wake())).start()
        near.wait(60, [sender])
        assert woken.is_set()
        near.close()
        far.close()


def test_a_link_that_is_open_in_one_direction_only_is_noticed_and_used_again(link: Link) -> None:
    link.proxy.to_client.swallowed = True
    until(link.near, lambda: not link.sender.connected)
    link.proxy.to_client.swallowed = False
    link.until_connected()
    assert link.send()
    link.until_all()


def test_what_a_link_held_is_dropped_if_its_sender_was_replaced_meanwhile(link: Link) -> None:
    assert link.send()
    link.until_all()
    link.proxy.stall()
    assert link.send()
    link.receive.view = view(assignment(version=4, left_epoch=4), RIGHT)
    link.proxy.heal()
    until(link.far, lambda: link.take() and link.receive.dropped)
    assert link.take() == [0]
    assert link.receive.dropped == {"a frame of a worker that was replaced": 1}


def test_a_slow_link_loses_nothing_and_is_not_given_up(link: Link) -> None:
    way = link.proxy.to_server
    way.delay_secs, way.jitter_secs, way.bytes_per_sec = 0.2, 0.1, 500_000
    link.proxy.to_client.delay_secs = 0.2
    until(link.near, lambda: (link.send(), link.sent == 200)[1], link.sender)
    link.until_all()
    assert link.sender.connects == 1


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bits_cost_frames_and_nothing_wrong_is_delivered(link: Link, seed: int) -> None:
    link.proxy.to_server.change = flips = BitFlips(seed, every_bytes=10_000, spare_bytes=HANDSHAKE_BYTES)

    def enough() -> bool:
        link.send()
        return len(link.take()) >= 500 and sum(link.receive.dropped.values()) >= 5

    until_quickly(link, enough)
    assert flips.flips > 5
    came = link.take()
    assert came == sorted(set(came))
    assert set(link.receive.dropped) == {"a malformed frame"}


def test_connections_that_end_within_a_frame_cost_that_frame_and_those_behind_it(link: Link) -> None:
    link.proxy.to_server.change = truncation = Truncation(seed=1, every_bytes=30_000)
    link.proxy.reset()

    def enough() -> bool:
        link.send()
        return len(link.take()) >= 200 and truncation.cuts >= 5

    until_quickly(link, enough)
    came = link.take()
    assert came == sorted(set(came))
    assert link.receive.dropped == {}
    assert link.sender.connects > 5


def until_quickly(link: Link, condition: object) -> None:
    """Like `until`, with turns that are as short as can be while the socket takes frames."""
    assert callable(condition)
    for _ in range(200):
        for _ in range(100):
            if condition():
                return
        link.near.wait(0.1, [link.sender])
    raise AssertionError("the condition never came true")


def test_a_receiver_that_is_held_up_keeps_its_connections_and_what_is_in_them(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zeromq, "HEARTBEAT_EVERY_MS", 100)
    monkeypatch.setattr(zeromq, "RECEIVER_SILENCE_MS_MAX", 1_000)  # a busy machine holds up this process, too
    with contextlib.ExitStack() as stack:
        near, far = ZeroMqTransport(), ZeroMqTransport()
        stack.callback(near.close)
        stack.callback(far.close)
        proxy = stack.enter_context(TcpProxy((HOST, far.bind(HOST, 0))))
        patient = Link(near, far, proxy)
        while patient.send():
            near.wait(0.01, [patient.sender])
        heard = proxy.to_client.passed_bytes
        until(near, lambda: proxy.to_client.passed_bytes >= heard + 20 * 9)  # bytes of a heartbeat: twenty of them
        assert patient.sender.connects == 1
        patient.until_all()
