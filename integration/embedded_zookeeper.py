"""The ZooKeeper server of ours within a test's process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from storm.dev_zookeeper.server import Server, make_server
from storm.errors import StormError

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.dev_zookeeper.options import DevZooKeeperOptions


class EmbeddedServer:
    """A server in a thread of this process.

        server = EmbeddedServer(DevZooKeeperOptions(port=0))
        server.start()
        KazooClient(server.hosts)

    After `stop` or `kill` it can be started again, on the same port and with the same data directory.
    """

    def __init__(self, options: DevZooKeeperOptions) -> None:
        self._options = options
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None
        self._failure: BaseException | None = None

    @property
    def port(self) -> int:
        return self._options.port

    @property
    def hosts(self) -> str:
        return f"{self._options.host}:{self._options.port}"

    def start(self) -> None:
        """Returns when clients can connect. Raises what `make_server` and `Server.serve` raise."""
        assert self._thread is None, "already started"
        ready = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(ready,), name="dev-zookeeper", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise self._failure

    def stop(self) -> None:
        """End orderly. Nothing happens if it does not run."""
        self._end(Server.stop)

    def kill(self) -> None:
        """End as by SIGKILL: connections break, what was not answered may be lost."""
        self._end(Server.kill)

    def end_session(self, session_id: int) -> None:
        """Let a session expire now."""
        self._call(lambda server: server.end_session(session_id))

    def drop_connections(self) -> None:
        """Break every connection; the sessions live on."""
        self._call(Server.drop_connections)

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        except (StormError, OSError) as error:
            self._failure = error
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        server = make_server(self._options)

        def announce() -> None:
            self._options = replace(self._options, port=server.port, tls_port=server.tls_port)
            self._server, self._loop = server, asyncio.get_running_loop()
            ready.set()

        await server.serve(announce)

    def _call(self, act: Callable[[Server], None]) -> None:
        assert self._loop is not None
        assert self._server is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(act, self._server)

    def _end(self, act: Callable[[Server], None]) -> None:
        if self._thread is None:
            return
        self._call(act)
        self._thread.join()
        self._thread = None
