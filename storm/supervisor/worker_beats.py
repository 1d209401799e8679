"""The latest heartbeat of each worker of this supervisor: for the slots, which ask how old it is, and for Nimbus."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from storm.supervisor.nimbus_link import LOT_BYTES_MAX
from storm.thrift.figures import entry_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.ids import TopologyId


@dataclass(frozen=True, slots=True)
class WorkerBeat:
    """`message` is what goes on to Nimbus, opaque here; `stats` {executor: its figures}, of all or a part of them, that
    came with it, or None, and `metrics` what it measures, as text, or None. `is_up`: its executors run;
    `is_prepared`: so do its components.
    """

    worker_id: str
    topology_id: TopologyId
    port: int
    message: Any
    stats: dict[Any, Any] | None = None
    metrics: str | None = None
    is_up: bool = False
    is_prepared: bool = False


class WorkerBeats:
    """One beat a port, so it is bounded by the ports. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[int, tuple[str, float]] = {}
        self._prepared: dict[int, str] = {}
        self._for_nimbus: dict[int, WorkerBeat] = {}
        self._metrics: dict[int, tuple[TopologyId, str]] = {}
        self._pardoned_at = float("-inf")
        self._are_heard = True

    def receive(self, beat: WorkerBeat, now: float) -> bool:
        """Note a beat that came at clock second `now`; whether it is its worker's first, or the first that says that
        it is prepared.
        """
        with self._lock:
            before = self._seen.get(beat.port)
            self._seen[beat.port] = (beat.worker_id, now)
            is_first = before is None or before[0] != beat.worker_id
            if is_first or beat.metrics is not None:
                self._metrics[beat.port] = (beat.topology_id, beat.metrics or "")
            is_news = is_first or (beat.is_prepared and not self.is_prepared(beat.port, beat.worker_id))
            if beat.is_prepared:
                self._prepared[beat.port] = beat.worker_id
            self._keep(beat)
            return is_news

    def seen_at(self, port: int, worker_id: str) -> float | None:
        """When this worker last beat, or was pardoned after a beat; None if it has not beaten."""
        with self._lock:
            found = self._seen.get(port)
            return max(found[1], self._pardoned_at) if found and found[0] == worker_id else None

    def is_prepared(self, port: int, worker_id: str) -> bool:
        """Whether this worker has told that its components are prepared."""
        return self._prepared.get(port) == worker_id

    def pardon(self, now: float) -> None:
        """Nobody listened for a while: what was not heard meanwhile is not held against the workers."""
        with self._lock:
            self._pardoned_at = now

    def forget(self, port: int) -> None:
        """The port has no worker any more."""
        with self._lock:
            self._seen.pop(port, None)
            self._prepared.pop(port, None)
            self._for_nimbus.pop(port, None)
            self._metrics.pop(port, None)

    def measured(self) -> dict[int, tuple[TopologyId, str, float]]:
        """{port: (topology, what its worker measures, when it last beat)}; the text is empty until there is some."""
        with self._lock:
            return {port: (*self._metrics[port], at) for port, (_, at) in self._seen.items()}

    def take_for_nimbus(self) -> list[WorkerBeat]:
        """The newest beat of each worker that has beaten since the last call. Until they are `delivered` nobody knows
        whether Nimbus hears of any.
        """
        with self._lock:
            self._are_heard = False
            taken = list(self._for_nimbus.values())
            self._for_nimbus.clear()
            return taken

    def delivered(self) -> None:
        """Nimbus took those that were taken for it."""
        self._are_heard = True

    def unheard(self) -> dict[int, tuple[str, float]]:
        """{port: (its worker's id, when it last beat)} while it is not known that Nimbus takes beats; else nothing."""
        with self._lock:
            return {} if self._are_heard else dict(self._seen)

    def give_back(self, beats: Iterable[WorkerBeat]) -> None:
        """Nimbus did not take them: what has not been overtaken goes with the next."""
        with self._lock:
            for beat in beats:
                if beat.port not in self._seen or self._seen[beat.port][0] != beat.worker_id:
                    continue
                newer = self._for_nimbus.get(beat.port)
                self._for_nimbus[beat.port] = beat
                if newer is not None:
                    self._keep(newer)

    def _keep(self, beat: WorkerBeat) -> None:
        """Figures come with every few beats only: a later beat without any must not lose them."""
        before = self._for_nimbus.get(beat.port)
        if before is not None and before.worker_id == beat.worker_id:
            metrics = before.metrics if beat.metrics is None else beat.metrics
            beat = replace(beat, stats=_merged(before.stats, beat.stats), metrics=metrics)
        self._for_nimbus[beat.port] = beat


def _merged(before: dict[Any, Any] | None, newer: dict[Any, Any] | None) -> dict[Any, Any] | None:
    """An executor's newest figures; of those of `before` the last ones, as many as a message has room for."""
    if not before or newer is None:
        return before if newer is None else newer
    if newer.keys() >= before.keys():
        return newer
    room = LOT_BYTES_MAX - sum(map(entry_bytes, newer.values()))
    kept = []
    for executor in reversed([each for each in before if each not in newer]):
        room -= entry_bytes(before[executor])
        if room < 0:
            break
        kept.append(executor)
    return {**{executor: before[executor] for executor in reversed(kept)}, **newer}
