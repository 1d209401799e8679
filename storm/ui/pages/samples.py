"""The tuples of a topology that were sampled last: of all its workers, as `storm events` has them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.config.addresses import joined
from storm.metrics.stats_records import ALL_TIME
from storm.ui.rest.topology_page import topology_page

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.ui.pages.page import PageCall
    from storm.ui.pages.samples_reader import Told

WORKERS_MAX = 32  # that are asked
SHOWN = 100
TIME_MAX = 1 << 33  # the year 2242: what code in a worker wrote may be any number


class Sample(NamedTuple):
    """`host` and `port` are the worker's. `time_secs`: since 1970."""

    time_secs: int
    host: str
    port: int
    component: str
    task: int
    stream: str
    values: str


async def context(call: PageCall) -> dict[str, Any]:
    topology_id = call.path["id"]
    page, cluster = await asyncio.gather(
        call.nimbus.read("getTopologyPageInfo", topology_id, ALL_TIME, False),
        call.nimbus.read("getClusterInfo"),
    )
    ports = {one.supervisor_id: one.thrift_port for one in cluster.supervisors or []}
    workers = sorted(page.workers or [], key=lambda one: (one.host, one.port))
    told = await asyncio.gather(
        *(
            call.samples.last(one.host, ports.get(one.supervisor_id) or 0, topology_id, one.port)
            for one in workers[:WORKERS_MAX]
        )
    )
    pairs = [((worker.host, worker.port), one) for worker, one in zip(workers, told, strict=False)]
    return {
        "topology": topology_page(page, call.view),
        "samples": samples(pairs)[:SHOWN],
        "problems": [f"{joined(*worker)}: {one.problem}" for worker, one in pairs if one.problem],
        "left_out": len(workers[WORKERS_MAX:]),
    }


def samples(told: Iterable[tuple[tuple[str, int], Told]]) -> list[Sample]:
    """Of (host and port of a worker, what it told), the newest first. Lines that are no sample are passed over."""
    found = [sample for worker, one in told for line in one.lines if (sample := _sample(worker, line)) is not None]
    found.reverse()  # of the same second the last one is the newest
    return sorted(found, key=lambda one: -one.time_secs)


def _sample(worker: tuple[str, int], line: str) -> Sample | None:
    try:
        event = json.loads(line)
        time_secs = min(max(0, int(event["time"])), TIME_MAX)
        component, task, stream = str(event["component"]), int(event["task"]), str(event["stream"])
        return Sample(time_secs, *worker, component, task, stream, str(event["values"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
