"""What an executor counted: totals that only grow, put into windows whenever somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from storm.metrics.stats_records import BoltStats, ExecutorStats, SpoutStats
from storm.metrics.windows import RollingSums

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import GlobalStreamId, StreamId
    from storm.metrics.stats_records import Window

Seconds: TypeAlias = "tuple[float, int]"  # a sum of times, and of how many

COUNTS = ("emitted", "transferred", "executed", "acked", "failed")
TIMES = ("execute", "process", "complete")


class Totals:
    """Counts and times since the executor's start: {what: {stream: number}} and {what: {stream: (seconds, number)}}.

    Streams are stream ids for what it emits and GlobalStreamIds for what it takes in. `buckets` is how the times are
    distributed, {what: {stream: {bucket: number}}} with buckets as in `storm.metrics.distribution`; `failures` of a
    spout {stream: {kind: number}}; `skipped_secs` of a spout {reason: how long it was not asked for tuples}.
    """

    def __init__(self) -> None:
        self.counts: dict[str, dict[Any, int]] = {name: {} for name in COUNTS}
        self.times: dict[str, dict[Any, Seconds]] = {name: {} for name in TIMES}
        self.buckets: dict[str, dict[Any, dict[int, int]]] = {name: {} for name in TIMES}
        self.failures: dict[StreamId, dict[str, int]] = {}
        self.skipped_secs: dict[str, float] = {}

    def count_output(self, stream: StreamId, emitted: int, transferred: int) -> None:
        """Of one task; several add up."""
        self._add("emitted", stream, emitted)
        self._add("transferred", stream, transferred)

    def count_spout(self, stream: StreamId, acked: int, failed: int, complete_secs: float) -> None:
        """Of one spout task; `complete_secs` is the sum over those acked."""
        self._add("acked", stream, acked)
        self._add("failed", stream, failed)
        secs, number = self.times["complete"].get(stream, (0.0, 0))
        self.times["complete"][stream] = (secs + complete_secs, number + acked)

    def count_bolt(
        self,
        executed: Mapping[GlobalStreamId, int],
        acked: Mapping[GlobalStreamId, int],
        failed: Mapping[GlobalStreamId, int],
        execute: Mapping[GlobalStreamId, Seconds],
        process: Mapping[GlobalStreamId, Seconds],
    ) -> None:
        """Of a whole bolt executor."""
        self.counts["executed"] = {**executed}
        self.counts["acked"] = {**acked}
        self.counts["failed"] = {**failed}
        self.times["execute"] = {**execute}
        self.times["process"] = {**process}

    def count_failures(self, stream: StreamId, failures: Mapping[Any, int]) -> None:
        """Of one spout task, by kind; several add up."""
        _add_all(self.failures.setdefault(stream, {}), failures)

    def count_latencies(self, what: str, stream: Any, buckets: Mapping[int, int]) -> None:
        """Of one task, or a whole bolt executor; several add up. Read them before the times of the same stream: then
        no bucket holds what was not timed.
        """
        _add_all(self.buckets[what].setdefault(stream, {}), buckets)

    def _add(self, name: str, stream: StreamId, number: int) -> None:
        self.counts[name][stream] = self.counts[name].get(stream, 0) + number


def _whole(sums: Mapping[Any, float]) -> dict[Any, int]:
    """Without those that are next to nothing."""
    return {key: number for key, one in sums.items() if (number := round(one))}


def _add_all(to: dict[Any, int], more: Mapping[Any, int]) -> None:
    for key, number in more.items():
        to[key] = to.get(key, 0) + number


class StatsWindows:
    """One executor's counts in windows. Belongs to whoever asks for statistics, not to the executor's thread."""

    def __init__(self, is_spout: bool) -> None:
        self._is_spout = is_spout
        self._before = Totals()
        self._counts: dict[str, RollingSums[Any]] = {name: RollingSums() for name in COUNTS}
        self._secs: dict[str, RollingSums[Any]] = {name: RollingSums() for name in TIMES}
        self._numbers: dict[str, RollingSums[Any]] = {name: RollingSums() for name in TIMES}

    def update(self, now: float, totals: Totals) -> None:
        """Add what came since the last update to the windows; it counts as having happened now."""
        for name, counts in totals.counts.items():
            before = self._before.counts[name]
            for stream, number in counts.items():
                if number != before.get(stream, 0):
                    self._counts[name].add(now, stream, number - before.get(stream, 0))
        for name, times in totals.times.items():
            for stream, (secs, number) in times.items():
                secs_before, number_before = self._before.times[name].get(stream, (0.0, 0))
                if number != number_before:
                    self._secs[name].add(now, stream, secs - secs_before)
                    self._numbers[name].add(now, stream, number - number_before)
        self._before = totals

    def snapshot(self, now: float) -> ExecutorStats:
        counts = {
            name: {window: _whole(found) for window, found in sums.sums(now).items()}
            for name, sums in self._counts.items()
        }
        averages = {name: self._averages_ms(name, now) for name in TIMES}
        specific: BoltStats | SpoutStats
        if self._is_spout:
            specific = SpoutStats(counts["acked"], counts["failed"], averages["complete"])
        else:
            specific = BoltStats(
                counts["acked"],
                counts["failed"],
                counts["executed"],
                averages["process"],
                averages["execute"],
            )
        return ExecutorStats(counts["emitted"], counts["transferred"], specific)

    def _averages_ms(self, name: str, now: float) -> dict[Window, dict[Any, float]]:
        secs = self._secs[name].sums(now)
        return {
            window: {key: secs[window].get(key, 0.0) * 1000 / number for key, number in numbers.items() if number}
            for window, numbers in self._numbers[name].sums(now).items()
        }
