"""The HTTP server that all applications here run on: uvicorn, with nothing of its own that can be done without."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

import uvicorn

from storm.http.listener import BACKLOG
from storm.http.protocol import HttpProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from starlette.types import ASGIApp

HEAD_BYTES_MAX = 64 << 10
NEW_AT_ONCE = 64  # connections that are taken before others have their turn: a crowd comes by the thousand
LAST_ANSWERS_SECS = 2  # how long requests that are under way may take when the server ends


def server_of(
    app: ASGIApp, ending: Callable[[], None] | None = None, beginning: Callable[[], None] | None = None
) -> uvicorn.Server:
    """It serves by `run([listener])`, until `should_exit` is set, or a signal comes where it runs in the main thread.

    No websockets, access log, or trust in a proxy's headers. `beginning` is called in its event loop when it serves,
    `ending` before it waits for what is under way.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # else clients could fill the log
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        backlog=NEW_AT_ONCE,
        timeout_graceful_shutdown=LAST_ANSWERS_SECS,
    )
    return _Server(config, ending, beginning)


def leave_signals_to_the_server() -> None:
    """For a process that only serves: uvicorn ends at SIGTERM and SIGINT, and raises them again once it has ended."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _passed_over)


def _passed_over(number: int, frame: object) -> None:
    """In place of the end of the process."""


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, ending: Callable[[], None] | None, beginning: Callable[[], None] | None
    ) -> None:
        super().__init__(config)
        self._ending = ending
        self._beginning = beginning

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)  # asyncio has one number for this and for NEW_AT_ONCE
        if self._beginning is not None:
            self._beginning()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._ending is not None:
            self._ending()
        await super().shutdown(sockets)
