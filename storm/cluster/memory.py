"""StateStorage in memory: one tree, and as many sessions over it as there are daemons.

It behaves as ZooKeeper does and passes the same contract tests. Faults are the caller's to choose: a session
can be cut off (`suspend`, `resume`) or expire, and `faults` can refuse an operation or lose its answer.
Watches and listeners are called in the thread that caused the change, after it, in the order of registration.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from storm.cluster import paths
from storm.cluster.storage import NODE_BYTES_MAX, ConnectionState, Versioned
from storm.errors import BadVersionError, CoordinationError, NodeExistsError, NoNodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storm.cluster.storage import Listener, Watch


class Fault(Enum):
    """What befalls an operation; its caller sees a CoordinationError either way."""

    REFUSED = "it was not carried out"
    ANSWER_LOST = "it was carried out and the answer was lost"


@dataclass(slots=True)
class _Node:
    data: bytes
    owner: int | None = None  # the session's number, of an ephemeral node
    version: int = 0
    next_sequence: int = 0
    children: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Session:
    number: int
    connected: bool = True
    expired: bool = False  # while it was cut off; it learns of it when it comes back
    closed: bool = False
    listeners: list[Listener] = field(default_factory=list)


@dataclass(slots=True)
class _Watching:
    """Who waits for what: {path: watches in order of registration, each once per session}."""

    data: dict[str, dict[tuple[_Session, Watch], None]] = field(default_factory=dict)
    children: dict[str, dict[tuple[_Session, Watch], None]] = field(default_factory=dict)

    def pop(self, waiting: dict[str, dict[tuple[_Session, Watch], None]], path: str) -> list[Watch]:
        """Those to call now. A session that is cut off hears nothing and keeps its watches."""
        here = waiting.pop(path, {})
        unheard = {key: None for key in here if not key[0].connected}
        if unheard:
            waiting[path] = unheard
        return [watch for session, watch in here if session.connected]

    def pop_session(self, session: _Session) -> list[Watch]:
        found: dict[Watch, None] = {}
        for waiting in (self.data, self.children):
            for path in list(waiting):
                for key in [key for key in waiting[path] if key[0] is session]:
                    del waiting[path][key]
                    found[key[1]] = None
                if not waiting[path]:
                    del waiting[path]
        return list(found)


class MemoryTree:
    """The nodes that all sessions share.

    `faults(storage, method, path)`, where set, is asked before each operation of a session and may answer a
    Fault for it.
    """

    def __init__(self) -> None:
        self.faults: Callable[[MemoryStorage, str, str], Fault | None] | None = None
        self._lock = threading.RLock()
        self._nodes: dict[str, _Node] = {"": _Node(b"")}
        self._watching = _Watching()
        self._due: list[Watch] = []
        self._sessions = 0

    def session(self) -> MemoryStorage:
        """A new session."""
        return MemoryStorage(self, _Session(self._next_number()))

    def suspend(self, storage: MemoryStorage) -> None:
        """Cut the session off: its operations fail, its ephemeral nodes stay."""
        storage._session.connected = False
        self._tell(storage._session, ConnectionState.SUSPENDED)

    def resume(self, storage: MemoryStorage) -> None:
        """Let the session talk again. It hears LOST first if it expired meanwhile; its watches fire."""
        session = storage._session
        with self._lock:
            if session.expired:
                session.number, session.expired = self._next_number(), False
                lost = True
            else:
                lost = False
            session.connected = True
            watches = self._watching.pop_session(session)
        if lost:
            self._tell(session, ConnectionState.LOST)
        self._tell(session, ConnectionState.CONNECTED)
        for watch in watches:
            watch()

    def expire(self, storage: MemoryStorage) -> None:
        """End the session as the server does: its ephemeral nodes go. If connected, it begins another."""
        session = storage._session
        with self._changing():
            self._remove_ephemerals(session.number)
            session.expired = True
        if session.connected:
            self.resume(storage)

    def _next_number(self) -> int:
        with self._lock:
            self._sessions += 1
            return self._sessions

    @staticmethod
    def _tell(session: _Session, state: ConnectionState) -> None:
        for listener in list(session.listeners):
            listener(state)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One operation: it owns the tree, and the watches it sets off are called when it no longer does."""
        self._lock.acquire()
        try:
            yield
        finally:
            due, self._due = self._due, []
            self._lock.release()
            for watch in due:
                watch()

    def _node(self, path: str) -> _Node:
        node = self._nodes.get(path)
        if node is None:
            raise NoNodeError(f"There is no node {path}.")
        return node

    def _add(self, path: str, node: _Node) -> None:
        above = paths.parent(path)
        if above not in self._nodes:
            self._add(above, _Node(b""))
        parent = self._nodes[above]
        if parent.owner is not None:
            raise CoordinationError(f"{above} is ephemeral and cannot have children.")
        parent.children.add(path.rpartition("/")[2])
        parent.next_sequence += 1
        self._nodes[path] = node
        self._due += self._watching.pop(self._watching.data, path)
        self._due += self._watching.pop(self._watching.children, path)
        self._due += self._watching.pop(self._watching.children, above)

    def _replace(self, path: str, data: bytes) -> int:
        node = self._nodes[path]
        node.data = data
        node.version += 1
        self._due += self._watching.pop(self._watching.data, path)
        return node.version

    def _remove(self, path: str) -> None:
        above = paths.parent(path)
        del self._nodes[path]
        self._nodes[above].children.discard(path.rpartition("/")[2])
        self._due += self._watching.pop(self._watching.data, path)
        self._due += self._watching.pop(self._watching.children, path)
        self._due += self._watching.pop(self._watching.children, above)

    def _remove_tree(self, path: str) -> None:
        for child in sorted(self._nodes[path].children):
            self._remove_tree(f"{path}/{child}")
        self._remove(path)

    def _remove_ephemerals(self, number: int) -> None:
        for path in sorted(path for path, node in self._nodes.items() if node.owner == number):
            self._remove(path)


