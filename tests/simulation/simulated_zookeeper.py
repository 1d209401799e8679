"""Sessions with the cluster's state, as a process sees them: watches come late, operations fail, processes die."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.errors import CoordinationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from event_loop import Process
    from weather import Weather

    from storm.cluster.memory import MemoryStorage, MemoryTree
    from storm.cluster.storage import Fence, Listener, Versioned, Watch

SESSION_TIMEOUT_SECS = 6.0
WATCH_SECS = 0.05  # until a watch is heard, at most


class Session:
    """A StateStorage of one process, over a session with the tree."""

    def __init__(
        self, process: Process, tree: MemoryTree, weather: Weather, storage: MemoryStorage | None = None
    ) -> None:
        self.process = process
        self.tree = tree
        self.storage = storage or tree.session()
        self._weather = weather
        self._watches: dict[Watch, Watch] = {}
        self._cuts = 0

    # Faults

    def cut(self, secs: float) -> None:
        """No connection for so long; the session expires if that is too long."""
        self._lose()
        events = self.process.events
        events.after(secs, f"{self.process.name} reaches ZooKeeper again", self.reconnect)

    def expire(self) -> None:
        """The server ends the session."""
        self.tree.expire(self.storage)

    def abandon(self) -> None:
        """The process is dead or paused: nobody answers for the session."""
        self._lose()

    def reconnect(self) -> None:
        """Unless the process is dead or paused."""
        if self.process.alive and not self.process.paused:
            self._cuts += 1
            self.tree.resume(self.storage)

    def _lose(self) -> None:
        self._cuts += 1
        self.tree.suspend(self.storage)
        cuts, events = self._cuts, self.process.events
        events.after(SESSION_TIMEOUT_SECS, f"session of {self.process.name} times out", lambda: self._time_out(cuts))

    def _time_out(self, cuts: int) -> None:
        if cuts == self._cuts:
            self.tree.expire(self.storage)

    # StateStorage

    def create(self, path: str, data: bytes, *, ephemeral: bool = False, sequential: bool = False) -> str:
        return self._do(
            "create", path, lambda: self.storage.create(path, data, ephemeral=ephemeral, sequential=sequential)
        )

    def put(self, path: str, data: bytes) -> None:
        self._do("put", path, lambda: self.storage.put(path, data))

    def set(self, path: str, data: bytes, version: int) -> int:
        return self._do("set", path, lambda: self.storage.set(path, data, version))

    def get(self, path: str, watch: Watch | None = None) -> Versioned | None:
        return self._do("get", path, lambda: self.storage.get(path, self._late(watch)))

    def children(self, path: str, watch: Watch | None = None) -> list[str]:
        return self._do("children", path, lambda: self.storage.children(path, self._late(watch)))

    def delete(self, path: str, *, recursive: bool = False) -> None:
        self._do("delete", path, lambda: self.storage.delete(path, recursive=recursive))

    def put_ephemeral(self, path: str, data: bytes) -> None:
        self._do("put_ephemeral", path, lambda: self.storage.put_ephemeral(path, data))

    def fenced(self, fence: Fence) -> Session:
        return Session(self.process, self.tree, self._weather, self.storage.fenced(fence))

    def add_listener(self, listener: Listener) -> None:
        events, process = self.process.events, self.process
        self.storage.add_listener(
            lambda state: events.after(
                events.soon(WATCH_SECS),
                f"{process.name} hears that it is {state.value}",
                lambda: process.run(lambda: listener(state)),
            )
        )

    def close(self) -> None:
        self.storage.close()

    def _late(self, watch: Watch | None) -> Watch | None:
        if watch is None:
            return None
        late = self._watches.get(watch)
        if late is None:
            late = self._watches[watch] = _LateWatch(self.process, watch)
        return late

    def _do(self, method: str, path: str, operation: Callable[[], Any]) -> Any:
        weather, process = self._weather, self.process
        process.require_alive()
        is_read = method in ("get", "children")
        weather.before_operation(process, f"{method} {path}", is_read=is_read)
        if weather.refuses():
            raise CoordinationError(f"{method} of {path} failed: it was not carried out.")
        answer = operation()
        if not is_read:
            process.events.note(f"{process.name}: {method} {path}")
            weather.before_operation(process, f"the answer to {method} {path}")
            if weather.loses_answer():
                raise CoordinationError(f"{method} of {path} failed: it was carried out and the answer was lost.")
        return answer


class _LateWatch:
    """Calls a watch some time after it fired, as its process; until then, once is enough."""

    def __init__(self, process: Process, watch: Watch) -> None:
        self._process = process
        self._watch = watch
        self._is_coming = False

    def __call__(self) -> None:
        if not self._is_coming:
            self._is_coming = True
            events = self._process.events
            events.after(events.soon(WATCH_SECS), f"watch of {self._process.name}", self._arrive)

    def _arrive(self) -> None:
        self._is_coming = False
        self._process.run(self._call)

    def _call(self) -> None:
        self._watch()
        self._process.after_watch()
