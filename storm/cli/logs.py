"""`storm logs`: the logs of a topology's workers as one, read through their supervisors."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from storm.cli.merged_logs import LEVELS, Choice, Merge, last_of
from storm.cli.options import NIMBUS_TIMEOUT_SECS, as_json, connect_nimbus, with_settings
from storm.cli.output import printable
from storm.config.addresses import joined
from storm.errors import StormError, ThriftConnectionError
from storm.log_lines import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from storm.clock import Clock
    from storm.config.settings import Settings
    from storm.log_lines import Record
    from storm.thrift.client import ThriftClient

    Found: TypeAlias = list[tuple[Any, Record]]  # (LogSource, record)

CHUNK_BYTES = 64 * 1024
CHUNKS_MAX = 64  # of one log in one look: others have their turn
BEGIN_BYTES_MAX = 16 << 20  # how far back the first look goes
LINES = 50
FOLLOW_SECS = 0.5
LOOK_SECS = 3.0  # between two looks at which workers there are
RETRY_SECS = 10.0  # until a supervisor that did not answer is asked again: it keeps everybody waiting
LOOK, NOT_KNOWN = "look", "which workers there are is not known, so those from before are read"
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
LEVEL_COLOURS = {"DEBUG": "bright_black", "WARNING": "yellow", "WARN": "yellow", "ERROR": "red", "CRITICAL": "red"}
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class LogSource(NamedTuple):
    """A worker whose log can be read."""

    topology_id: str
    host: str
    port: int
    supervisor_port: int | None  # None: Nimbus does not see its supervisor

    @property
    def label(self) -> str:
        return joined(self.host, self.port)


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
    reading = Reading(open_log, clock, Choice(component, options["level"], options["grep"]), lines, since)
    # Who follows goes on without an answer; who does not can wait for it.
    with connect_nimbus(settings, leader_wait_secs=0.0 if options["follow"] else None) as nimbus:

        def look() -> list[LogSource]:
            return log_sources(nimbus, name, component)

        reading.look(look())
        several = len(reading.readers) > 1
        reading.read()
        if not options["follow"]:
            _print(reading.merge.rest(), several, options["as_json"])
            return 1 if reading.knows_none() else 0
        try:
            for found in reading.follow(look):
                several = several or len(reading.readers) > 1
                _print(found, several, options["as_json"])
        except KeyboardInterrupt:
            _print(reading.merge.rest(), several, options["as_json"])
        return 0


class Complaints:
    """Tells on standard error who cannot be asked, once as long as that stays the same. Who did not answer is asked
    again after RETRY_SECS.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[Any, str] = {}
        self._silent_until: dict[Any, float] = {}

    def may_ask(self, what: Any) -> bool:
        return self._clock.now() >= self._silent_until.get(what, 0.0)

    def tell(self, what: Any, text: str, error: StormError) -> None:
        told = f"{text}: {error}"
        if self._told.get(what) != told:
            click.echo(click.style(told, fg="yellow"), err=True)
        self._told[what] = told
        if isinstance(error, ThriftConnectionError):
            self._silent_until[what] = self._clock.now() + RETRY_SECS

    def forget(self, what: Any) -> None:
        """It answers."""
        self._told.pop(what, None)

    def are_of(self, every: Iterable[Any]) -> bool:
        """Whether there is one of each of them."""
        return all(each in self._told for each in every)


class Reading:
    """Reads the logs of a topology's workers into `merge`; where one cannot be read, says so on standard error."""

    def __init__(
        self,
        opened: Callable[[LogSource], LogReader],
        clock: Clock,
        choice: Choice,
        lines: int | None = LINES,
        since: str | None = None,
    ) -> None:
        """`lines` of each log to begin with (None: all), none before `since`: as `clock.format_utc` writes it."""
        self.merge = Merge()
        self.readers: dict[LogSource, LogReader] = {}
        self._opened = opened
        self._clock = clock
        self._choice = choice
        self._lines = lines
        self._since = since.removesuffix("Z") if since is not None else None
        self._complaints = Complaints(clock)

    def look(self, sources: Iterable[LogSource]) -> None:
        """These are the workers now."""
        self.readers = {source: self.readers.get(source) or self._opened(source) for source in sources}
        self.merge.keep(self.readers)

    def read(self) -> None:
        """Read what there is: all at one time for `merge`, however long a supervisor kept it waiting."""
        found: list[tuple[LogSource, list[Record]]] = []
        for source, reader in self.readers.items():
            if not self._complaints.may_ask(source):
                continue
            try:
                found.append((source, self._more(reader)))
            except StormError as error:
                self._complaints.tell(source, f"the log of {source.label} cannot be read", error)
            else:
                self._complaints.forget(source)
        now = self._clock.now()
        for source, read in found:
            self.merge.add(source, filter(self._choice.takes, read), now)

    def knows_none(self) -> bool:
        """Whether no log at all could be read."""
        return self._complaints.are_of(self.readers)

    def follow(self, look: Callable[[], list[LogSource]]) -> Iterator[Found]:
        """What is added, for ever. `look` asks which workers there are: they come and go, by a rebalance or a death."""
        look_at = self._clock.now() + LOOK_SECS
        while True:
            yield self.merge.take(self._clock.now())
            self._clock.sleep(FOLLOW_SECS)
            self.read()
            if self._clock.now() >= look_at:
                try:
                    self.look(look())
                    self._complaints.forget(LOOK)
                except StormError as error:
                    self._complaints.tell(LOOK, NOT_KNOWN, error)
                look_at = self._clock.now() + LOOK_SECS

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


