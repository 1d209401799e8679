"""A log of this host: whose it is, what it is called, and part of what is in it; pure."""

from __future__ import annotations

from typing import NamedTuple

CURRENT_LOG = "worker.log"  # what a worker writes to; what was put aside has other names


class Worker(NamedTuple):
    """Whose log it is: a topology's worker on a port of this host."""

    topology_id: str
    port: int


class LogName(NamedTuple):
    """A worker's log by what a request says: `<topology id>/<port>/<file>`."""

    worker: Worker
    file: str

    @property
    def path(self) -> str:
        return f"{self.worker.topology_id}/{self.worker.port}/{self.file}"

    @property
    def is_packed(self) -> bool:
        return is_packed(self.file)


class LogFile(NamedTuple):
    """A file among the workers' logs. `changed_secs`: when somebody last wrote to it, since the epoch."""

    worker: Worker
    name: str
    size: int
    changed_secs: float

    @property
    def path(self) -> str:
        """As Storm names it: `<topology id>/<port>/<name>`."""
        return f"{self.worker.topology_id}/{self.worker.port}/{self.name}"


class Part(NamedTuple):
    """Bytes of a log from `start` on. `size` is the whole log's; None: nobody knows before it is unpacked.

    `head` tells the log from one that takes its place.
    """

    data: bytes
    start: int
    size: int | None
    is_last: bool
    head: str = ""

    @property
    def end(self) -> int:
        return self.start + len(self.data)


def is_packed(file: str) -> bool:
    """Whether a file of this name is compressed by gzip."""
    return file.endswith(".gz")
