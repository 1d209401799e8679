"""What an executor counted, as a frozen record: it travels from worker to supervisor to Nimbus."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import GlobalStreamId, StreamId
    from storm.metrics.insight_records import ExecutorInsight, FailedTuple

Window: TypeAlias = str  # "600", "10800", "86400" (seconds) or ":all-time": Storm's keys
ALL_TIME: Window = ":all-time"
WINDOWS: tuple[Window, ...] = ("600", "10800", "86400", ALL_TIME)


@dataclass(frozen=True, slots=True)
class BoltStats:
    """Per window and input stream; averages in milliseconds.

    Process latency runs from receipt to ack, execute latency is the time in `execute`.
    """

    acked: Mapping[Window, Mapping[GlobalStreamId, int]] = field(default_factory=dict)
    failed: Mapping[Window, Mapping[GlobalStreamId, int]] = field(default_factory=dict)
    executed: Mapping[Window, Mapping[GlobalStreamId, int]] = field(default_factory=dict)
    process_ms_avg: Mapping[Window, Mapping[GlobalStreamId, float]] = field(default_factory=dict)
    execute_ms_avg: Mapping[Window, Mapping[GlobalStreamId, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpoutStats:
    """Per window and output stream; complete latency in milliseconds, from emit to ack."""

    acked: Mapping[Window, Mapping[StreamId, int]] = field(default_factory=dict)
    failed: Mapping[Window, Mapping[StreamId, int]] = field(default_factory=dict)
    complete_ms_avg: Mapping[Window, Mapping[StreamId, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExecutorStats:
    """Tuples emitted (one per emit) and transferred (one per task reached), and what its kind counts.

    `rate` is the sampling rate that the figures were made with (1.0: every tuple was counted). `insight`: what it did
    when it was looked at; None: nobody looked. `failures`: of a spout, the last ones, oldest first.
    """

    emitted: Mapping[Window, Mapping[StreamId, int]]
    transferred: Mapping[Window, Mapping[StreamId, int]]
    specific: BoltStats | SpoutStats
    rate: float = 1.0
    insight: ExecutorInsight | None = None
    failures: tuple[FailedTuple, ...] = ()
