from __future__ import annotations

import struct
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.errors import ThriftProtocolError
from storm.thrift.connection import Connection, Phase, ServerLimits

LIMITS = ServerLimits(frame_max_bytes=100, first_byte_secs=5, frame_secs=30, idle_secs=600)


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@given(st.lists(st.binary(max_size=50), max_size=5), st.data())
def test_frames_come_out_whole_and_in_order_however_they_arrive(bodies: list[bytes], data: st.DataObject) -> None:
    connection = Connection(LIMITS, now=0)
    stream, found = b"".join(map(frame, bodies)), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        connection.received(stream[:size], now=1)
        stream = stream[size:]
        while (body := connection.take_frame()) is not None:
            found.append(body)
            connection.answer(None, now=1)
    assert found == bodies
    assert connection.idle
    assert connection.buffered_bytes == 0


def test_one_call_at_a_time() -> None:
    connection = Connection(LIMITS, now=0)
    connection.received(frame(b"one") + frame(b"two"), now=0)
    assert connection.take_frame() == b"one"
    assert connection.take_frame() is None
    connection.answer(b"reply", now=1)
    assert connection.phase is Phase.WRITING
    assert bytes(connection.outgoing()) == frame(b"reply")
    connection.sent(4, now=1)
    assert connection.take_frame() is None
    connection.sent(5, now=1)
    assert connection.take_frame() == b"two"


def test_a_frame_beyond_the_limit_is_refused_by_its_first_four_bytes() -> None:
    connection = Connection(LIMITS, now=0)
    connection.received(b"GET / HTTP/1.1\r\n", now=0)
    with pytest.raises(ThriftProtocolError, match=r"1195725856 bytes \(at most 100\); it begins with b'GET / HTTP"):
        connection.take_frame()


def test_a_frame_of_just_the_limit_passes() -> None:
    connection = Connection(LIMITS, now=0)
    connection.received(frame(bytes(100)), now=0)
    assert connection.take_frame() == bytes(100)


def test_deadlines_of_a_silent_client() -> None:
    connection = Connection(LIMITS, now=10)
    assert connection.deadline() == 15
    assert connection.complaint() == "its client sent nothing"


def test_a_trickle_of_bytes_does_not_move_the_deadline() -> None:
    connection = Connection(LIMITS, now=10)
    for now, byte in enumerate(frame(bytes(50))[:20], start=12):
        connection.received(bytes([byte]), now=now)
        assert connection.take_frame() is None
        assert connection.deadline() == 12 + 30
    assert connection.complaint() == "a frame that began was not completed"


def test_a_call_may_take_its_time_and_its_client_may_not() -> None:
    connection = Connection(LIMITS, now=0)
    connection.received(frame(b"call"), now=1)
    connection.take_frame()
    assert connection.deadline() == inf
    connection.answer(b"reply", now=1000)
    assert connection.deadline() == 1030
    assert connection.complaint() == "its client does not take the reply"
    connection.sent(len(connection.outgoing()), now=1001)
    assert connection.deadline() == 1601
    assert connection.complaint() == "it was idle"


def test_who_never_called_goes_before_who_is_idle_and_the_longest_first() -> None:
    stranger, caller, busy = (Connection(LIMITS, now=0) for _ in range(3))
    for connection in (caller, busy):
        connection.received(frame(b"call"), now=1)
        connection.take_frame()
    assert busy.claim(now=1000) is None
    caller.answer(None, now=7)
    assert stranger.claim(now=8) == (0, 0)
    assert caller.claim(now=8) == (1, 7)
    assert Connection(LIMITS, now=5).claim(now=8) == (0, 5)


def test_who_lets_the_server_wait_within_a_frame_or_a_reply_may_be_closed_after_a_while() -> None:
    slow, greedy = Connection(LIMITS, now=0), Connection(LIMITS, now=0)
    slow.received(b"\0", now=10)
    greedy.received(frame(b"call"), now=1)
    greedy.take_frame()
    greedy.answer(b"reply", now=10)
    for connection in (slow, greedy):
        assert connection.claim(now=14.9) is None
        assert connection.claim(now=15) == (2, 10)


def test_all_that_is_kept_for_a_client_is_counted() -> None:
    connection = Connection(LIMITS, now=0)
    connection.received(frame(bytes(10)) + b"abc", now=0)
    assert connection.buffered_bytes == 17
    connection.take_frame()
    assert connection.buffered_bytes == 13
    connection.answer(bytes(20), now=0)
    assert connection.buffered_bytes == 3 + 24
