"""What a client says of servers that are absent, foreign, silent or broken."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from storm import open_files
from storm.errors import StormError, ThriftConnectionError, ThriftProtocolError, ThriftTimeoutError, UnknownHostError
from storm.thrift.binary_protocol import encode_message
from storm.thrift.client import ThriftClient
from storm.thrift.connection import ServerLimits
from storm.thrift.interface import service
from storm.thrift.prescan import REPLY, MessageHeader
from storm.thrift.server import ThriftServer

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE_SECS = 20.0


@contextlib.contextmanager
def saying(answer: bytes, *, close: bool = True) -> Iterator[int]:
    """A port whose server answers each connection's first bytes with `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1 << 16)
                sock.sendall(answer)
                if not close:
                    done.wait(DEADLINE_SECS)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            thread.join(DEADLINE_SECS)


def ask(port: int, timeout_secs: float = DEADLINE_SECS) -> object:
    with ThriftClient("Nimbus", "127.0.0.1", port, timeout_secs) as client:
        return client.getNimbusConf()


def reply_frame(method: str = "getNimbusConf", sequence_id: int = 1, **result: object) -> bytes:
    body = getattr(service("Nimbus"), f"{method}_result")(**result)
    message = encode_message(MessageHeader(method, REPLY, sequence_id, 0), body)
    return struct.pack(">I", len(message)) + message


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ThriftConnectionError, match=f"127.0.0.1:{port}: nothing listens there") as caught:
        ask(port)
    assert not caught.value.sent


def test_no_such_host() -> None:
    with pytest.raises(UnknownHostError, match="no such host"):
        ThriftClient("Nimbus", "nowhere.invalid", 1, 1.0).getNimbusConf()


def test_a_web_server() -> None:
    answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with saying(answer) as port, pytest.raises(ThriftProtocolError, match=r"does not speak Thrift .*HTTP/1.1"):
        ask(port)


def test_a_foreign_binary_protocol() -> None:
    with (
        saying(struct.pack(">I", 20) + b"x" * 20) as port,
        pytest.raises(ThriftProtocolError, match=r"not speak Thrift"),
    ):
        ask(port)


def test_a_silent_server() -> None:
    with (
        saying(b"", close=False) as port,
        pytest.raises(ThriftTimeoutError, match=r"no answer within 0\.1 s") as caught,
    ):
        ask(port, timeout_secs=0.1)
    assert caught.value.sent


@pytest.mark.parametrize("answer", [b"", b"\0\0", reply_frame(success="{}")[:-3]], ids=["at once", "early", "late"])
def test_a_server_that_hangs_up(answer: bytes) -> None:
    with saying(answer) as port, pytest.raises(ThriftConnectionError, match="closed the connection") as caught:
        ask(port)
    assert caught.value.sent


@pytest.mark.parametrize(
    "answer", [reply_frame(sequence_id=2, success="{}"), reply_frame("getTopologyConf", success="{}")]
)
def test_an_answer_to_another_question(answer: bytes) -> None:
    with saying(answer) as port, pytest.raises(ThriftProtocolError, match="asked was 'getNimbusConf'"):
        ask(port)


def test_a_reply_without_a_result() -> None:
    with saying(reply_frame()) as port, pytest.raises(StormError, match="answered without a result"):
        ask(port)


def test_arguments_are_checked_before_anything_is_sent() -> None:
    client = ThriftClient("Nimbus", "127.0.0.1", 1, 1.0)
    with pytest.raises(ValueError, match=r"takes 1 arguments \(name\), not 2"):
        client.call("killTopology", "a", "b")
    with pytest.raises(ValueError, match="no method 'nonsense'"):
        client.call("nonsense")
    with pytest.raises(AttributeError):
        client.nonsense()
    with pytest.raises(ThriftProtocolError, match=r"killTopology_args\.name is a string"):
        client.call("killTopology", 3)


class Conf:
    def getNimbusConf(self) -> str:
        return "{}"


def test_a_connection_that_the_server_closed_is_opened_anew() -> None:
    limits = ServerLimits(connections_max=1)
    server = ThriftServer("Nimbus", Conf(), host="127.0.0.1", port=0, limits=limits)
    server.start()
    try:
        with (
            ThriftClient("Nimbus", "127.0.0.1", server.port, DEADLINE_SECS) as one,
            ThriftClient("Nimbus", "127.0.0.1", server.port, DEADLINE_SECS) as other,
        ):
            for _ in range(5):
                assert one.getNimbusConf() == other.getNimbusConf() == "{}"
    finally:
        server.stop()
    assert server.counts["room was needed"] >= 8


class Slow:
    """Has whoever asks first interrupted while that waits."""

    def __init__(self) -> None:
        self.asked_again = threading.Event()
        self.calls = 0

    def getNimbusConf(self) -> str:
        self.calls += 1
        if self.calls > 1:
            self.asked_again.set()
            return "second"
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        self.asked_again.wait(DEADLINE_SECS)
        return "first"


def test_after_an_interrupt_nobody_waits_for_the_answer_to_what_was_asked_before() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    server = ThriftServer("Nimbus", Slow(), host="127.0.0.1", port=0)
    server.start()
    try:
        with ThriftClient("Nimbus", "127.0.0.1", server.port, DEADLINE_SECS) as client:
            with pytest.raises(KeyboardInterrupt):
                client.getNimbusConf()
            assert client.getNimbusConf() == "second"
    finally:
        signal.signal(signal.SIGINT, before)
        server.stop()


def test_a_process_with_thousands_of_open_files_calls_too() -> None:
    """Descriptors above 1,023, which `select` does not take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if open_files.raise_limit() < 1500:
        pytest.skip("a process may not have so many open files here")
    server = ThriftServer("Nimbus", Conf(), host="127.0.0.1", port=0)
    server.start()
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(1100):
                stack.callback(os.close, os.dup(0))
            client = stack.enter_context(ThriftClient("Nimbus", "127.0.0.1", server.port, DEADLINE_SECS))
            assert client.getNimbusConf() == client.getNimbusConf() == "{}"
    finally:
        server.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
