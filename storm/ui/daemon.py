"""The UI daemon: builds its parts, and serves HTTP until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING

import storm
from storm.clock import SystemClock
from storm.config.addresses import joined
from storm.errors import StormError
from storm.http.listener import listen
from storm.http.request_guard import Tokens
from storm.http.server import leave_signals_to_the_server, server_of
from storm.thrift.nimbus_client import NimbusClient
from storm.ui.app import Ui, build_app
from storm.ui.measures import Measures
from storm.ui.nimbus_link import NimbusLink
from storm.ui.options import UiOptions
from storm.ui.pages.watch import watch

if TYPE_CHECKING:
    import socket

    from storm.config.settings import Settings

log = logging.getLogger(__name__)

EXIT_OK, EXIT_REFUSED = 0, 1
NIMBUS_TIMEOUT_SECS = 5.0
LAST_CALLS_SECS = 1.0  # how long calls that are under way may take when the UI ends: then whoever waits is told


def run(settings: Settings) -> int:
    """Serve in the foreground until SIGTERM or SIGINT; the process's exit code: 1 where it cannot start."""
    try:
        options = UiOptions.from_settings(settings)
        nimbus_client(options).close()  # it refuses seeds that are none
        listener = listen(options.host, options.port, "ui")
    except StormError as error:
        log.error("%s", error)
        return EXIT_REFUSED
    leave_signals_to_the_server()
    clock, measures = SystemClock(), Measures()
    nimbus = NimbusLink(lambda: nimbus_client(options), clock, measures)
    tokens = Tokens(secrets.token_bytes(32))
    ui = Ui(options, nimbus, clock, measures, tokens, lambda: secrets.token_urlsafe(16))
    log.info("The UI of Storm %s serves http://%s/", storm.__version__, joined(options.host, options.port))
    try:
        serve(ui, listener)
    finally:
        nimbus.close()
        ui.supervisors.close()
    log.info("The UI has stopped.")
    return EXIT_OK


def serve(ui: Ui, listener: socket.socket) -> None:
    """Until it is told to end. Meanwhile all topologies are looked at, for their last hour."""
    watching: list[asyncio.Task[None]] = []

    def begin() -> None:
        watching.append(asyncio.get_running_loop().create_task(watch(ui.history, ui.nimbus, ui.clock)))

    def end() -> None:
        for task in watching:
            task.cancel()
        ui.streams.close()  # they would never end by themselves
        loop = asyncio.get_running_loop()
        for link in (ui.nimbus, ui.supervisors):
            loop.call_later(LAST_CALLS_SECS, link.close)

    server_of(build_app(ui), ending=end, beginning=begin).run([listener])


def nimbus_client(options: UiOptions) -> NimbusClient:
    """One that tells at once where no Nimbus leads: requests wait for it. Raises NimbusUnreachableError for no seed."""
    return NimbusClient(options.nimbus_seeds, options.nimbus_port, NIMBUS_TIMEOUT_SECS, leader_wait_secs=0.0)
