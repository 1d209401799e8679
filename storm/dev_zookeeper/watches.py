"""Watches: who wants to hear once of a change to a path. Pure.

A watch belongs to a connection, fires once, and is gone with its connection. Two kinds: a data watch (set
by exists and getData) and a child watch (set by getChildren).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from storm.dev_zookeeper.data_tree import parent_path
from storm.dev_zookeeper.protocol import EventType
from storm.dev_zookeeper.transactions import CreateNode, DeleteNode, SetData

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storm.dev_zookeeper.transactions import Change

Kind = Literal["data", "child"]


class Notification(NamedTuple):
    connection_id: int
    event_type: EventType
    path: str


class WatchTable:
    def __init__(self) -> None:
        # A dict without values keeps the order in which watches were set.
        self._watchers: dict[tuple[Kind, str], dict[int, None]] = {}
        self._watched_by: dict[int, set[tuple[Kind, str]]] = {}

    def __len__(self) -> int:
        return sum(len(watched) for watched in self._watched_by.values())

    def path_count(self) -> int:
        return len({path for _, path in self._watchers})

    def connection_count(self) -> int:
        return len(self._watched_by)

    def count_of(self, connection_id: int) -> int:
        return len(self._watched_by.get(connection_id, ()))

    def add(self, kind: Kind, path: str, connection_id: int) -> None:
        self._watchers.setdefault((kind, path), {})[connection_id] = None
        self._watched_by.setdefault(connection_id, set()).add((kind, path))

    def remove_connection(self, connection_id: int) -> None:
        for key in self._watched_by.pop(connection_id, ()):
            watchers = self._watchers[key]
            del watchers[connection_id]
            if not watchers:
                del self._watchers[key]

    def fire(self, change: Change) -> Iterator[Notification]:
        """Whom `change` concerns, in the order in which they must be told; these watches are spent.

        A deletion reaches a connection once, though it may hold both kinds of watch on the node; then come
        the child watches of the parent.
        """
        match change:
            case CreateNode(path=path):
                yield from self._fire("data", path, EventType.CREATED)
                yield from self._fire("child", parent_path(path), EventType.CHILDREN_CHANGED)
            case DeleteNode(path=path):
                told = dict.fromkeys(self._take("data", path)) | dict.fromkeys(self._take("child", path))
                for connection_id in told:
                    yield Notification(connection_id, EventType.DELETED, path)
                yield from self._fire("child", parent_path(path), EventType.CHILDREN_CHANGED)
            case SetData(path=path):
                yield from self._fire("data", path, EventType.DATA_CHANGED)

    def _fire(self, kind: Kind, path: str, event_type: EventType) -> Iterator[Notification]:
        for connection_id in self._take(kind, path):
            yield Notification(connection_id, event_type, path)

    def _take(self, kind: Kind, path: str) -> list[int]:
        taken = list(self._watchers.pop((kind, path), ()))
        for connection_id in taken:
            watched = self._watched_by[connection_id]
            watched.discard((kind, path))
            if not watched:
                del self._watched_by[connection_id]
        return taken
