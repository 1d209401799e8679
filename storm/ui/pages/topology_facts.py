"""From Nimbus's TopologyPageInfo over the last 10 minutes to what the diagnosis and the graph are made of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from storm.config.addresses import joined
from storm.ui.pages.diagnosis import NOT_TOLD, Component, DeadWorker, EndedWorker, Fault, Insight, Topology, Worker
from storm.ui.pages.graph import Stream
from storm.ui.rest.formats import headline
from storm.ui.rest.topology_page import TIMEOUT_KEY, TIMEOUT_SECS

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from storm.thrift.interface import Struct

WINDOW, WINDOW_SECS = "600", 600


def facts(page: Struct, wall_secs: int) -> Topology:
    """`page` is over `WINDOW`."""
    stats = page.topology_stats
    conf = json.loads(page.topology_conf or "{}")
    dead = tuple(_dead_worker(failure, wall_secs) for failure in page.slot_failures or [])
    return Topology(
        name=page.name,
        status=page.status,
        uptime_secs=page.uptime_secs or 0,
        lacks=page.sched_status or "",
        acked=int(_in_window(stats, "acked")),
        failed=int(_in_window(stats, "failed")),
        complete_ms=_in_window(stats, "complete_latencies_ms"),
        timeout_secs=conf.get(TIMEOUT_KEY) or TIMEOUT_SECS,
        components=tuple(_components(page, wall_secs)),
        workers=tuple(_worker(worker) for worker in page.workers or []),
        dead_workers=dead,
        ended_workers=tuple(_ended_workers(page, {one.at for one in dead if one.deaths})),
    )


def figures_secs(page: Struct) -> int:
    """How long the window's counts have been counted: a worker that is younger than the window begins at 0."""
    return min(WINDOW_SECS, max((worker.uptime_secs or 0 for worker in page.workers or []), default=0))


def streams(page: Struct) -> list[Stream]:
    """The edges of the graph; none where Nimbus is of a release that does not tell them."""
    secs = figures_secs(page)
    return [
        Stream(
            one.stream.componentId,
            one.component,
            one.stream.streamId,
            f"{one.grouping} ({', '.join(one.fields)})" if one.fields else one.grouping.replace("_", " "),
            (one.executed or 0) / secs if secs else 0.0,
            one.failed or 0,
        )
        for one in getattr(page, "inputs", None) or []
    ]


def _in_window(stats: Struct | None, name: str) -> float:
    found: Mapping[str, float] = getattr(stats, f"window_to_{name}", None) or {}
    return found.get(WINDOW, 0)


def _components(page: Struct, wall_secs: int) -> Iterator[Component]:
    for is_spout, found in ((True, page.id_to_spout_agg_stats), (False, page.id_to_bolt_agg_stats)):
        for name, stats in sorted((found or {}).items()):
            common = stats.common_stats
            spout, bolt = stats.specific_stats.spout, stats.specific_stats.bolt
            yield Component(
                name,
                is_spout,
                common.num_executors or 0,
                common.num_tasks or 0,
                emitted=common.emitted or 0,
                executed=0 if bolt is None else bolt.executed or 0,
                acked=common.acked or 0,
                failed=common.failed or 0,
                capacity=0.0 if bolt is None else bolt.capacity or 0.0,
                execute_ms=0.0 if bolt is None else bolt.execute_latency_ms or 0.0,
                process_ms=0.0 if bolt is None else bolt.process_latency_ms or 0.0,
                complete_ms=0.0 if spout is None else spout.complete_latency_ms or 0.0,
                error=None if stats.last_error is None else _fault(stats.last_error, wall_secs),
                insight=insight(getattr(stats, "insight", None)),
            )


def insight(told: Struct | None) -> Insight:
    """Of a ComponentInsight; a worker of an older release tells none."""
    if told is None:
        return NOT_TOLD
    return Insight(
        told.known or 0,
        dict(told.reasons or {}),
        told.text or "",
        tuple(told.held_by or ()),
        told.silent or 0,
        told.full or 0,
        told.pending or 0,
        told.pending_max,
        told.queued or 0,
        told.unsettled or 0,
    )


def _fault(error: Struct, wall_secs: int) -> Fault:
    at = joined(error.host, error.port or 0) if error.host else ""
    return Fault(headline(error.error), max(0, wall_secs - error.error_time_secs), at)


def _worker(worker: Struct) -> Worker:
    told = getattr(worker, "insight", None)
    missing = () if told is None else tuple(told.missing_peers or ())
    return Worker(joined(worker.host, worker.port), worker.uptime_secs, missing)


def _dead_worker(failure: Struct, wall_secs: int) -> DeadWorker:
    lines = [line for line in (failure.last_lines or "").splitlines() if line.strip()]
    return DeadWorker(
        joined(failure.host, failure.port),
        failure.deaths,
        failure.reason,
        max(0, wall_secs - failure.time_secs),
        failure.retry_secs,
        tuple(lines),
    )


def _ended_workers(page: Struct, dead: Container[str]) -> Iterator[EndedWorker]:
    """Of Nimbus's notices, `host:port: text`; the text has the worker's last lines too, and when it was tried again."""
    for notice in page.notices or []:
        at, _, text = notice.partition(": ")
        if notice != page.sched_status and at not in dead:
            text = text.removeprefix(f"The worker on port {at.rpartition(':')[2]} ")
            yield EndedWorker(at, (text.splitlines() or [""])[0].partition("; it is tried again")[0])
