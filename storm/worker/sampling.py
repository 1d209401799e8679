"""Samples of the tuples that components emit, while `storm debug` asks for them: in events.log beside the worker's log.

Components' threads put samples into a short queue; one thread, which is there only meanwhile, writes them. Both are
bounded: of more samples than SAMPLES_A_SEC the rest is only counted, and the file is put aside at FILE_BYTES_MAX.
A busy stream leaves the others their part of these samples.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from storm.executor.sampling import watch_executor
from storm.executor.shown_values import shown
from storm.ids import is_system_id

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path
    from random import Random
    from typing import TypeAlias

    from storm.clock import Clock
    from storm.cluster.records import DebugOptions
    from storm.executor.executor import Executor
    from storm.executor.lanes import Lanes
    from storm.ids import ComponentId, StreamId, TopologyId
    from storm.tuples import Origin

    Stream: TypeAlias = tuple[ComponentId, StreamId]

logger = logging.getLogger(__name__)

FILE_BYTES_MAX = 1 << 20
QUEUE_MAX = 200
SAMPLES_A_SEC = 100
WRITE_SECS = 0.5
VALUES_CHARS_MAX = 200


def wanted_shares(
    debug: Mapping[ComponentId, DebugOptions], topology_id: TopologyId, components: Sequence[ComponentId]
) -> dict[ComponentId, float]:
    """{component: the share of its tuples to be sampled, 0 to 1}; where it is 0 it is left out.

    Storm's rule: what is set for a component goes before what is set for the topology, under its id; the system's
    components are not sampled.
    """
    found = {}
    for component in components:
        options = debug.get(component, debug.get(topology_id))
        if options is not None and options.enabled and options.sampling_percent > 0 and not is_system_id(component):
            found[component] = min(1.0, options.sampling_percent / 100)
    return found


def parts(streams: Mapping[ComponentId, Collection[StreamId]]) -> dict[Stream, int]:
    """{stream: how many of SAMPLES_A_SEC are for it alone}: all components have as many, and so have the streams of
    each; one at least.
    """
    emitting = {component: names for component, names in streams.items() if names}
    return {
        (component, name): max(1, SAMPLES_A_SEC // (len(emitting) * len(names)))
        for component, names in emitting.items()
        for name in names
    }


class Budget:
    """How many samples may be in a second: of each stream its part; beyond it, whoever comes first, what was left of
    all parts in the second before. So there are SAMPLES_A_SEC in the mean, also where only one is busy.
    """

    def __init__(self, parts: Mapping[Stream, int]) -> None:
        self._parts = parts
        self._second: int | None = None
        self._own: Counter[Stream] = Counter()  # of parts, in this second
        self._beyond = self._beyond_max = 0

    def allows(self, stream: Stream, second: int) -> bool:
        """Whether one more may be taken; if so it is."""
        if second != self._second:
            self._second, self._beyond, self._beyond_max = second, 0, SAMPLES_A_SEC - self._own.total()
            self._own.clear()
        if self._own[stream] < self._parts.get(stream, 0):
            self._own[stream] += 1
            return True
        if self._beyond >= self._beyond_max or self._beyond + self._own.total() >= SAMPLES_A_SEC:
            return False
        self._beyond += 1
        return True


class Samples:
    """Takes tuples from lanes' threads. `take` never raises and never waits.

    Values are made text at once: they are the component's, which may change them as soon as emit is over.
    """

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._queue: deque[str] = deque(maxlen=QUEUE_MAX)
        self._lock = threading.Lock()
        self._dropped = 0
        self._shares: Mapping[ComponentId, float] = {}
        self._budget = Budget({})

    def want(self, shares: Mapping[ComponentId, float], streams: Mapping[ComponentId, Collection[StreamId]]) -> None:
        """From now on these shares of components' tuples; `streams`: on which they emit."""
        with self._lock:
            self._shares = shares
            self._budget = Budget(parts({component: streams[component] for component in shares}))

    def take(self, origin: Origin, values: Sequence[Any]) -> None:
        """A tuple is emitted: by its component's share it becomes a sample."""
        if self._rng.random() >= self._shares.get(origin.component, 0.0):
            return
        with self._lock:
            if not self._budget.allows((origin.component, origin.stream), int(self._clock.now())):
                self._dropped += 1
                return
        line = {
            "time": self._clock.wall_secs(),
            "component": origin.component,
            "task": origin.task,
            "stream": origin.stream,
            "values": shown(values, VALUES_CHARS_MAX),
        }
        self._queue.append(json.dumps(line))

    def taken(self) -> list[str]:
        """The lines since the last call, and one that tells how many samples were too many."""
        lines = []
        while self._queue:
            lines.append(self._queue.popleft())
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            lines.append(json.dumps({"time": self._clock.wall_secs(), "dropped": dropped}))
        return lines


class EventLog:
    """The file; the one before is kept as events.log.1. What a disk refuses is logged once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._complained = False

    def write(self, lines: Sequence[str]) -> None:
        """Append lines."""
        try:
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_size > FILE_BYTES_MAX:
                    os.replace(self._path, self._path.with_name(f"{self._path.name}.1"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
        except OSError as error:
            if not self._complained:
                logger.warning("Samples of tuples cannot be written to %s: %s", self._path, error.strerror)
            self._complained = True
        else:
            self._complained = False


class Sampling:
    """Belongs to the worker's thread. `want` says which components are to be sampled."""

    def __init__(self, lanes: Lanes, samples: Samples, log: EventLog) -> None:
        self._lanes = lanes
        self._samples = samples
        self._log = log
        self._shares: Mapping[ComponentId, float] = {}
        self._stopped = threading.Event()
        self.writer: threading.Thread | None = None
        topology = lanes.plan.topology
        self._streams = {
            component: [name for name in topology.component(component).streams if not is_system_id(name)]
            for component in sorted({executor.component for executor in lanes.executors})
        }

    def want(self, debug: Mapping[ComponentId, DebugOptions], topology_id: TopologyId) -> None:
        """Begin, change or end sampling; nothing where it is as it was."""
        shares = wanted_shares(debug, topology_id, list(self._streams))
        if shares == self._shares:
            return
        logger.info("Samples of tuples: %s", {c: f"{100 * share:g} %" for c, share in shares.items()} or "none")
        before, self._shares = self._shares, shares
        self._samples.want(shares, self._streams)
        for executor in self._lanes.executors:
            if (executor.component in shares) != (executor.component in before):
                self._watch(executor, executor.component in shares)
        if shares and self.writer is None:
            self._stopped = threading.Event()
            self.writer = threading.Thread(target=self._write, args=(self._stopped,), name="events", daemon=True)
            self.writer.start()
        elif not shares:
            self.stop()

    def stop(self) -> None:
        """What was taken is written, and nothing more."""
        if self.writer is not None:
            self._stopped.set()
            self.writer = None

    def _watch(self, executor: Executor, is_wanted: bool) -> None:
        observe = self._samples.take if is_wanted else None
        self._lanes.between_turns(executor, lambda: watch_executor(executor, observe))

    def _write(self, stopped: threading.Event) -> None:
        over = False
        while not over:
            over = stopped.wait(WRITE_SECS)
            lines = self._samples.taken()
            if lines:
                self._log.write(lines)
