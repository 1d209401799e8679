"""A text in the logs of a topology's workers: supervisors look for it, and what they find is merged by time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from storm.metrics.stats_records import ALL_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.thrift.interface import Struct
    from storm.ui.pages.log_reader import LogReader, Told

RECORDS_MAX = 200  # that a supervisor is asked for, and that are told
SUPERVISORS_MAX = 32  # that search for one answer, of those that are known to have had workers of the topology
OTHERS_MAX = 8  # of the others, where some may have been

Place: TypeAlias = tuple[str, int]  # host and port of a supervisor; 0: it is gone


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
    `left_out` supervisors that have had workers of it were not asked, and `others_left_out` of which that is not known.
    """

    records: list[Record]
    problems: list[tuple[str, str]]
    is_cut: bool
    left_out: int
    others_left_out: int


async def find(nimbus: Reads, reader: LogReader, topology_id: str, text: str) -> Found:
    """`text` is not empty. Where the topology may have had workers is searched once all others have answered. Raises
    StormError, so where there is no such topology.
    """
    topology, cluster = await asyncio.gather(
        nimbus.read("getTopologyPageInfo", topology_id, ALL_TIME, False), nimbus.read("getClusterInfo")
    )
    known, others = places(topology, cluster)
    deadline = reader.deadline()
    by_host: list[tuple[str, Told]] = []
    for asked in (known[:SUPERVISORS_MAX], others[:OTHERS_MAX]):
        if any(one.is_late for _, one in by_host):
            break
        told = await asyncio.gather(*(reader.search(at, topology_id, text, deadline) for at in asked))
        by_host += [(host, one) for (host, _), one in zip(asked, told, strict=True)]
    every = records(by_host)
    return Found(
        every[:RECORDS_MAX],
        [(host, one.problem) for host, one in by_host if one.problem],
        len(every) > RECORDS_MAX or any(one.is_cut for _, one in by_host),
        len(known[SUPERVISORS_MAX:]),
        len(others) - len(by_host[len(known[:SUPERVISORS_MAX]) :]),
    )


def places(topology: Struct, cluster: Struct) -> tuple[list[Place], list[Place]]:
    """The supervisors of its workers, then those on whose hosts one ended; and the others, where some may have been."""
    workers = sorted(topology.workers or [], key=lambda one: (one.host, one.port))
    hosts = {one.supervisor_id: one.host for one in workers}
    there = sorted(cluster.supervisors or [], key=lambda one: (one.host, one.supervisor_id))
    ports = {one.supervisor_id: one.thrift_port or 0 for one in there}
    ended_on = {one.host for one in topology.ended_workers or []}
    known = [(host, ports.get(supervisor_id, 0)) for supervisor_id, host in hosts.items()]
    others: list[Place] = []
    for one in there:
        if one.supervisor_id not in hosts:
            (known if one.host in ended_on else others).append((one.host, one.thrift_port or 0))
    return known, others


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
        "othersLeftOut": found.others_left_out,
    }
