"""The tuples of a topology that were sampled last: of all its workers, as `storm events` has them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from storm.metrics.stats_records import ALL_TIME
from storm.ui.rest.topology_page import debugging

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.thrift.interface import Struct
    from storm.ui.pages.samples_reader import SamplesReader, Told

WORKERS_MAX = 32  # that are asked
SHOWN = 100
DROPPED_MAX = 1 << 40  # of a line
TIME_MAX = 1 << 33  # the year 2242: what code in a worker wrote may be any number


class Reads(Protocol):
    """Reads what Nimbus tells."""

    async def read(self, method: str, *arguments: Any) -> Any: ...


class Of(NamedTuple):
    """Who emitted the tuples that are meant, and on which stream; empty: whoever, on whichever."""

    component: str = ""
    stream: str = ""

    def takes(self, line: str) -> bool:
        """Whether a line of a worker's file is such a sample."""
        if not all(json.dumps(name) in line for name in self if name):  # most are not, and need not be read for that
            return False
        sample = _sample(("", 0), line)
        return sample is not None and self.component in ("", sample.component) and self.stream in ("", sample.stream)


ALL = Of()


class Sample(NamedTuple):
    """`host` and `port` are the worker's. `time_secs`: since 1970."""

    time_secs: int
    host: str
    port: int
    component: str
    task: int
    stream: str
    values: str


class Worker(NamedTuple):
    host: str
    port: int


class Found(NamedTuple):
    """The newest samples first. `topology` is Nimbus's page of it; `sampling`: whether tuples are sampled, and which
    share, as REST tells it. `problems`: why a worker's samples cannot be read. `left_out` workers were not asked.
    `dropped`: how many more, of whichever component, workers took in the same time and did not keep."""

    topology: Struct
    sampling: dict[str, Any]
    samples: list[Sample]
    problems: list[tuple[Worker, str]]
    left_out: int
    dropped: int = 0


async def find(nimbus: Reads, reader: SamplesReader, topology_id: str, of: Of) -> Found:
    """Raises StormError, so where there is no such topology or component."""
    topology, cluster = await asyncio.gather(
        nimbus.read("getTopologyPageInfo", topology_id, ALL_TIME, False), nimbus.read("getClusterInfo")
    )
    debug = topology.debug_options
    if of.component:
        component = await nimbus.read("getComponentPageInfo", topology_id, of.component, ALL_TIME, False)
        debug = debug if component.debug_options is None else component.debug_options
    ports = {one.supervisor_id: one.thrift_port for one in cluster.supervisors or []}
    workers = sorted(topology.workers or [], key=lambda one: (one.host, one.port))
    told = await asyncio.gather(
        *(
            reader.last((one.host, ports.get(one.supervisor_id) or 0, topology_id, one.port), of)
            for one in workers[:WORKERS_MAX]
        )
    )
    pairs = [(Worker(one.host, one.port), its) for one, its in zip(workers, told, strict=False)]
    return Found(
        topology,
        debugging(debug),
        samples(pairs)[:SHOWN],
        [(worker, its.problem) for worker, its in pairs if its.problem],
        len(workers[WORKERS_MAX:]),
        sum(its.dropped for its in told),
    )


def samples(told: Iterable[tuple[Worker, Told]]) -> list[Sample]:
    """Of what workers told, the newest first. Lines that are no sample are passed over."""
    found = [sample for worker, one in told for line in one.lines if (sample := _sample(worker, line)) is not None]
    found.reverse()  # of the same second the last one is the newest
    return sorted(found, key=lambda one: -one.time_secs)


def as_json(found: Found) -> dict[str, Any]:
    return {
        **found.sampling,
        "samples": [
            {
                "time": one.time_secs,
                "component": one.component,
                "stream": one.stream,
                "task": one.task,
                "values": one.values,
                "host": one.host,
                "port": one.port,
            }
            for one in found.samples
        ],
        "problems": [{"host": worker.host, "port": worker.port, "text": text} for worker, text in found.problems],
        "workersLeftOut": found.left_out,
        "dropped": found.dropped,
    }


def dropped(lines: Iterable[str]) -> int:
    """How many samples were too many, by a worker's lines."""
    found = 0
    for line in lines:
        try:
            event = json.loads(line) if '"dropped"' in line else {}
            found += min(max(0, int(event.get("dropped", 0))), DROPPED_MAX)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
    return found


def _sample(worker: tuple[str, int], line: str) -> Sample | None:
    try:
        event = json.loads(line)
        time_secs = min(max(0, int(event["time"])), TIME_MAX)
        component, task, stream = str(event["component"]), int(event["task"]), str(event["stream"])
        return Sample(time_secs, *worker, component, task, stream, str(event["values"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
