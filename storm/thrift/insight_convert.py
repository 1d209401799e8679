"""Structs of what executors and workers do at the moment, and our records of it, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.metrics.insight_records import ExecutorInsight, FailedTuple, Hindrance, WorkerInsight, sentence
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storm.metrics.insight_records import ComponentInsight
    from storm.thrift.interface import Struct

EXECUTOR_FIGURES = (
    "silent", "pending", "pending_max", "queued", "queue_max", "queue_mark", "full", "unsettled",
)  # fmt: skip
COMPONENT_FIGURES = (
    "known", "silent", "full", "pending", "pending_max", "queued", "queue_max", "queue_mark", "unsettled",
)  # fmt: skip


def executor_insight_to_thrift(insight: ExecutorInsight, *, with_text: bool = False) -> Struct:
    """An ExecutorInsight struct; `with_text`: with the sentence for people, which heartbeats do without."""
    found = insight.hindrance
    return storm_thrift().ExecutorInsight(
        reason=found.reason or None,
        text=(sentence(insight) or None) if with_text else None,
        held_by=list(found.held_by) or None,
        held_by_workers=list(found.held_by_workers) or None,
        call_secs=found.call_secs,
        call_at=found.call_at or None,
        **{name: getattr(insight, name) for name in EXECUTOR_FIGURES},
    )


def executor_insight_from_thrift(struct: Struct | None) -> ExecutorInsight | None:
    """None where the worker told none."""
    if struct is None:
        return None
    found = Hindrance(
        struct.reason or "",
        tuple(struct.held_by or ()),
        tuple(struct.held_by_workers or ()),
        struct.call_secs,
        struct.call_at or "",
    )
    return ExecutorInsight(found, **{name: getattr(struct, name) for name in EXECUTOR_FIGURES})


def component_insight_to_thrift(insight: ComponentInsight | None) -> Struct | None:
    """A ComponentInsight struct; None where nothing is known."""
    if insight is None:
        return None
    return storm_thrift().ComponentInsight(
        reasons=dict(insight.reasons),
        text=insight.text or None,
        held_by=list(insight.held_by) or None,
        held_by_workers=list(insight.held_by_workers) or None,
        **{name: getattr(insight, name) for name in COMPONENT_FIGURES},
    )


def worker_insight_to_thrift(insight: WorkerInsight | None) -> Struct | None:
    """A WorkerInsight struct; None where nothing is known."""
    if insight is None:
        return None
    return storm_thrift().WorkerInsight(
        full_components=list(insight.full_components),
        held_by={peer: list(components) for peer, components in insight.held_by.items()},
        slow_peers=list(insight.slow_peers),
        missing_peers=list(insight.missing_peers),
        peers=insight.peers,
        reconnects=insight.reconnects,
        dropped=dict(insight.dropped),
        opening_components=list(insight.opening_components),
    )


def worker_insight_from_thrift(struct: Struct | None) -> WorkerInsight | None:
    """None where the worker told none."""
    if struct is None:
        return None
    return WorkerInsight(
        tuple(struct.full_components or ()),
        {peer: tuple(components) for peer, components in (struct.held_by or {}).items()},
        tuple(struct.slow_peers or ()),
        tuple(struct.missing_peers or ()),
        struct.peers or 0,
        struct.reconnects or 0,
        struct.dropped or {},
        tuple(struct.opening_components or ()),
    )


def failures_to_thrift(
    failures: Sequence[FailedTuple], host: str | None = None, port: int | None = None
) -> list[Struct]:
    """TupleFailure structs; `host` and `port` of the worker, which heartbeats do without."""
    return [
        storm_thrift().TupleFailure(
            task=each.task,
            message_id=each.message_id,
            kind=each.kind,
            component=each.component,
            text=each.text,
            age_secs=each.age_secs,
            time_secs=each.wall_secs,
            host=host,
            port=port,
        )
        for each in failures
    ]


def failures_from_thrift(structs: Sequence[Struct] | None) -> tuple[FailedTuple, ...]:
    """What a heartbeat says of tuples that failed."""
    return tuple(
        FailedTuple(
            each.task or 0,
            each.message_id or "",
            each.kind or "",
            each.component,
            each.text or "",
            each.age_secs or 0.0,
            each.time_secs or 0,
        )
        for each in structs or ()
    )