class Unseen:
    """In place of a supervisor that Nimbus does not see."""

    def __init__(self, source: LogSource) -> None:
        self._source = source

    def call(self, method: str, *arguments: object) -> Any:
        raise StormError(f"the supervisor of {self._source.label} is not seen by Nimbus; its log is on that host")

    def close(self) -> None: ...


def supervisor_of(source: LogSource, timeout_secs: float) -> ThriftClient | Unseen:
    """Whom to ask about this worker."""
    from storm.thrift.client import ThriftClient

    if source.supervisor_port is None:
        return Unseen(source)
    return ThriftClient("Supervisor", source.host, source.supervisor_port, timeout_secs)


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


def log_sources(nimbus: Any, name: str, component: str | None) -> list[LogSource]:
    """The workers of a topology, in order. Raises StormError where there is none."""
    topology_id = nimbus.call("getTopologySummaryByName", name).id
    page = nimbus.call("getTopologyPageInfo", topology_id, ":all-time", True)
    known = {*(page.id_to_spout_agg_stats or {}), *(page.id_to_bolt_agg_stats or {})}
    if component is not None and component not in known:
        raise StormError(f"{name} has no component {component!r}; there are {', '.join(sorted(known))}")
    ports = supervisor_ports(nimbus)
    found = [
        LogSource(topology_id, worker.host, worker.port, ports.get(worker.supervisor_id))
        for worker in sorted(page.workers or [], key=lambda worker: (worker.host, worker.port))
        if component is None or component in (worker.component_to_num_tasks or {})
    ]
    if not found:
        raise StormError(f"{name} has no worker yet: nothing is assigned, so there is no log")
    return found


def supervisor_ports(nimbus: Any) -> dict[str, int]:
    """{supervisor id: the port of its Thrift service}."""
    return {summary.supervisor_id: summary.thrift_port for summary in nimbus.call("getClusterInfo").supervisors}


class LogReader:
    """Reads one worker's log, whole lines at a time: `last` first, then `more` again and again."""

    def __init__(self, source: LogSource, supervisor: Any, method: str = "readWorkerLog") -> None:
        """`method` is the supervisor's that gives parts of the log."""
        self.source = source
        self._supervisor = supervisor
        self._method = method
        self._offset: int | None = None
        self._rest = b""
        self._last: Record | None = None

    @property
    def is_begun(self) -> bool:
        return self._offset is not None

    def last(self, is_enough: Callable[[list[Record]], bool]) -> list[Record]:
        """The last records: so many that they are enough, or all, or those of BEGIN_BYTES_MAX."""
        reach = CHUNK_BYTES
        while True:
            part = self._read(-reach, CHUNK_BYTES)
            start, end, data = part.offset, part.size, part.data
            while start + len(data) < end and (more := self._read(start + len(data), CHUNK_BYTES).data):
                data += more
            read_to = start + len(data)
            if start > 0:
                data = data.partition(b"\n")[2]  # begins in the midst of a line
            found = records(self._lines(data))
            if start == 0 or reach >= BEGIN_BYTES_MAX or is_enough(found):
                break
            self._rest = b""
            reach *= 4
        self._offset = read_to
        self._last = found[-1] if found else None
        return found

    def more(self) -> list[Record]:
        """Records added since the last call. A log that was emptied is read anew."""
        assert self._offset is not None
        offset, rest, chunks = self._offset, self._rest, []
        for _ in range(CHUNKS_MAX):
            part = self._read(offset, CHUNK_BYTES)
            if part.size < offset:
                offset, rest = 0, b""
                continue
            chunks.append(part.data)
            offset += len(part.data)
            if len(part.data) < CHUNK_BYTES:
                break
        self._offset, self._rest = offset, rest
        found = records(self._lines(b"".join(chunks)), self._last)
        self._last = found[-1] if found else self._last
        return found

    def _lines(self, data: bytes) -> list[str]:
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        return [line.decode(errors="replace") for line in whole.split(b"\n")] if newline else []

    def _read(self, offset: int, length: int) -> Any:
        source = self.source
        return self._supervisor.call(self._method, source.topology_id, source.host, source.port, offset, length)
