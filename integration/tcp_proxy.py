"""A TCP proxy that does to a connection what networks do: delays, cuts, half-open links, damage, little bandwidth.

    with TcpProxy(("127.0.0.1", port)) as proxy:
        connect_to(proxy.port)
        proxy.to_server.delay_secs = 0.2
        proxy.stall()        # a link that is down without a word: nothing passes, nothing is closed
        proxy.heal()
        proxy.cut()          # connections are reset, and new ones refused
        proxy.heal()
        proxy.to_client.change = BitFlips(seed=7, every_bytes=10_000)

Each proxy has a thread of its own. What a `Direction` says may be changed at any time, from any thread, and holds for
bytes that leave from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    # What a direction does to bytes: the chunk, and how many bytes of its connection went this way before -> what is
    # sent in its place, and whether the connection ends then. Called in the proxy's thread.
    Change = Callable[[bytes, int], tuple[bytes, bool]]

CHUNK_BYTES = 65_536
CHUNKS_HELD_MAX = 64  # of each connection and direction: then the sender feels it, as with a full TCP window
STALLED_CHECK_SECS = 0.01
CALL_SECS = 10.0
RESET_WHEN_CLOSED = struct.pack("ii", 1, 0)  # SO_LINGER of no time

T = TypeVar("T")


@dataclass(slots=True)
class Direction:
    """What is done to the bytes that go one way.

    `delay_secs`, and up to `jitter_secs` more, pass before each chunk goes on; the order is kept. `bytes_per_sec`: the
    bandwidth of each connection. `stalled`: bytes are held, and the end of a connection too, until it is over.
    `swallowed`: they are taken and gone. `passed_bytes` counts those that went on.
    """

    delay_secs: float = 0.0
    jitter_secs: float = 0.0
    bytes_per_sec: float | None = None
    stalled: bool = False
    swallowed: bool = False
    change: Change | None = None
    passed_bytes: int = 0


class BitFlips:
    """Flips a random bit in about one of `every_bytes` bytes, in all connections; `flips` counts them.

    The first `spare_bytes` of a connection stay whole: the protocol's handshake, where that is not what is tested.
    """

    def __init__(self, seed: int, every_bytes: int, spare_bytes: int = 0) -> None:
        self.flips = 0
        self._random = random.Random(seed)
        self._every_bytes = every_bytes
        self._spare_bytes = spare_bytes
        self._next_in = self._gap()

    def __call__(self, chunk: bytes, before: int) -> tuple[bytes, bool]:
        damaged = bytearray(chunk)
        at = min(len(damaged), max(0, self._spare_bytes - before))
        while at + self._next_in < len(damaged):
            at += self._next_in
            damaged[at] ^= 1 << self._random.randrange(8)
            self.flips += 1
            self._next_in = self._gap()
            at += 1
        self._next_in -= len(damaged) - at
        return bytes(damaged), False

    def _gap(self) -> int:
        return self._random.randrange(2 * self._every_bytes)


class Truncation:
    """Ends connections after about `every_bytes` bytes, wherever that is in what is said; `cuts` counts them."""

    def __init__(self, seed: int, every_bytes: int) -> None:
        self.cuts = 0
        self._random = random.Random(seed)
        self._every_bytes = every_bytes
        self._after = self._gap()

    def __call__(self, chunk: bytes, before: int) -> tuple[bytes, bool]:
        if before + len(chunk) <= self._after:
            return chunk, False
        part = chunk[: max(0, self._after - before)]
        self._after = self._gap()
        self.cuts += 1
        return part, True

    def _gap(self) -> int:
        return self._random.randrange(self._every_bytes // 2, 2 * self._every_bytes)


class TcpProxy:
    """Listens at `host`:`port` (0: any; then `port` tells) and passes connections on to `target`."""

    def __init__(self, target: tuple[str, int], host: str = "127.0.0.1", port: int = 0, seed: int = 0) -> None:
        """Raises OSError where the port is taken."""
        self.to_server = Direction()
        self.to_client = Direction()
        self.target = target
        self.accepted = 0
        self.port = port
        self._host = host
        self._random = random.Random(seed)
        self._connections: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tcp-proxy", daemon=True)
        self._thread.start()
        try:
            self._call(self._listen())
        except OSError:
            self._end_loop()
            raise

    # From any thread

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def cut(self) -> None:
        """Reset every connection and refuse new ones, until `heal`."""
        self._call(self._refuse())
        self._call(self._reset())

    def reset(self) -> None:
        """Reset every connection that is there; new ones are taken."""
        self._call(self._reset())

    def stall(self) -> None:
        """Half-open: nothing passes in either direction, and nothing is closed, until `heal`."""
        self.to_server.stalled = self.to_client.stalled = True

    def heal(self) -> None:
        """The link is back: what was held passes, connections are taken. Delay, bandwidth and damage stay as set."""
        self.to_server.stalled = self.to_client.stalled = False
        self._call(self._listen())

    def close(self) -> None:
        if self._thread.is_alive():
            self.cut()
            self._end_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The proxy's thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_SECS)

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_SECS)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._take, self._host, self.port, backlog=256)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _reset(self) -> None:
        ending = dict(self._connections)
        for task, writers in ending.items():
            for writer in writers:
                with contextlib.suppress(OSError):  # where it was closed by now, and only its task has not ended yet
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_WHEN_CLOSED)
                writer.transport.abort()
            task.cancel()
        if ending:
            await asyncio.wait(ending)

    async def _take(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """One connection from its beginning to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = (client,)
        self.accepted += 1
        try:
            if self._server is not None:  # else it was on its way in when the link was cut
                await self._carry(task, client_reader, client)
        except asyncio.CancelledError:
            pass  # by `_reset`; asyncio would log it as an error
        finally:
            for writer in self._connections.pop(task):
                writer.close()

    async def _carry(
        self, task: asyncio.Task[None], client_reader: asyncio.StreamReader, client: asyncio.StreamWriter
    ) -> None:
        try:
            while self.to_server.stalled:  # a link that is down lets no handshake through either
                await asyncio.sleep(STALLED_CHECK_SECS)
            server_reader, server = await asyncio.open_connection(*self.target)
            self._connections[task] = (client, server)
            async with asyncio.TaskGroup() as group:
                for source, sink, way in (
                    (client_reader, server, self.to_server),
                    (server_reader, client, self.to_client),
                ):
                    held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_HELD_MAX)
                    group.create_task(self._read(source, held, way))
                    group.create_task(self._write(held, sink, way))
        except* OSError:
            pass

    async def _read(
        self, source: asyncio.StreamReader, held: asyncio.Queue[tuple[float, bytes]], way: Direction
    ) -> None:
        chunk = b"-"
        while chunk:
            chunk = await source.read(CHUNK_BYTES)
            await held.put((self._loop.time() + way.delay_secs + way.jitter_secs * self._random.random(), chunk))

    async def _write(
        self, held: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter, way: Direction
    ) -> None:
        before = 0
        while True:
            due, chunk = await held.get()
            await asyncio.sleep(due - self._loop.time())
            if way.bytes_per_sec is not None:
                await asyncio.sleep(len(chunk) / way.bytes_per_sec)
            while way.stalled:
                await asyncio.sleep(STALLED_CHECK_SECS)
            if not chunk:
                sink.write_eof()
                return
            changed, ends = (chunk, False) if way.change is None else way.change(chunk, before)
            before += len(chunk)
            if not way.swallowed:
                sink.write(changed)
                await sink.drain()
                way.passed_bytes += len(changed)
            if ends:
                raise ConnectionAbortedError
