"""`/topology/ID/insight`, `/troubles` and `/failures`: what goes on inside, by Nimbus's pages. Storm has none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.thrift.interface import storm_thrift
from storm.ui.rest.supervisors import used

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from storm.diagnosis.facts import Trouble
    from storm.thrift.interface import Struct

SPOUTS_MAX = 100  # whose failures are shown: Nimbus is asked for the page of each
PENDING = {"pending": "pending", "pendingMax": "pending_max"}
QUEUES = {"queued": "queued", "queueMax": "queue_max", "queueMark": "queue_mark", "unsettled": "unsettled"}
CALL = {"callSecs": "call_secs", "callAt": "call_at"}


def insight(page: Struct, info: Struct) -> dict[str, Any]:
    """Of a TopologyPageInfo and a TopologyInfo of the same topology."""
    return {
        "spouts": _components(page.id_to_spout_agg_stats or {}, {"silent": "silent", **PENDING}),
        "bolts": _components(page.id_to_bolt_agg_stats or {}, {"full": "full", **QUEUES}),
        "executors": [_executor(one) for one in info.executors],
        "workers": [_worker(one) for one in sorted(page.workers or [], key=_place)],
    }


def troubles(found: Iterable[Trouble]) -> dict[str, Any]:
    return {
        "troubles": [
            {
                "severity": one.severity.name.lower(),
                "text": one.what,
                "advice": one.advice,
                "component": one.component or None,
                "worker": one.worker or None,
            }
            for one in found
        ]
    }


def failures(pages: Iterable[Struct]) -> dict[str, Any]:
    """Of the ComponentPageInfos of a topology's spouts; newest first."""
    found = [_failure(page.component_id, failure) for page in pages for failure in page.failures or []]
    return {"failures": sorted(found, key=_time, reverse=True)}


def _components(stats: Mapping[str, Struct], figures: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "component": component_id,
            "executors": one.common_stats.num_executors or 0,
            "known": (one.insight.known or 0) if one.insight else 0,
            "reasons": dict(one.insight.reasons or {}) if one.insight else {},
            **_hindrance(one.insight),
            **_figures(one.insight, figures),
        }
        for component_id, one in sorted(stats.items())
    ]


def _executor(summary: Struct) -> dict[str, Any]:
    info, found = summary.executor_info, summary.insight
    return {
        "id": f"[{info.task_start}-{info.task_end}]",
        "component": summary.component_id,
        "host": summary.host,
        "port": summary.port,
        "reason": found.reason if found else None,
        **_hindrance(found),
        **_figures(found, {**CALL, "silent": "silent", "full": "full", **PENDING, **QUEUES}),
    }


def _worker(summary: Struct) -> dict[str, Any]:
    found = summary.insight or storm_thrift().WorkerInsight()
    return {
        "host": summary.host,
        "port": summary.port,
        "known": summary.insight is not None,
        "openingComponents": found.opening_components or [],
        "fullComponents": found.full_components or [],
        "heldBy": found.held_by or {},
        "slowPeers": found.slow_peers or [],
        "missingPeers": found.missing_peers or [],
        "peers": found.peers or 0,
        "reconnects": found.reconnects or 0,
        "dropped": found.dropped or {},
        **used(summary),
    }


def _hindrance(found: Struct | None) -> dict[str, Any]:
    return {
        "text": found.text if found else None,
        "heldBy": _all(found.held_by) if found else [],
        "heldByWorkers": _all(found.held_by_workers) if found else [],
    }


def _figures(found: Struct | None, names: Mapping[str, str]) -> dict[str, Any]:
    return {key: getattr(found, name) if found else None for key, name in names.items()}


def _all(names: Sequence[str] | None) -> list[str]:
    return list(names or [])


def _failure(spout: str, failure: Struct) -> dict[str, Any]:
    return {
        "spout": spout,
        "task": failure.task or 0,
        "messageId": failure.message_id or "",
        "kind": failure.kind or "",
        "component": failure.component,
        "text": failure.text or "",
        "ageSecs": failure.age_secs or 0.0,
        "time": failure.time_secs or 0,
        "host": failure.host or "",
        "port": failure.port or 0,
    }


def _place(summary: Struct) -> tuple[str, int]:
    return summary.host, summary.port


def _time(failure: Mapping[str, Any]) -> int:
    return int(failure["time"])
