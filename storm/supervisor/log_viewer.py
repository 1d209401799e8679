"""What the log viewer does for the supervisor beside it: another package, which whoever starts both knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from storm.ids import TopologyId


class FoundRecord(NamedTuple):
    """A record of a worker's log in which a text was found; of a long one the part around the place.

    `offset` is where the record begins in `file`, in bytes. `time`: UTC, "2026-01-31T23:59:59.123", empty: not known.
    """

    port: int
    file: str
    offset: int
    time: str
    text: str


class FoundRecords(NamedTuple):
    """The newest first. `is_cut`: there may be more."""

    records: Sequence[FoundRecord]
    is_cut: bool = False


class LogViewer(NamedTuple):
    """`port` is where browsers reach it, 0: nowhere.

    `daemon_logs(log_dir)`: names of the daemons' logs in that directory. `search(artifacts_dir, topology_id, text,
    count)`: the newest records with that text, of all workers of the topology here.
    """

    port: int
    daemon_logs: Callable[[Path], Sequence[str]]
    search: Callable[[Path, TopologyId, str, int], FoundRecords]
