"""`storm logs`: the logs of a topology's workers, read through their supervisors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from storm.cli.options import NIMBUS_TIMEOUT_SECS, as_json, connect_nimbus, with_settings
from storm.config.addresses import joined
from storm.errors import StormError

if TYPE_CHECKING:
    from storm.config.settings import Settings

CHUNK_BYTES = 64 * 1024
FOLLOW_SECS = 0.5
LOOK_SECS = 3.0  # between two looks at which workers there are
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")


class LogSource(NamedTuple):
    """A worker whose log can be read."""

    topology_id: str
    host: str
    port: int
    supervisor_port: int

    @property
    def label(self) -> str:
        return joined(self.host, self.port)


@click.command()
@click.argument("name")
@click.argument("component", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many lines of each log to begin with.",
)
@as_json
@with_settings
def logs(settings: Settings, name: str, component: str | None, follow: bool, lines: int, as_json: bool) -> None:
    """Print the last lines of the logs of topology NAME's workers; with COMPONENT only of workers that run it.

    With --json, each line is an object with the worker and its line.
    """
    from storm.clock import SystemClock

    clock = SystemClock()
    readers: dict[LogSource, LogReader] = {}
    look_at = clock.now()
    with connect_nimbus(settings) as nimbus:
        while True:
            if clock.now() >= look_at:  # workers come and go, by a rebalance or a death
                look_at = clock.now() + LOOK_SECS
                sources = log_sources(nimbus, name, component)
                readers = {source: readers.get(source) or open_log(source, lines) for source in sources}
            for number, reader in enumerate(readers.values()):
                _print_lines(reader, COLOURS[number % len(COLOURS)] if len(readers) > 1 else None, as_json)
            if not follow:
                return
            clock.sleep(FOLLOW_SECS)


def open_log(source: LogSource, lines: int) -> LogReader:
    """A reader of this worker's log, through its supervisor."""
    from storm.thrift.client import ThriftClient

    supervisor = ThriftClient("Supervisor", source.host, source.supervisor_port, NIMBUS_TIMEOUT_SECS)
    return LogReader(source, supervisor, lines)


def _print_lines(reader: LogReader, colour: str | None, as_json: bool) -> None:
    """`colour` None: there is one worker only, which needs no label."""
    worker = reader.source.label
    label = "" if colour is None else click.style(worker, fg=colour) + "  "
    for line in reader.more():
        click.echo(json.dumps({"worker": worker, "line": line}) if as_json else f"{label}{line}")


def log_sources(nimbus: Any, name: str, component: str | None) -> list[LogSource]:
    """The workers of a topology, in order. Raises StormError where there is none."""
    topology_id = nimbus.call("getTopologySummaryByName", name).id
    page = nimbus.call("getTopologyPageInfo", topology_id, ":all-time", True)
    known = {*(page.id_to_spout_agg_stats or {}), *(page.id_to_bolt_agg_stats or {})}
    if component is not None and component not in known:
        raise StormError(f"{name} has no component {component!r}; there are {', '.join(sorted(known))}")
    ports = supervisor_ports(nimbus)
    found = [
        LogSource(topology_id, worker.host, worker.port, ports[worker.supervisor_id])
        for worker in sorted(page.workers or [], key=lambda worker: (worker.host, worker.port))
        if (component is None or component in (worker.component_to_num_tasks or {})) and worker.supervisor_id in ports
    ]
    if not found:
        raise StormError(f"{name} has no worker yet: nothing is assigned, so there is no log")
    return found


def supervisor_ports(nimbus: Any) -> dict[str, int]:
    """{supervisor id: the port of its Thrift service}."""
    return {summary.supervisor_id: summary.thrift_port for summary in nimbus.call("getClusterInfo").supervisors}


class LogReader:
    """Reads one worker's log from its last lines on, whole lines at a time."""

    def __init__(self, source: LogSource, supervisor: Any, lines: int) -> None:
        self.source = source
        self._supervisor = supervisor
        self._lines = lines
        self._offset: int | None = None
        self._rest = b""

    def more(self) -> list[str]:
        """Lines added since the last call; at the first, the last ones there are. A rotated log is read anew."""
        first = self._offset is None
        part = self._read(-CHUNK_BYTES if self._offset is None else self._offset)
        if self._offset is not None and part.size < self._offset:
            self._rest = b""
            part = self._read(0)
        self._offset = part.offset + len(part.data)
        whole, _, self._rest = (self._rest + part.data).rpartition(b"\n")
        found = whole.decode(errors="replace").splitlines() if whole else []
        return found[-self._lines :] if first else found

    def _read(self, offset: int) -> Any:
        source = self.source
        return self._supervisor.call("readWorkerLog", source.topology_id, source.host, source.port, offset, CHUNK_BYTES)
