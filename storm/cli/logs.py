"""`storm logs`: the logs of a topology's workers as one, read through their supervisors."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from storm.cli.merged_logs import LEVELS, Choice, Merge, last_of
from storm.cli.options import NIMBUS_TIMEOUT_SECS, as_json, connect_nimbus, with_settings
from storm.cli.output import printable
from storm.cli.worker_files import LogReader, LogSource, WorkerFiles, log_sources, supervisor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from storm.clock import Clock
    from storm.config.settings import Settings
    from storm.log_lines import Record

    Found: TypeAlias = list[tuple[Any, Record]]  # (LogSource, record)

LINES = 50
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
LEVEL_COLOURS = {"DEBUG": "bright_black", "WARNING": "yellow", "WARN": "yellow", "ERROR": "red", "CRITICAL": "red"}
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def duration_secs(ctx: click.Context | None, param: click.Parameter | None, value: str | None) -> int | None:
    """Of `90s`, `10m`, `2h`, `1d`. Raises click.BadParameter."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,9})([smhd])", value.strip())
    if match is None:
        raise click.BadParameter(f"expected a time such as 90s, 10m, 2h or 1d, got {value!r}", ctx, param)
    return int(match[1]) * _UNITS[match[2]]


def pattern(ctx: click.Context | None, param: click.Parameter | None, value: str | None) -> re.Pattern[str] | None:
    """A regular expression. Raises click.BadParameter."""
    try:
        return None if value is None else re.compile(value)
    except re.error as error:
        raise click.BadParameter(f"{value!r} is no regular expression: {error}", ctx, param) from None


@click.command()
@click.argument("name")
@click.argument("component", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=1),
    help=f"How many lines of each log to begin with (default: {LINES}, with --since all).",
)
@click.option("--since", callback=duration_secs, metavar="TIME", help="Begin so long ago: 90s, 10m, 2h, 1d.")
@click.option(
    "--level",
    type=click.Choice(list(LEVELS), case_sensitive=False),
    metavar="LEVEL",
    help="Only records of this level (DEBUG, INFO, WARNING, ERROR, CRITICAL) or above.",
)
@click.option("--grep", callback=pattern, metavar="REGEX", help="Only records with a line that matches.")
@as_json
@with_settings
def logs(settings: Settings, name: str, component: str | None, **options: Any) -> int:
    """Print the last lines of the logs of topology NAME's workers, merged in order of time.

    With COMPONENT only what that component logged, and its errors. With --json, each record is an object.
    """
    from storm.clock import SystemClock, format_utc

    clock = SystemClock()
    since = None if options["since"] is None else format_utc(clock.wall_secs() - options["since"])
    lines = options["lines"] or (LINES if since is None else None)
    choice = Choice(component, options["level"], options["grep"])
    # Who follows goes on without an answer; who does not can wait for it.
    with connect_nimbus(settings, leader_wait_secs=0.0 if options["follow"] else None) as nimbus:
        reading = Reading(lambda: log_sources(nimbus, name, component), open_log, clock, choice, lines, since)
        several = False
        try:
            for found in reading.rounds():
                several = several or len(reading.files.readers) > 1
                _print(found, several, options["as_json"])
                if not options["follow"]:
                    break
        except KeyboardInterrupt:
            if not options["follow"]:
                raise
        _print(reading.merge.rest(), several, options["as_json"])
        return 1 if not options["follow"] and reading.files.knows_none() else 0


class Reading:
    """The logs of a topology's workers as one."""

    def __init__(
        self,
        look: Callable[[], list[LogSource]],
        opened: Callable[[LogSource], LogReader],
        clock: Clock,
        choice: Choice,
        lines: int | None = LINES,
        since: str | None = None,
    ) -> None:
        """`lines` of each log to begin with (None: all), none before `since`: as `clock.format_utc` writes it."""
        self.merge = Merge()
        self.files = WorkerFiles("the log", look, opened, self._more, clock)
        self._clock = clock
        self._choice = choice
        self._lines = lines
        self._since = since.removesuffix("Z") if since is not None else None

    def rounds(self) -> Iterator[Found]:
        """What need not wait any longer in `merge`, for ever. Raises StormError where the first look fails."""
        for found in self.files.rounds():
            now = self._clock.now()  # the same for all, however long a supervisor kept it waiting
            for source, read in found:
                self.merge.add(source, filter(self._choice.takes, read), now)
            self.merge.keep(self.files.readers)
            yield self.merge.take(now)

    def _more(self, reader: LogReader) -> list[Record]:
        if reader.is_begun:
            return reader.more()

        def is_enough(found: list[Record]) -> bool:
            if self._since is not None:
                return any(record.time and record.time < self._since for record in found)
            return sum(len(record.lines) for record in found if self._choice.takes(record)) >= (self._lines or 0)

        chosen = [record for record in reader.last(is_enough) if self._choice.takes(record)]
        return last_of(chosen, self._lines, self._since)


def open_log(source: LogSource) -> LogReader:
    """A reader of this worker's log, through its supervisor."""
    return LogReader(source, supervisor_of(source, NIMBUS_TIMEOUT_SECS))


def _print(found: Found, several: bool, as_json: bool) -> None:
    """`several`: there are more workers than one, so that each needs its name."""
    for source, record in found:
        click.echo(json.dumps(as_dict(source, record)) if as_json else shown(record, source.label if several else None))


def shown(record: Record, worker: str | None) -> str:
    """A record for people, in colours; what follows its first line is as it stands in the log, but for what a terminal
    would obey: colours of users stay, and end with the record.
    """
    label = "" if worker is None else click.style(worker, fg=COLOURS[sum(worker.encode()) % len(COLOURS)]) + " "
    if record.continues or record.logger is None:
        return label + printable("\n".join(record.lines), lines=True, colours=True)
    level = click.style(printable(record.level or "").ljust(7), fg=LEVEL_COLOURS.get(record.level or ""))
    place = ""
    if record.component is not None:
        component = printable(record.component)
        place = click.style(component if record.task is None else f"{component}/{record.task}", bold=True)
        place += " "
    told = printable(f"{record.logger}: {record.message}", lines=True, colours=True)
    return f"{record.time}Z {level} {label}{place}{told}"


def as_dict(source: LogSource, record: Record) -> dict[str, Any]:
    """A record as plain data; `line`: as it stands in the log."""
    names = ("time", "level", "component", "task", "logger", "message")
    return {"worker": source.label, "line": "\n".join(record.lines), **{name: getattr(record, name) for name in names}}
