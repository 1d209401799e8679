"""A worker's log as its supervisor gives it, and lines of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from storm.cli.worker_files import LogSource
from storm.log_lines import Place, text_line

if TYPE_CHECKING:
    from storm.errors import StormError

SOURCE = LogSource("w-1-2", "h", 6700, 6628)
OTHER = SOURCE._replace(port=6701)


class Part(NamedTuple):
    data: bytes
    offset: int
    size: int


class LogFile:
    """A supervisor's answer to readWorkerLog, over bytes that grow. While `failure` is set it is raised."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.failure: StormError | None = None
        self.calls = 0

    def call(self, method: str, topology_id: str, host: str, port: int, offset: int, length: int) -> Part:
        assert (method, topology_id, host) == ("readWorkerLog", "w-1-2", "h")
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        start = max(0, len(self.data) + offset) if offset < 0 else min(offset, len(self.data))
        return Part(self.data[start : start + length], start, len(self.data))


def stamp(second: float) -> str:
    return f"2026-01-31T00:00:{second:06.3f}Z"


def line(second: float, text: str, component: str | None = None, level: str = "INFO") -> bytes:
    place = Place("w-1-2", "h:6700", component, 3 if component else None)
    return text_line(place, stamp(second), level, "app", text).encode() + b"\n"