class MemoryStorage:
    """One session over a `MemoryTree`; see StateStorage."""

    def __init__(self, tree: MemoryTree, session: _Session, fence: str | None = None) -> None:
        self._tree = tree
        self._session = session
        self._fence = fence

    def create(self, path: str, data: bytes, *, ephemeral: bool = False, sequential: bool = False) -> str:
        with self._writing("create", path, data) as tree:
            if sequential:
                above = tree._nodes.get(paths.parent(path))
                path = f"{path}{above.next_sequence if above else 0:010d}"
            if path in tree._nodes:
                raise NodeExistsError(f"{path} exists already.")
            tree._add(path, _Node(data, self._session.number if ephemeral else None))
            return path

    def put(self, path: str, data: bytes) -> None:
        with self._writing("put", path, data) as tree:
            if path in tree._nodes:
                tree._replace(path, data)
            else:
                tree._add(path, _Node(data))

    def set(self, path: str, data: bytes, version: int) -> int:
        with self._writing("set", path, data) as tree:
            found = tree._node(path).version
            if found != version:
                raise BadVersionError(f"{path} has version {found}, not {version}: somebody else changed it.")
            return tree._replace(path, data)

    def get(self, path: str, watch: Watch | None = None) -> Versioned | None:
        tree, fault = self._tree, self._admitted("get", path)
        with tree._lock:
            if watch is not None:
                tree._watching.data.setdefault(path, {})[self._session, watch] = None
            node = tree._nodes.get(path)
            found = None if node is None else Versioned(node.data, node.version)
        _lose_answer(fault, "get", path)
        return found

    def children(self, path: str, watch: Watch | None = None) -> list[str]:
        tree, fault = self._tree, self._admitted("children", path)
        with tree._lock:
            if watch is not None:
                tree._watching.children.setdefault(path, {})[self._session, watch] = None
            node = tree._nodes.get(path)
            found = [] if node is None else sorted(node.children)
        _lose_answer(fault, "children", path)
        return found

    def delete(self, path: str, *, recursive: bool = False) -> None:
        with self._writing("delete", path) as tree:
            if path not in tree._nodes:
                return
            if recursive:
                tree._remove_tree(path)
            elif tree._nodes[path].children:
                raise CoordinationError(f"{path} has children and was to be deleted alone.")
            else:
                tree._remove(path)

    def put_ephemeral(self, path: str, data: bytes) -> None:
        with self._writing("put_ephemeral", path, data) as tree:
            node = tree._nodes.get(path)
            if node is not None and node.owner == self._session.number:
                tree._replace(path, data)
                return
            if node is not None and node.children:
                raise CoordinationError(f"{path} has children and cannot become ephemeral.")
            if node is not None:
                tree._remove(path)
            tree._add(path, _Node(data, self._session.number))

    def fenced(self, fence: str) -> MemoryStorage:
        return MemoryStorage(self._tree, self._session, fence)

    def add_listener(self, listener: Listener) -> None:
        self._session.listeners.append(listener)

    def close(self) -> None:
        if self._session.closed:
            return
        with self._tree._changing():
            self._tree._remove_ephemerals(self._session.number)
            self._tree._watching.pop_session(self._session)
            self._session.closed, self._session.connected = True, False

    def _admitted(self, method: str, path: str) -> Fault | None:
        """What befalls the operation. Raises what its caller sees where it is not carried out."""
        paths.checked(path)
        if self._session.closed:
            raise CoordinationError("This session was closed.")
        if not self._session.connected:
            raise CoordinationError("This session is cut off from the storage for now.")
        fault = self._tree.faults(self, method, path) if self._tree.faults is not None else None
        if fault is Fault.REFUSED:
            raise CoordinationError(f"{method} of {path} failed: {fault.value}.")
        return fault

    @contextmanager
    def _writing(self, method: str, path: str, data: bytes = b"") -> Iterator[MemoryTree]:
        if len(data) > NODE_BYTES_MAX:
            raise CoordinationError(f"{path} would have {len(data):,} bytes; the most is {NODE_BYTES_MAX:,}.")
        tree, fault = self._tree, self._admitted(method, path)
        with tree._changing():
            if self._fence is not None and self._fence not in tree._nodes:
                raise BadVersionError(f"{path} was not written: {self._fence} is gone.")
            yield tree
        _lose_answer(fault, method, path)


def _lose_answer(fault: Fault | None, method: str, path: str) -> None:
    if fault is Fault.ANSWER_LOST:
        raise CoordinationError(f"{method} of {path} failed: {fault.value}.")
