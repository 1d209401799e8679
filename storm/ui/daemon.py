"""The UI daemon: builds its parts, and serves HTTP until it is told to end."""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import signal
import socket
from typing import TYPE_CHECKING

import uvicorn

import storm
from storm.clock import SystemClock
from storm.config.addresses import joined
from storm.errors import AlreadyRunningError, ConfigError, StormError
from storm.thrift.interface import storm_thrift
from storm.thrift.nimbus_client import NimbusClient
from storm.ui.app import Ui, build_app
from storm.ui.http_protocol import UiProtocol
from storm.ui.measures import Measures
from storm.ui.nimbus_link import NimbusLink
from storm.ui.options import UiOptions
from storm.ui.pages.watch import watch
from storm.ui.request_guard import Tokens

if TYPE_CHECKING:
    from storm.config.settings import Settings

log = logging.getLogger(__name__)

EXIT_OK, EXIT_REFUSED = 0, 1
NIMBUS_TIMEOUT_SECS = 5.0
HEAD_BYTES_MAX = 64 << 10
BACKLOG = 1_024
LAST_ANSWERS_SECS = 5  # how long requests that are under way may take when the UI ends


def run(settings: Settings) -> int:
    """Serve in the foreground until SIGTERM or SIGINT; the process's exit code: 1 where it cannot start."""
    try:
        options = UiOptions.from_settings(settings)
        nimbus_client(options).close()  # it refuses seeds that are none
        listener = listen(options.host, options.port)
    except StormError as error:
        log.error("%s", error)
        return EXIT_REFUSED
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _passed_over)  # uvicorn ends at them, and then raises them again
    clock, measures = SystemClock(), Measures()
    nimbus = NimbusLink(lambda: nimbus_client(options), clock, measures)
    tokens = Tokens(secrets.token_bytes(32))
    ui = Ui(options, nimbus, clock, measures, tokens, lambda: secrets.token_urlsafe(16))
    storm_thrift()  # now, not at the first request
    log.info("The UI of Storm %s serves http://%s/", storm.__version__, joined(options.host, options.port))
    try:
        UiServer(ui).run([listener])
    finally:
        nimbus.close()
    log.info("The UI has stopped.")
    return EXIT_OK


class UiServer(uvicorn.Server):
    """Looks at all topologies while it serves, for their last hour. Streams are ended: they never would."""

    def __init__(self, ui: Ui) -> None:
        super().__init__(server_config(ui))
        self._ui = ui
        self._watching: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._watching = asyncio.create_task(watch(self._ui.history, self._ui.nimbus, self._ui.clock))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._ui.streams.close()
        await super().shutdown(sockets)


def server_config(ui: Ui) -> uvicorn.Config:
    """Nothing of uvicorn's own that can be done without: no websockets, access log, or trust in a proxy's headers."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # else clients could fill the log
    return uvicorn.Config(
        build_app(ui),
        loop="asyncio",
        http=UiProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        timeout_graceful_shutdown=LAST_ANSWERS_SECS,
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises AlreadyRunningError where the port is taken, ConfigError where it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        dualstack = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=dualstack)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AlreadyRunningError(
                f"{joined(host, port)} is in use: does another UI run there? ui.port names another port"
            ) from None
        raise ConfigError(
            f"ui.host, ui.port: cannot listen on {joined(host, port)}: {error.strerror or error}"
        ) from None


def nimbus_client(options: UiOptions) -> NimbusClient:
    """One that tells at once where no Nimbus leads: requests wait for it. Raises NimbusUnreachableError for no seed."""
    return NimbusClient(options.nimbus_seeds, options.nimbus_port, NIMBUS_TIMEOUT_SECS, leader_wait_secs=0.0)


def _passed_over(number: int, frame: object) -> None:
    """In place of the end of the process."""
