"""What every implementation of `storm.messaging.transport.Transport` must do; subclasses say which one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from storm.errors import PortTakenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storm.messaging.transport import Sender, Transport

HOST = "127.0.0.1"
WAITS_MAX = 200  # of 0.1 s each: how often a condition is looked at before the test gives up


def until(transport: Transport, condition: Callable[[], object], *blocked: Sender) -> None:
    for _ in range(WAITS_MAX):
        if condition():
            return
        transport.wait(0.1, blocked)
    raise AssertionError("the condition never came true")


class TransportContract:
    @pytest.fixture
    def make(self) -> Iterator[Callable[[], Transport]]:
        """Makes transports that can reach each other, and closes them."""
        raise NotImplementedError

    def test_frames_arrive_whole_and_in_order(self, make: Callable[[], Transport]) -> None:
        near, far = make(), make()
        sender = near.connect(HOST, far.bind(HOST, 0))
        until(near, lambda: sender.connected)
        sent = [bytes([i]) * (i * 1000) for i in range(1, 20)]
        assert all(sender.try_send(frame) for frame in sent)
        got: list[bytes] = []
        until(far, lambda: got.extend(far.receive(3)) or len(got) == len(sent))
        assert got == sent

    def test_two_senders_reach_one_receiver(self, make: Callable[[], Transport]) -> None:
        far = make()
        port = far.bind(HOST, 0)
        for name in (b"a", b"b"):
            near = make()
            sender = near.connect(HOST, port)
            until(near, lambda sender=sender: sender.connected)
            assert sender.try_send(name)
        got: list[bytes] = []
        until(far, lambda: got.extend(far.receive(10)) or len(got) == 2)
        assert sorted(got) == [b"a", b"b"]

    def test_nothing_is_taken_before_somebody_listens(self, make: Callable[[], Transport]) -> None:
        near, far = make(), make()
        port = far.bind(HOST, 0)
        far.close()
        sender = near.connect(HOST, port)
        near.wait(0.01, [sender])
        assert not sender.connected
        assert not sender.try_send(b"frame")
        again = make()
        again.bind(HOST, port)
        until(near, lambda: sender.connected)
        assert sender.connects == 1
        assert sender.try_send(b"frame")
        got: list[bytes] = []
        until(again, lambda: got.extend(again.receive(1)) or got)
        assert got == [b"frame"]

    def test_a_receiver_that_returns_is_found_again(self, make: Callable[[], Transport]) -> None:
        near, far = make(), make()
        port = far.bind(HOST, 0)
        sender = near.connect(HOST, port)
        until(near, lambda: sender.connected)
        far.close()
        until(near, lambda: not sender.connected)
        until(near, lambda: sender.ended == 1)
        again = make()
        again.bind(HOST, port)
        until(near, lambda: sender.connected)
        assert (sender.connects, sender.ended) == (2, 1)
        assert sender.try_send(b"after")
        got: list[bytes] = []
        until(again, lambda: got.extend(again.receive(1)) or got)
        assert got == [b"after"]

    def test_what_a_receiver_does_not_read_is_bounded_and_the_sender_is_told_when_there_is_room(
        self, make: Callable[[], Transport]
    ) -> None:
        near, far = make(), make()
        sender = near.connect(HOST, far.bind(HOST, 0))
        until(near, lambda: sender.connected)
        frame = bytes(1_000_000)
        taken = 0
        while sender.try_send(frame):
            taken += 1
            assert taken < 1000
        got = 0

        def room() -> bool:
            nonlocal got
            got += len(far.receive(100))
            return sender.try_send(frame)

        until(near, room, sender)
        assert got > 0

    def test_a_port_is_bound_once(self, make: Callable[[], Transport]) -> None:
        port = make().bind(HOST, 0)
        with pytest.raises(PortTakenError, match=str(port)):
            make().bind(HOST, port)

    def test_a_port_is_free_again_after_close(self, make: Callable[[], Transport]) -> None:
        first = make()
        port = first.bind(HOST, 0)
        first.close()
        assert make().bind(HOST, port) == port

    def test_wake_ends_a_wait(self, make: Callable[[], Transport]) -> None:
        near = make()
        near.wake()
        near.wait(60)  # woken before
        ended = threading.Event()
        waker = threading.Thread(target=lambda: (near.wake(), ended.set()))
        waker.start()
        near.wait(60)
        waker.join()
        assert ended.is_set()

    def test_a_closed_sender_takes_nothing_more_and_others_go_on(self, make: Callable[[], Transport]) -> None:
        near, far, other = make(), make(), make()
        gone = near.connect(HOST, far.bind(HOST, 0))
        stays = near.connect(HOST, other.bind(HOST, 0))
        until(near, lambda: gone.connected and stays.connected)
        gone.close()
        gone.close()
        assert not gone.connected
        near.wait(0.01)
        assert stays.try_send(b"frame")
        got: list[bytes] = []
        until(other, lambda: got.extend(other.receive(1)) or got)
        assert got == [b"frame"]
