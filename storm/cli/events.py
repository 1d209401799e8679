"""`storm debug`: have workers sample the tuples that components emit; `storm events`: show the samples."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from storm.cli.logs import FOLLOW_SECS, LOOK_SECS, LogReader, LogSource, log_sources
from storm.cli.options import NIMBUS_TIMEOUT_SECS, as_json, connect_nimbus, with_settings
from storm.errors import NotServedError, StormError, TopologyNotAliveError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.config.settings import Settings
    from storm.log_lines import Record


@click.command()
@click.argument("name")
@click.argument("component", required=False)
@click.option(
    "--sample",
    "percent",
    type=click.FloatRange(0, 100, min_open=True),
    default=10.0,
    show_default=True,
    help="Which share of the tuples, in percent.",
)
@click.option("--off", is_flag=True, help="Stop it.")
@with_settings
def debug(settings: Settings, name: str, component: str | None, percent: float, off: bool) -> None:
    """Sample the tuples that the components of topology NAME emit, or only COMPONENT; `storm events` shows them.

    Each worker keeps at most 100 samples a second. Tuples on direct streams are not sampled.
    """
    with connect_nimbus(settings) as nimbus:
        nimbus.call("debug", name, component or "", not off, percent)
    what = f"component {component} of {name}" if component else name
    if off:
        click.echo(f"{what}: no samples any more")
    else:
        click.echo(f"{what}: {percent:g} % of the tuples are sampled; `storm events -f {name}` shows them")


@click.command()
@click.argument("name")
@click.argument("component", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=1), default=50, show_default=True, help="How many of each worker."
)
@as_json
@with_settings
def events(settings: Settings, name: str, component: str | None, follow: bool, lines: int, as_json: bool) -> None:
    """Print the last tuples that were sampled of topology NAME, or only those that COMPONENT emitted.

    `storm debug` begins and ends sampling. With --json, each is an object.
    """
    from storm.clock import SystemClock

    clock = SystemClock()
    readers: dict[LogSource, EventReader] = {}
    look_at = clock.now()
    with connect_nimbus(settings) as nimbus:
        while True:
            if clock.now() >= look_at:  # workers come and go
                look_at = clock.now() + LOOK_SECS
                sources = log_sources(nimbus, name, component)
                readers = {source: readers.get(source) or open_events(source, lines) for source in sources}
            for reader in readers.values():
                for line in event_lines(reader.more(), reader.source.label, component, as_json):
                    click.echo(line)
            if not follow:
                return
            clock.sleep(FOLLOW_SECS)


def open_events(source: LogSource, lines: int) -> EventReader:
    """A reader of this worker's samples, through its supervisor."""
    from storm.thrift.client import ThriftClient

    supervisor = ThriftClient("Supervisor", source.host, source.supervisor_port, NIMBUS_TIMEOUT_SECS)
    return EventReader(source, supervisor, lines)


class EventReader:
    """Reads a worker's events.log, which is there once something was sampled, from its last `lines` lines on."""

    def __init__(self, source: LogSource, supervisor: Any, lines: int) -> None:
        self.source = source
        self._lines = lines
        self._log = LogReader(source, supervisor, "readWorkerEvents")

    def more(self) -> list[str]:
        """Lines added since the last call. Raises StormError where the supervisor's release knows no such file."""
        try:
            if self._log.is_begun:
                return _lines_of(self._log.more())
            return _lines_of(self._log.last(lambda found: len(_lines_of(found)) >= self._lines))[-self._lines :]
        except TopologyNotAliveError:
            return []
        except NotServedError as error:
            where = self.source.host
            raise StormError(f"the supervisor on {where} is of an older release, which cannot show samples") from error


def _lines_of(found: Iterable[Record]) -> list[str]:
    return [line for record in found for line in record.lines]


def event_lines(lines: list[str], worker: str, component: str | None, as_json: bool) -> list[str]:
    """Lines of events.log as they are shown; of all components if `component` is None. What is no event is left out."""
    from storm.clock import format_wall

    found = []
    for line in lines:
        try:
            event = json.loads(line)
            if component is not None and event.get("component") != component:
                continue
            if as_json:
                found.append(json.dumps({"worker": worker, **event}))
            elif "dropped" in event:
                found.append(f"{format_wall(event['time'])}  {worker}  {event['dropped']:,} samples too many, left out")
            else:
                who = f"{event['component']} (task {event['task']}, {event['stream']})"
                found.append(
                    f"{format_wall(event['time'])}  {worker}  {click.style(who, bold=True)}  {event['values']}"
                )
        except (ValueError, KeyError, TypeError, AttributeError):  # the end of a line that was being written
            continue
    return found
