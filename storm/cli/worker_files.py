"""Files that the workers of a topology write, read through their supervisors: `storm logs`, `storm events`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import click

from storm.config.addresses import joined
from storm.errors import StormError, ThriftConnectionError
from storm.log_lines import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from storm.clock import Clock
    from storm.log_lines import Record
    from storm.thrift.client import ThriftClient

R = TypeVar("R")
T = TypeVar("T")

CHUNK_BYTES = 64 * 1024
CHUNKS_MAX = 64  # of one log in one look: others have their turn
BEGIN_BYTES_MAX = 16 << 20  # how far back the first look goes
FOLLOW_SECS = 0.5
LOOK_SECS = 3.0  # between two looks at which workers there are
RETRY_SECS = 10.0  # until a supervisor that did not answer is asked again: it keeps everybody waiting
LOOK, NOT_KNOWN = "look", "which workers there are is not known, so those from before are read"


class LogSource(NamedTuple):
    """A worker whose log can be read."""

    topology_id: str
    host: str
    port: int
    supervisor_port: int | None  # None: Nimbus does not see its supervisor

    @property
    def label(self) -> str:
        return joined(self.host, self.port)


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


class WorkerFiles(Generic[R, T]):
    """Reads a file of each of a topology's workers; whom it cannot ask it tells of, and goes on with the others."""

    def __init__(
        self,
        what: str,
        look: Callable[[], list[LogSource]],
        opened: Callable[[LogSource], R],
        more: Callable[[R], T],
        clock: Clock,
    ) -> None:
        """`what` is read, for people. `look` asks which workers there are, `opened` makes the reader of one, and `more`
        has such a reader read what is new."""
        self.readers: dict[LogSource, R] = {}
        self._what = what
        self._look = look
        self._opened = opened
        self._more = more
        self._clock = clock
        self._complaints = Complaints(clock)

    def rounds(self) -> Iterator[list[tuple[LogSource, T]]]:
        """What there is, and then what is added, for ever. Workers come and go, by a rebalance or a death.

        Raises StormError where the first look fails.
        """
        self._have(self._look())
        look_at = self._clock.now() + LOOK_SECS
        while True:
            found = self._read()
            if self._clock.now() >= look_at:  # after who is gone has been read to the end
                try:
                    self._have(self._look())
                    self._complaints.forget(LOOK)
                except StormError as error:
                    self._complaints.tell(LOOK, NOT_KNOWN, error)
                look_at = self._clock.now() + LOOK_SECS
            yield found
            self._clock.sleep(FOLLOW_SECS)

    def knows_none(self) -> bool:
        """Whether nothing at all could be read."""
        return self._complaints.are_of(self.readers)

    def _have(self, sources: Iterable[LogSource]) -> None:
        self.readers = {source: self.readers.get(source) or self._opened(source) for source in sources}

    def _read(self) -> list[tuple[LogSource, T]]:
        found = []
        for source, reader in self.readers.items():
            if not self._complaints.may_ask(source):
                continue
            try:
                found.append((source, self._more(reader)))
            except StormError as error:
                self._complaints.tell(source, f"{self._what} of {source.label} cannot be read", error)
            else:
                self._complaints.forget(source)
        return found


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
