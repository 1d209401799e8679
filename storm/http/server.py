"""The HTTP server that all applications here run on: uvicorn, with nothing of its own that can be done without."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import uvicorn

from storm.http.protocol import HttpProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from starlette.types import ASGIApp

HEAD_BYTES_MAX = 64 << 10
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
        timeout_graceful_shutdown=LAST_ANSWERS_SECS,
    )
    return _Server(config, ending, beginning)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, ending: Callable[[], None] | None, beginning: Callable[[], None] | None
    ) -> None:
        super().__init__(config)
        self._ending = ending
        self._beginning = beginning

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._beginning is not None:
            self._beginning()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._ending is not None:
            self._ending()
        await super().shutdown(sockets)
