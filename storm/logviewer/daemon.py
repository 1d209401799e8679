"""The log viewer as a daemon of its own, `storm logviewer`, and within the process of a supervisor.

Within a supervisor it must cost little: the server is imported when somebody connects for the first time. Nor may it
end the supervisor: what goes wrong with it is logged, and all else goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import select
import threading
from typing import TYPE_CHECKING

import storm
from storm.clock import SystemClock, format_wall_utc
from storm.config.addresses import joined
from storm.errors import StormError
from storm.http.listener import listen
from storm.logviewer import log_files
from storm.logviewer.cleaning import LogCleaner
from storm.logviewer.options import LogviewerOptions
from storm.logviewer.reading import Budget
from storm.logviewer.searching import Wanted
from storm.logviewer.worker_search import newest_records
from storm.supervisor.log_viewer import LogViewer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import uvicorn

    from storm.clock import Clock
    from storm.config.settings import Settings
    from storm.supervisor.log_viewer import FoundRecords

log = logging.getLogger(__name__)

EXIT_OK, EXIT_REFUSED = 0, 1
END_SECS = 7.0  # more than answers under way are given when the server ends
SEARCH_SECS, SEARCH_BYTES = 5.0, 2 << 30  # of all logs of a topology here, for whoever asks the supervisor


def run(settings: Settings) -> int:
    """Serve in the foreground until SIGTERM or SIGINT; the process's exit code: 1 where it cannot start."""
    from storm.http.server import leave_signals_to_the_server

    try:
        options = LogviewerOptions.from_settings(settings)
        listener = listen(options.host, options.port, "logviewer")
    except StormError as error:
        log.error("%s", error)
        return EXIT_REFUSED
    leave_signals_to_the_server()
    clock, stopping = SystemClock(), threading.Event()
    cleaner = threading.Thread(target=LogCleaner(options, clock).run, args=(stopping,), name="log cleaning")
    cleaner.start()
    log.info(
        "The log viewer of Storm %s serves http://%s/, logs below %s",
        storm.__version__, joined(options.host, options.port), options.log_dir,
    )  # fmt: skip
    try:
        http_server(options, clock).run([listener])
    finally:
        stopping.set()
        cleaner.join()
    log.info("The log viewer has stopped.")
    return EXIT_OK


@contextlib.contextmanager
def beside_supervisor(settings: Settings) -> Iterator[LogViewer]:
    """A log viewer in threads of this process meanwhile, where `logviewer.embedded` says so; else another process is
    taken to have the port that is configured. What the supervisor is to know of it.
    """
    if not settings["logviewer.embedded"]:
        yield _as_told(settings["logviewer.port"])
        return
    try:
        options = LogviewerOptions.from_settings(settings)
    except StormError as error:
        log.error("Logs of this host cannot be seen in a browser, and old ones are not removed: %s", error)
        yield _as_told(0)
        return
    embedded = EmbeddedLogviewer(options, SystemClock())
    embedded.start()
    try:
        yield _as_told(embedded.port or 0)
    finally:
        embedded.stop()


def _as_told(port: int) -> LogViewer:
    return LogViewer(port, log_files.daemons_present, _search)


def _search(artifacts_dir: Path, topology_id: str, text: str, count: int) -> FoundRecords:
    budget = Budget(SystemClock(), SEARCH_SECS, SEARCH_BYTES)
    return newest_records(artifacts_dir, topology_id, Wanted(text, count), budget)


class EmbeddedLogviewer:
    """Threads that serve the logs of this host and remove old ones. `stop` ends them."""

    def __init__(self, options: LogviewerOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._stopping = threading.Event()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._server: uvicorn.Server | None = None
        self._threads: list[threading.Thread] = []
        self.port: int | None = None  # that it listens on; None: it does not

    def start(self) -> None:
        """Listen, and clean; where the port cannot be had, that is logged, and it only cleans."""
        options = self._options
        try:
            listener = listen(options.host, options.port, "logviewer")
        except StormError as error:
            log.error(
                "Logs of this host cannot be seen in a browser: %s, or logviewer.embedded: false says that none is "
                "wanted here. The supervisor goes on without", error,
            )  # fmt: skip
        else:
            self.port = listener.getsockname()[1]
            log.info("The log viewer listens on %s", joined(options.host, self.port))
            self._begin("log viewer", lambda: self._serve(listener))
        self._begin("log cleaning", lambda: LogCleaner(options, self._clock).run(self._stopping))

    def stop(self) -> None:
        """Return when its threads have ended, or will not."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        os.eventfd_write(self._wake_fd, 1)
        if self._server is not None:
            self._server.should_exit = True
        for thread in self._threads:
            thread.join(END_SECS)
        if not any(thread.is_alive() for thread in self._threads):
            os.close(self._wake_fd)

    def _serve(self, listener: socket.socket) -> None:
        with listener:
            self._wait_for_somebody(listener)
            if self._stopping.is_set():
                return
            server = http_server(self._options, self._clock)
            self._server = server
            if not self._stopping.is_set():  # else nobody would tell it to end
                server.run([listener])

    def _wait_for_somebody(self, listener: socket.socket) -> None:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(self._wake_fd, select.POLLIN)
        poll.poll()

    def _begin(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    @staticmethod
    def _guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except (Exception, SystemExit):  # uvicorn leaves so where it cannot start
            log.exception("A part of the log viewer has ended; the supervisor goes on without")


def http_server(options: LogviewerOptions, clock: Clock) -> uvicorn.Server:
    """What it serves, which has much to import."""
    from storm.http.request_guard import Tokens
    from storm.http.server import server_of
    from storm.logviewer.app import Logviewer, build_app

    viewer = Logviewer(options, clock, format_wall_utc)
    return server_of(build_app(viewer, Tokens(secrets.token_bytes(32))))
