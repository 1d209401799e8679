"""A Thrift client: framed transport, binary protocol, one connection, made when it is first needed.

A client belongs to one thread. What a server does wrong comes out as one of our errors, with its address
in the text.
"""

from __future__ import annotations

import select
import socket
import struct
from typing import TYPE_CHECKING, Any, Self

from storm.config.addresses import joined
from storm.errors import (
    NotServedError,
    StormError,
    ThriftConnectionError,
    ThriftProtocolError,
    ThriftTimeoutError,
    UnknownHostError,
)
from storm.thrift import interface, prescan
from storm.thrift.binary_protocol import encode_message, read_scanned
from storm.thrift.exceptions import UNKNOWN_METHOD, ApplicationException, application_error, to_error
from storm.thrift.prescan import CALL, EXCEPTION, REPLY, MessageHeader

if TYPE_CHECKING:
    from storm.thrift.interface import Struct

CONNECT_TIMEOUT_SECS = 5.0
REPLY_MAX_BYTES = 64 << 20  # a longer reply is refused with ThriftProtocolError
_LENGTH = struct.Struct(">I")
_RECEIVE_BYTES = 1 << 18


class ThriftClient:
    """Calls the methods of one service on one server: `client.call("getLeader")` or `client.getLeader()`."""

    def __init__(self, service_name: str, host: str, port: int, timeout_secs: float) -> None:
        """`timeout_secs`: until a call's reply is complete. Raises ValueError for an unknown service."""
        self.host = host
        self.port = port
        self._service = interface.service(service_name)
        self._timeout_secs = timeout_secs
        self._socket: socket.socket | None = None
        self._sequence_id = 0

    @property
    def address(self) -> str:
        return joined(self.host, self.port)

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_") or method not in self._service.thrift_services:
            raise AttributeError(f"{self._service.__name__} has no method {method!r}")
        return lambda *arguments: self.call(method, *arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call(self, method: str, *arguments: Any) -> Any:
        """Call `method` with its arguments in order, structs as in storm.thrift; its result, None for void.

        Raises the StormError that the server answered, ThriftConnectionError if it did not answer,
        ThriftProtocolError if an argument does not fit the interface.
        """
        body = self._arguments(method, arguments)
        self._sequence_id = (self._sequence_id + 1) & 0x7FFFFFFF
        message = encode_message(MessageHeader(method, CALL, self._sequence_id, 0), body)
        sock = self._connected()
        try:
            return self._result(method, self._exchange(sock, message))
        except (ThriftConnectionError, ThriftProtocolError, KeyboardInterrupt):  # the last in the middle of a message
            self.close()
            raise

    def _arguments(self, method: str, arguments: tuple[Any, ...]) -> Struct:
        cls = getattr(self._service, f"{method}_args", None)
        if cls is None:
            raise ValueError(f"{self._service.__name__} has no method {method!r}")
        names = [name for _, (_, name, *_) in sorted(cls.thrift_spec.items())]
        if len(names) != len(arguments):
            raise ValueError(f"{method} takes {len(names)} arguments ({', '.join(names)}), not {len(arguments)}")
        return cls(**dict(zip(names, arguments, strict=True)))

    def _connected(self) -> socket.socket:
        """The connection. One that the server has closed while it was idle is opened anew."""
        if self._socket is not None and _has_news(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._connect()
        return self._socket

    def _connect(self) -> socket.socket:
        limit = min(CONNECT_TIMEOUT_SECS, self._timeout_secs)
        try:
            sock = socket.create_connection((self.host, self.port), timeout=limit)
        except socket.gaierror as error:
            raise UnknownHostError(
                f"{self.address}: no such host ({error.strerror}); if a daemon calls itself so, set "
                "storm.local.hostname there to a name or an address that every host reaches it by"
            ) from error
        except TimeoutError as error:
            raise ThriftConnectionError(f"{self.address}: no connection within {limit:g} s") from error
        except ConnectionRefusedError as error:
            raise ThriftConnectionError(f"{self.address}: nothing listens there") from error
        except OSError as error:
            raise ThriftConnectionError(f"{self.address}: cannot connect ({error.strerror or error})") from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(self._timeout_secs)
        return sock

    def _exchange(self, sock: socket.socket, message: bytes) -> bytes:
        """Send a message and wait for the reply's frame."""
        try:
            sock.sendall(_LENGTH.pack(len(message)) + message)
            head = self._receive(sock, _LENGTH.size, b"")
            (size,) = _LENGTH.unpack(head)
            if size > REPLY_MAX_BYTES:
                raise ThriftProtocolError(self._foreign(head + sock.recv(12)))
            return self._receive(sock, size, head)
        except TimeoutError as error:
            raise ThriftTimeoutError(f"{self.address}: no answer within {self._timeout_secs:g} s", sent=True) from error
        except OSError as error:
            text = error.strerror or str(error)
            raise ThriftConnectionError(f"{self.address}: the connection broke ({text})", sent=True) from error

    def _receive(self, sock: socket.socket, size: int, seen: bytes) -> bytes:
        received = bytearray()
        while len(received) < size:
            data = sock.recv(min(size - len(received), _RECEIVE_BYTES))
            if not data:
                said = f" after {bytes(seen + received[:16])!r}" if seen or received else " without an answer"
                raise ThriftConnectionError(f"{self.address}: closed the connection{said}", sent=True)
            received += data
        return bytes(received)

    def _foreign(self, said: bytes) -> str:
        return f"{self.address}: does not speak Thrift (framed, binary): it said {said!r}"

    def _result(self, method: str, frame: bytes) -> Any:
        try:
            header = prescan.scan_message(frame)
        except ThriftProtocolError as error:
            raise ThriftProtocolError(f"{self._foreign(frame[:16])}: {error}") from error
        if (header.method, header.sequence_id) != (method, self._sequence_id):
            raise ThriftProtocolError(f"{self.address}: answered {header.method!r}, asked was {method!r}")
        if header.kind == EXCEPTION:
            failure = read_scanned(ApplicationException, frame, header.body_offset)
            if failure.type == UNKNOWN_METHOD:
                raise NotServedError(failure.message or f"{self.address} does not serve {method}")
            raise application_error(failure.message or f"{self.address}: {method} failed, without a reason")
        if header.kind != REPLY:
            raise ThriftProtocolError(f"{self.address}: a message of kind {header.kind} is no reply")
        result = read_scanned(getattr(self._service, f"{method}_result"), frame, header.body_offset)
        for number, (_, name, *_) in sorted(result.thrift_spec.items()):
            value = getattr(result, name)
            if number != 0 and value is not None:
                raise to_error(value)
        if 0 not in result.thrift_spec:
            return None
        if result.success is None:
            raise StormError(f"{self.address}: {method} was answered without a result")
        return result.success


def _has_news(sock: socket.socket) -> bool:
    """Whether anything can be read, the end of the connection too. `select` takes no descriptor above 1,023."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
