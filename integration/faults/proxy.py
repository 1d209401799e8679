"""A TCP proxy that can be unkind: it delays, stands still, loses, damages or cuts what passes through one of its ports.

One thread serves all its ports. What it does to a direction is read each time that something passes, so it may be
changed at any time; connections stay open where a real network would leave them open.
"""

from __future__ import annotations

import contextlib
import heapq
import random
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple

CHUNK = 1 << 16
HELD_MAX = 1 << 20  # bytes that wait in one direction before it reads no more: then TCP itself slows the sender
ANSWER_KEPT = 64
TICK_SECS = 0.05


class Weather(NamedTuple):
    """What happens to what passes in one direction.

    `delay_secs` and `jitter_secs` later; `stalls`: nothing passes, and nobody is told (half-open); `vanishes`: it is
    taken and thrown away; `flip_every`: one bit in about so many bytes is turned; `cut_after`: connections that were
    opened since are reset when so many bytes have passed.
    """

    delay_secs: float = 0.0
    jitter_secs: float = 0.0
    stalls: bool = False
    vanishes: bool = False
    flip_every: int = 0
    cut_after: int | None = None


FAIR = Weather()


@dataclass
class Route:
    """A port of the proxy and where it leads. `out`: what goes there; `back`: what comes from there."""

    listen: tuple[str, int]
    target: tuple[str, int]
    out: Weather = FAIR
    back: Weather = FAIR
    damaged: int = 0  # bits turned
    opened: int = 0  # connections so far
    answered: bytes = b""  # how the answers on the newest connection began


@dataclass(eq=False)
class _Pipe:
    """One direction of one connection."""

    route: Route
    is_out: bool
    source: socket.socket
    sink: socket.socket
    waiting: list[tuple[float, int, bytes]] = field(default_factory=list)  # (due, order, bytes)
    held: int = 0
    passed: int = 0
    orders: int = 0
    last_due: float = 0.0
    ended: bool = False
    number: int = 0  # of its connection on the route

    @property
    def weather(self) -> Weather:
        return self.route.out if self.is_out else self.route.back


class Proxy:
    """`route` opens ports; `close` ends everything."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)
        self._selector = selectors.DefaultSelector()
        self._pipes: list[_Pipe] = []
        self._lock = threading.Lock()
        self._closing = False
        self.routes: list[Route] = []
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def route(self, listen: tuple[str, int], target: tuple[str, int]) -> Route:
        """A port that leads to `target`. Port 0: any free one; the route says which."""
        listener = socket.create_server(listen)
        listener.setblocking(False)
        found = Route(listener.getsockname()[:2], target)
        with self._lock:
            self.routes.append(found)
            self._selector.register(listener, selectors.EVENT_READ, found)
        return found

    def close(self) -> None:
        self._closing = True
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        for pipe in self._pipes:
            pipe.source.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._closing:
            with self._lock:
                ready = self._selector.select(0)
            for key, _ in ready:
                if isinstance(key.data, Route):
                    self._accept(key.fileobj, key.data)  # type: ignore[arg-type]
                else:
                    self._read(key.data)
            now = time.monotonic()
            for pipe in list(self._pipes):
                self._write(pipe, now)
            if not ready:
                time.sleep(self._pause(now))

    def _pause(self, now: float) -> float:
        """Short while something waits to be sent on, else as long as people do not notice."""
        due = min((pipe.waiting[0][0] for pipe in self._pipes if pipe.waiting), default=now + TICK_SECS)
        return min(max(due - now, 0.0005), 0.002 if self._pipes else TICK_SECS)

    def _accept(self, listener: socket.socket, route: Route) -> None:
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            try:
                server = socket.create_connection(route.target, timeout=2.0)
            except OSError:
                client.close()
                return
            route.opened += 1
            route.answered = b""
            for end in (client, server):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for is_out, source, sink in ((True, client, server), (False, server, client)):
                pipe = _Pipe(route, is_out, source, sink, number=route.opened)
                self._pipes.append(pipe)
                self._selector.register(source, selectors.EVENT_READ, pipe)

    def _read(self, pipe: _Pipe) -> None:
        if pipe.weather.stalls or pipe.held > HELD_MAX:
            time.sleep(0.0005)  # it stays readable: this must not become a busy loop
            return
        try:
            content = pipe.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if not content:
            pipe.ended = True
            self._unwatch(pipe.source)
            return
        weather, route = pipe.weather, pipe.route
        if not pipe.is_out and pipe.number == route.opened and len(route.answered) < ANSWER_KEPT:
            route.answered += content[: ANSWER_KEPT - len(route.answered)]
        if weather.vanishes:
            return
        if weather.flip_every:
            content = self._flipped(content, route, weather.flip_every)
        delay = weather.delay_secs + (self._rng.uniform(0, weather.jitter_secs) if weather.jitter_secs else 0.0)
        pipe.last_due = max(pipe.last_due, time.monotonic() + delay)  # TCP keeps the order
        pipe.orders += 1
        pipe.held += len(content)
        heapq.heappush(pipe.waiting, (pipe.last_due, pipe.orders, content))

    def _flipped(self, content: bytes, route: Route, every: int) -> bytes:
        damaged = bytearray(content)
        for i in range(len(damaged)):
            if self._rng.randrange(every) == 0:
                damaged[i] ^= 1 << self._rng.randrange(8)
                route.damaged += 1
        return bytes(damaged)

    def _write(self, pipe: _Pipe, now: float) -> None:
        weather = pipe.weather
        while pipe.waiting and pipe.waiting[0][0] <= now and not weather.stalls:
            due, order, content = heapq.heappop(pipe.waiting)
            if weather.cut_after is not None and pipe.passed + len(content) > weather.cut_after:
                self._end(pipe)
                return
            try:
                sent = pipe.sink.send(content)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._end(pipe)
                return
            pipe.passed += sent
            pipe.held -= sent
            if sent < len(content):
                heapq.heappush(pipe.waiting, (due, order, content[sent:]))
                return
        if pipe.ended and not pipe.waiting:
            self._end(pipe)

    def _end(self, pipe: _Pipe) -> None:
        """Close both directions of its connection."""
        ends = {pipe.source, pipe.sink}
        self._pipes = [other for other in self._pipes if other.source not in ends]
        for end in ends:
            self._unwatch(end)
            end.close()

    def _unwatch(self, end: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(end)
