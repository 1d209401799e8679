"""What the components of a worker have counted: a line on each full second, in a file of the worker's own.

Components keep plain integers and tell here which of their attributes to read; this module's thread reads them. The
topology's conf says where the lines go (`bench.dir`) and how often (`bench.report_secs`, 1). It is shipped with the
topology, and imports nothing of the benchmarks.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


class Counts:
    """One for each process. `watch` may be called by any thread, before or after the first line."""

    def __init__(self, directory: Path, period_secs: float) -> None:
        self._file = (directory / f"{os.getpid()}.rates").open("a", buffering=1)
        self._period_secs = period_secs
        self._watched: dict[str, list[tuple[Any, str]]] = defaultdict(list)
        self._histograms: list[Counter[int]] = []
        threading.Thread(target=self._report_for_ever, name="counts", daemon=True).start()

    def watch(self, owner: Any, *attributes: str) -> None:
        """Report these counts of this object, summed up with those of the same name of others."""
        for name in attributes:
            self._watched[name].append((owner, name))

    def histogram(self) -> Counter[int]:
        """A histogram of latencies, {bucket: count}, to be filled by one thread: see `bucket`."""
        self._histograms.append(Counter())
        return self._histograms[-1]

    def _totals(self) -> dict[str, int]:
        watched = list(self._watched.items())
        return {name: sum(getattr(owner, attribute) for owner, attribute in list(pairs)) for name, pairs in watched}

    def _latencies(self) -> Counter[int]:
        total: Counter[int] = Counter()
        for histogram in list(self._histograms):
            total.update(dict(histogram))  # a copy is one step: the owner may go on counting
        return total

    def _report_for_ever(self) -> None:
        before, seen, cpu = self._totals(), self._latencies(), time.process_time()
        last = time.perf_counter()
        while True:
            time.sleep(self._period_secs - time.time() % self._period_secs)
            now, totals, latencies, cpu_now = (
                time.perf_counter(),
                self._totals(),
                self._latencies(),
                time.process_time(),
            )
            line = {
                "t": round(time.time() / self._period_secs) * self._period_secs,
                "secs": now - last,
                "counts": {name: total - before.get(name, 0) for name, total in totals.items()},
                "latencies": dict(latencies - seen),
                "cpu_secs": cpu_now - cpu,
                "rss_mb": resident_mb(),
            }
            self._file.write(json.dumps(line) + "\n")
            before, seen, cpu, last = totals, latencies, cpu_now, now


_made: list[Counts] = []
_making = threading.Lock()


def counts(conf: Mapping[str, Any]) -> Counts:
    """This process's."""
    with _making:
        if not _made:
            _made.append(Counts(Path(conf["bench.dir"]), float(conf.get("bench.report_secs", 1))))
        return _made[0]


def bucket(nanoseconds: int) -> int:
    """The bucket of a latency: bucket i begins at exp(i / 20) microseconds, so that it is 5 % wide."""
    return int(20 * math.log(max(1, nanoseconds // 1000)))


def resident_mb() -> float:
    """The resident memory of this process."""
    with open("/proc/self/statm") as file:
        return round(int(file.read().split()[1]) * PAGE_MB, 1)
