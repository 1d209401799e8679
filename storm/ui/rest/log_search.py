"""A text in the logs of a topology's workers: supervisors look for it, and what they find is merged by time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from storm.metrics.stats_records import ALL_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.thrift.interface import Struct
    from storm.ui.pages.log_reader import LogReader, Told

RECORDS_MAX = 200  # that a supervisor is asked for, and that are told
SUPERVISORS_MAX = 32  # that search for one answer


class Reads(Protocol):
    """Reads what Nimbus tells."""

    async def read(self, method: str, *arguments: Any) -> Any: ...


class Record(NamedTuple):
    """It has the text. `time`: as its log has it, UTC, empty: not known. It begins at byte `offset` of `file`, a log of
    the worker on host and port.
    """

    time: str
    host: str
    port: int
    file: str
    offset: int
    text: str


class Found(NamedTuple):
    """The newest records first. `problems`: (host, why nothing is known of its logs). `is_cut`: there may be more.
    `left_out` supervisors were not asked.
    """

    records: list[Record]
    problems: list[tuple[str, str]]
    is_cut: bool
    left_out: int


async def find(nimbus: Reads, reader: LogReader, topology_id: str, text: str) -> Found:
    """`text` is not empty. Raises StormError, so where there is no such topology."""
    topology, cluster = await asyncio.gather(
        nimbus.read("getTopologyPageInfo", topology_id, ALL_TIME, False), nimbus.read("getClusterInfo")
    )
    every_place = places(topology, cluster)
    asked = every_place[:SUPERVISORS_MAX]
    told = await asyncio.gather(*(reader.search(at, topology_id, text) for at in asked))
    by_host = [(host, one) for (host, _), one in zip(asked, told, strict=True)]
    every = records(by_host)
    return Found(
        every[:RECORDS_MAX],
        [(host, one.problem) for host, one in by_host if one.problem],
        len(every) > RECORDS_MAX or any(one.is_cut for one in told),
        len(every_place[SUPERVISORS_MAX:]),
    )


def places(topology: Struct, cluster: Struct) -> list[tuple[str, int]]:
    """(host, port, 0: it is gone) of the supervisors of its workers, then of the others, where some may have been:
    those first on whose hosts one ended.
    """
    workers = sorted(topology.workers or [], key=lambda one: (one.host, one.port))
    hosts = {one.supervisor_id: one.host for one in workers}
    ports = {one.supervisor_id: one.thrift_port or 0 for one in cluster.supervisors or []}
    ended_on = {one.host for one in topology.ended_workers or []}
    others = [
        (one.host not in ended_on, one.host, one.supervisor_id, one.thrift_port or 0)
        for one in cluster.supervisors or []
        if one.supervisor_id not in hosts
    ]
    present = [(host, ports.get(supervisor_id, 0)) for supervisor_id, host in hosts.items()]
    return present + [(host, port) for _, host, _, port in sorted(others)]


def records(told: Iterable[tuple[str, Told]]) -> list[Record]:
    """Of (host, what its supervisor found), the newest first; those whose time is not known come last."""
    found = [
        Record(one.time, host, one.port, one.file, one.offset, one.text)
        for host, of_host in told
        for one in of_host.records
    ]
    return sorted(found, key=lambda one: one.time, reverse=True)


def as_json(found: Found) -> dict[str, Any]:
    return {
        "records": [{**one._asdict(), "time": f"{one.time}Z" if one.time else None} for one in found.records],
        "problems": [{"host": host, "text": text} for host, text in found.problems],
        "isCut": found.is_cut,
        "supervisorsLeftOut": found.left_out,
    }
