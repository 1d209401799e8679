"""From a TopologyPageInfo, what Nimbus tells of a topology, to the facts that are judged; pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from storm.config.addresses import joined
from storm.diagnosis.facts import NOT_TOLD, Component, DeadWorker, EndedWorker, Fault, Insight, Topology, Worker
from storm.diagnosis.wording import headline

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping
    from typing import Any

WINDOW_SECS = 600
WINDOW = str(WINDOW_SECS)
TIMEOUT_KEY, TIMEOUT_SECS = "topology.message.timeout.secs", 30


def facts(page: Any, wall_secs: int) -> Topology:
    """`page` is over `WINDOW`."""
    stats = page.topology_stats
    conf = json.loads(page.topology_conf or "{}")
    dead = tuple(_dead_worker(failure, wall_secs) for failure in page.slot_failures or [])
    return Topology(
        name=page.name,
        status=page.status,
        uptime_secs=page.uptime_secs or 0,
        lacks=page.sched_status or "",
        lacks_slots=_lacks_slots(page),
        acked=int(_in_window(stats, "acked")),
        failed=int(_in_window(stats, "failed")),
        complete_ms=_in_window(stats, "complete_latencies_ms"),
        timeout_secs=conf.get(TIMEOUT_KEY) or TIMEOUT_SECS,
        components=tuple(_components(page, wall_secs)),
        workers=tuple(_worker(worker) for worker in page.workers or []),
        dead_workers=dead,
        ended_workers=tuple(_ended_workers(page, {one.at for one in dead if one.deaths})),
        id=page.id,
    )


def summary_facts(summary: Any) -> Topology:
    """Of a TopologySummary: what is known where there is no page. Of workers, how many there are."""
    uptime_secs = summary.uptime_secs or 0
    return Topology(
        name=summary.name,
        status=summary.status,
        uptime_secs=uptime_secs,
        lacks=summary.sched_status or "",
        lacks_slots=_lacks_slots(summary),
        workers=(Worker("", uptime_secs),) * (summary.num_workers or 0),
        id=summary.id,
    )


def _lacks_slots(told: Any) -> bool:
    """A Nimbus of the former release says it in words alone."""
    return "slot" in (told.sched_status or "") if told.lacks_slots is None else bool(told.lacks_slots)


def _in_window(stats: Any | None, name: str) -> float:
    found: Mapping[str, float] = getattr(stats, f"window_to_{name}", None) or {}
    return found.get(WINDOW, 0)


def _components(page: Any, wall_secs: int) -> Iterator[Component]:
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


def insight(told: Any | None) -> Insight:
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


def _fault(error: Any, wall_secs: int) -> Fault:
    at = joined(error.host, error.port or 0) if error.host else ""
    return Fault(headline(error.error), max(0, wall_secs - error.error_time_secs), at)


def _worker(worker: Any) -> Worker:
    at, told = joined(worker.host, worker.port), getattr(worker, "insight", None)
    if told is None:
        return Worker(at, worker.uptime_secs)
    missing, slow = tuple(told.missing_peers or ()), tuple(told.slow_peers or ())
    return Worker(at, worker.uptime_secs, missing, slow, dict(told.dropped or {}))


def _dead_worker(failure: Any, wall_secs: int) -> DeadWorker:
    lines = [line for line in (failure.last_lines or "").splitlines() if line.strip()]
    return DeadWorker(
        joined(failure.host, failure.port),
        failure.deaths,
        failure.reason,
        max(0, wall_secs - failure.time_secs),
        failure.retry_secs,
        tuple(lines),
        failure.state or "",
    )


def _ended_workers(page: Any, dead: Container[str]) -> Iterator[EndedWorker]:
    """A Nimbus of the former release tells none."""
    for told in page.ended_workers or []:
        at = joined(told.host, told.port)
        if at not in dead:
            yield EndedWorker(at, headline(told.reason))
