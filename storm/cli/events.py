"""`storm debug`: have workers sample the tuples that components emit; `storm events`: show the samples."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

from storm.cli.options import NIMBUS_TIMEOUT_SECS, as_json, connect_nimbus, with_settings
from storm.cli.output import printable
from storm.cli.worker_files import LogReader, LogSource, WorkerFiles, log_sources, supervisor_of
from storm.errors import NotServedError, StormError, TopologyNotAliveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from storm.clock import Clock
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

    Each worker keeps at most 100 samples a second.
    """
    with connect_nimbus(settings) as nimbus:
        nimbus.call("debug", name, component or "", not off, percent)
        others = sampled_by_themselves(nimbus, name) if off and not component else []
    what = f"component {component} of {name}" if component else name
    if off:
        click.echo(sampling_ended(what, others))
    else:
        click.echo(f"{what}: {percent:g} % of the tuples are sampled; `storm events -f {name}` shows them")


def sampling_ended(what: str, others: Sequence[str]) -> str:
    """For people; `others`: the components of the topology that are sampled still."""
    if not others:
        return f"{what}: no samples any more"
    commands = [f"  storm debug {shlex.quote(what)} {shlex.quote(printable(other))} --off" for other in others]
    return "\n".join([f"{what}: no samples any more, but of components that are sampled by themselves:", *commands])


def sampled_by_themselves(nimbus: Any, name: str) -> list[str]:
    """The components that are sampled whatever is said of the whole topology."""
    from storm.thrift.interface import storm_thrift

    t = storm_thrift()
    options = t.GetInfoOptions(num_err_choice=t.NumErrorsChoice.NONE)
    info = nimbus.call("getTopologyInfoByNameWithOpts", name, options)
    return sorted(
        component
        for component, debug in (info.component_debug or {}).items()
        if component != info.id and debug.enable and debug.samplingpct
    )


@click.command()
@click.argument("name")
@click.argument("component", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=1), default=50, show_default=True, help="How many of each worker."
)
@as_json
@with_settings
def events(settings: Settings, name: str, component: str | None, follow: bool, lines: int, as_json: bool) -> int:
    """Print the last tuples that were sampled of topology NAME, or only those that COMPONENT emitted.

    `storm debug` begins and ends sampling. With --json, each is an object.
    """
    from storm.clock import SystemClock

    # Who follows goes on without an answer; who does not can wait for it.
    with connect_nimbus(settings, leader_wait_secs=0.0 if follow else None) as nimbus:
        files = event_files(
            lambda: log_sources(nimbus, name, component), lambda source: open_events(source, lines), SystemClock()
        )
        try:
            for found in files.rounds():
                for source, read in found:
                    for line in event_lines(read, source.label, component, as_json):
                        click.echo(line)
                if not follow:
                    break
        except KeyboardInterrupt:
            if not follow:
                raise
        return 1 if not follow and files.knows_none() else 0


def event_files(
    look: Callable[[], list[LogSource]], opened: Callable[[LogSource], EventReader], clock: Clock
) -> WorkerFiles[EventReader, list[str]]:
    """The samples of the workers that `look` names."""
    return WorkerFiles("the samples", look, opened, EventReader.more, clock)


def open_events(source: LogSource, lines: int) -> EventReader:
    """A reader of this worker's samples, through its supervisor."""
    return EventReader(source, supervisor_of(source, NIMBUS_TIMEOUT_SECS), lines)


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
                who = click.style(
                    printable(f"{event['component']} (task {event['task']}, {event['stream']})"), bold=True
                )
                found.append(f"{format_wall(event['time'])}  {worker}  {who}  {printable(str(event['values']))}")
        except (ValueError, KeyError, TypeError, AttributeError):  # the end of a line that was being written
            continue
    return found
