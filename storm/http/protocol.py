"""HTTP/1.1 for clients of every kind: uvicorn's protocol, with time limits for those who are slow."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from storm.http import problems
from storm.http.problems import Problem
from storm.http.responses import json_bytes

if TYPE_CHECKING:
    import asyncio

    from uvicorn.server import ServerState

HEAD_SECS = 10.0  # until a request's head is complete, from its first byte or the connection's beginning
WRITE_SECS = 30.0  # until a client has taken something of an answer that waits for it
# Of the rest of a body that was answered before it had come. The first is read, so that its connection goes on; what
# comes beyond, as of a body without an end, is thrown away, and nothing is taken beyond the second.
REST_BYTES_MAX, LINGER_BYTES_MAX = 64 << 10, 1 << 20
LINGER_SECS = 2.0  # until it is closed: it would be reset, and the answer lost, before its sender comes to read that
CONNECTIONS_MAX = 1_000

# Of each server, in the order of time, those that let it wait: for a request, or for room for an answer. A crowd comes
# by the thousand.
_waiting: WeakKeyDictionary[ServerState, dict[HttpProtocol, None]] = WeakKeyDictionary()


class HttpProtocol(H11Protocol):
    """One connection. At CONNECTIONS_MAX the one that has let the server wait longest, for its request or until it
    reads its answer, is closed.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._waiting = _waiting.setdefault(self.server_state, {})
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._rest_bytes = 0
        self._lingers = False
        self._expect_head()
        self._note_wait()
        if len(self.connections) > CONNECTIONS_MAX:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        self._waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._has_rest:
            self._rest_bytes += len(data)
            if self._rest_bytes > REST_BYTES_MAX:
                self._linger()
                return
        super().data_received(data)
        if (self.conn.their_state is h11.IDLE or self._has_rest) and not self.transport.is_closing():
            self._expect_head()  # a part of a head has come, and more has to
        else:
            self._stop_head_timer()
        self._note_wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_SECS, self.transport.abort)
        self._note_wait()

    def resume_writing(self) -> None:
        self._stop_write_timer()
        self._note_wait()
        super().resume_writing()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._rest_bytes = 0
        if self._has_rest or (self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]):
            self._expect_head()
        self._note_wait()

    def send_400_response(self, msg: str) -> None:
        """In the form of all other answers, where none is under way."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()
            return
        body = json_bytes(problems.body(Problem(400, "The request is not HTTP/1.1, or its head is longer than 64 kB.")))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        events = (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage())
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def _has_rest(self) -> bool:
        """Whether it was answered before its body had come: the rest is in the way of the next head."""
        return self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE

    def _linger(self) -> None:
        """The client is told that nothing comes after its answer, and has some time to read that and go."""
        if self._rest_bytes > LINGER_BYTES_MAX:
            self.transport.pause_reading()
        if self._lingers:
            return
        self._lingers = True
        self._unset_keepalive_if_required()
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(LINGER_SECS, self._head_is_late)
        self.transport.write_eof()

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECS, self._head_is_late)

    def _head_is_late(self) -> None:
        self._stop_head_timer()
        self.transport.abort()

    def _note_wait(self) -> None:
        if self not in self.connections:
            return  # it was left
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering and self._write_timer is None and not self.transport.is_closing():
            self._waiting.pop(self, None)
        else:
            self._waiting.setdefault(self)

    def _make_room(self) -> None:
        left = next(iter(self._waiting))  # at the least this one, which has just come
        del self._waiting[left]
        self.connections.discard(left)  # at once: others may come before it is gone
        left._stop_timers()
        left.transport.abort()

    def _stop_timers(self) -> None:
        self._stop_head_timer()
        self._stop_write_timer()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
