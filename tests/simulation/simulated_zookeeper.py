"""ZooKeeper: it may be gone, slow, cut off from hosts, refuse them, or lose its data. Sessions with it are as a process
sees them: watches come late, operations fail, processes die in their midst.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from storm.cluster import paths
from storm.cluster.memory import MemoryTree
from storm.errors import CoordinationError, NoPermissionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from event_loop import EventLoop, Process
    from weather import Weather

    from storm.cluster.memory import MemoryStorage
    from storm.cluster.storage import Listener, Versioned, Watch

SESSION_TIMEOUT_SECS = 6.0
WATCH_SECS = 0.05  # until a watch is heard, at most
JUNK = b"\xffnobody can read this"
HASH = re.compile(r"[0-9a-f]{64}$")  # of pickled code, which differs between runs


class SimulatedZooKeeper:
    """The server and who reaches it. `far_hosts` do not; `refused_hosts` do, and may neither read nor write there since
    then. `on_change` is told of each change that a process makes.
    """

    def __init__(self, events: EventLoop, weather: Weather) -> None:
        self.events = events
        self.weather = weather
        self.tree = MemoryTree()
        self.is_down = False
        self.far_hosts: set[str] = set()
        self.refused_hosts: dict[str, float] = {}
        self.on_change: Callable[[Process, str, str], None] = _nothing
        self._sessions: list[Session] = []
        self._damaged: dict[str, bytes] = {}  # what nodes held

    def session(self, process: Process, host: str) -> Session:
        """A new session of a process on this host."""
        session = Session(self, process, host, self.tree.session())
        self._sessions = [each for each in self._sessions if each.process.alive]
        self._sessions.append(session)
        session.part()
        return session

    def stop(self) -> None:
        """It is gone: nobody is answered, and no session ends."""
        self.is_down = True
        self._look()

    def start(self) -> None:
        """It is back, with all that it had."""
        self.is_down = False
        self._look()

    def part(self, host: str) -> None:
        """The host does not reach it any more."""
        self.far_hosts.add(host)
        self._look()

    def join(self, host: str) -> None:
        """The host reaches it again."""
        self.far_hosts.discard(host)
        self._look()

    def records(self, tops: Collection[str]) -> list[str]:
        """The paths of the nodes right below these."""
        return sorted(path for path in self.tree._nodes if path.rpartition("/")[0] in tops)

    def damage(self, path: str) -> None:
        """Nobody can read what this node holds."""
        self._damaged.setdefault(path, self.tree._nodes[path].data)
        self.tree.session().put(path, JUNK)

    def is_damaged(self, path: str) -> bool:
        """Whether nobody can read it now."""
        node = self.tree._nodes.get(path)
        return node is not None and node.data == JUNK

    def restore(self, path: str) -> None:
        """The node holds again what it did, unless somebody has written it anew: leaders do so with assignments."""
        was = self._damaged.pop(path, None)
        if was is not None and self.is_damaged(path) and not path.startswith(f"{paths.ASSIGNMENTS}/"):
            self.tree.session().put(path, was)

    def mend(self) -> None:
        """All is well with it and its links from now on."""
        self.is_down = False
        self.far_hosts.clear()
        self.refused_hosts.clear()
        for path in list(self._damaged):
            self.restore(path)
        for session in self._sessions:
            session.mend()

    def lose_data(self) -> None:
        """It is started anew, with an empty disk: it knows no session and no node."""
        somebody = self.tree.session()
        for top in sorted(self.tree._nodes[""].children):
            somebody.delete(f"/{top}", recursive=True)
        for session in list(self._sessions):
            if session.process.alive:
                session.expire()

    def _look(self) -> None:
        for session in list(self._sessions):
            session.part()
            session.reconnect()


class Session:
    """A StateStorage of one process, over a session with the tree."""

    def __init__(
        self,
        zookeeper: SimulatedZooKeeper,
        process: Process,
        host: str,
        storage: MemoryStorage,
        fence: str | None = None,
    ) -> None:
        self.process = process
        self.storage = storage if fence is None else storage.fenced(fence)
        self.answers_lost_until = 0.0
        self._zookeeper = zookeeper
        self._tree = zookeeper.tree
        self._host = host
        self._watches: dict[Watch, Watch] = {}
        self._lost_since: float | None = None
        self._cut_until = 0.0
        self._losses = 0
        self.sure_since = self._now  # it has been the same session, and connected

    # Faults

    def cut(self, secs: float) -> None:
        """No connection for so long; the session expires if that is too long."""
        events = self.process.events
        self._cut_until = max(self._cut_until, events.clock.now() + secs)
        self.part()
        events.after(secs, f"{self.process.name} reaches ZooKeeper again", self.reconnect)

    def mend(self) -> None:
        """Nothing cuts it any more."""
        self._cut_until = self.answers_lost_until = 0.0
        self.reconnect()

    def expire(self) -> None:
        """The server ends the session."""
        self.sure_since = self._now
        self._tree.expire(self.storage)

    def part(self) -> None:
        """The connection breaks, if anything keeps the two apart: also that the process is dead or paused."""
        if self._lost_since is None and self._is_apart():
            self._lost_since = self._now
            self._losses += 1
            losses = self._losses
            self._tree.suspend(self.storage)
            self._time_out_later(losses)

    def reconnect(self) -> None:
        """Unless anything keeps the two apart."""
        if self._lost_since is not None and not self._is_apart():
            self._lost_since = None
            self.sure_since = self._now
            self._tree.resume(self.storage)

    def lost_for_secs(self) -> float:
        """For how long there has been no connection."""
        return 0.0 if self._lost_since is None else self._now - self._lost_since

    def refused_for_secs(self) -> float:
        """For how long ZooKeeper has given no permission for anything."""
        since = self._zookeeper.refused_hosts.get(self._host)
        return 0.0 if since is None else self._now - since

    def _is_apart(self) -> bool:
        zookeeper, process = self._zookeeper, self.process
        is_away = process.paused or not process.alive
        return is_away or zookeeper.is_down or self._host in zookeeper.far_hosts or self._cut_until > self._now

    def _time_out_later(self, losses: int) -> None:
        self.process.events.after(
            SESSION_TIMEOUT_SECS, f"session of {self.process.name} times out", lambda: self._time_out(losses)
        )

    def _time_out(self, losses: int) -> None:
        if losses != self._losses or self._lost_since is None:
            return
        if self._zookeeper.is_down:
            self._time_out_later(losses)  # nobody is there to count the time
        else:
            self._tree.expire(self.storage)

    @property
    def _now(self) -> float:
        return self.process.events.clock.now()

    # StateStorage

    def create(self, path: str, data: bytes, *, ephemeral: bool = False, sequential: bool = False) -> str:
        return self._do("create", self.storage.create, path, data, ephemeral=ephemeral, sequential=sequential)

    def put(self, path: str, data: bytes) -> None:
        self._do("put", self.storage.put, path, data)

    def set(self, path: str, data: bytes, version: int) -> int:
        return self._do("set", self.storage.set, path, data, version)

    def get(self, path: str, watch: Watch | None = None) -> Versioned | None:
        return self._do("get", self.storage.get, path, self._late(watch))

    def children(self, path: str, watch: Watch | None = None) -> list[str]:
        return self._do("children", self.storage.children, path, self._late(watch))

    def delete(self, path: str, *, recursive: bool = False) -> None:
        self._do("delete", self.storage.delete, path, recursive=recursive)

    def put_ephemeral(self, path: str, data: bytes) -> None:
        self._do("put_ephemeral", self.storage.put_ephemeral, path, data)

    def fenced(self, fence: str) -> Session:
        fenced = Session(self._zookeeper, self.process, self._host, self.storage, fence)
        fenced.answers_lost_until = self.answers_lost_until
        return fenced

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

    def _do(self, method: str, operation: Callable[..., Any], path: str, *more: Any, **named: Any) -> Any:
        weather, process = self._zookeeper.weather, self.process
        process.require_alive()
        is_read = method in ("get", "children")
        weather.before_operation(process, f"{method} {path}", is_read=is_read)
        if weather.is_stormy and (slow_secs := weather.slow_secs()):
            process.wait_here(slow_secs)
        if self._zookeeper.is_down or weather.strikes("operation refused"):
            raise CoordinationError(f"{method} of {path} failed: it was not carried out.")
        if self._host in self._zookeeper.refused_hosts:
            raise NoPermissionError(f"{process.name} has no permission to {method} {path}.")
        answer = operation(path, *more, **named)
        if not is_read:
            process.events.note(f"{process.name}: {method} {HASH.sub('a hash', path)}")
            self._zookeeper.on_change(process, method, path)
            weather.before_operation(process, f"the answer to {method} {path}")
            if weather.strikes("answer lost") or self.answers_lost_until > self._now:
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


def _nothing(process: Process, method: str, path: str) -> None:
    pass
