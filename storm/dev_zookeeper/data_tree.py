"""The tree of nodes: what each change does to it. Pure; zxids and times come with the transaction.

Nodes are values. `replacements` says which nodes a change replaces; a `Draft` lays replacements over the
tree, so that a multi sees what its earlier operations did, and forgetting the draft undoes them all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from storm.dev_zookeeper.protocol import OPEN_ACL, ErrorCode, RequestRefusedError, Stat
from storm.dev_zookeeper.transactions import CreateNode, DeleteNode, SetAcl, SetData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from storm.dev_zookeeper.protocol import Acl
    from storm.dev_zookeeper.transactions import NodeChange

K = TypeVar("K", int, str)

RESERVED_PATHS = ("/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota")

# Characters that no path may hold: controls, surrogates and private use, specials.
FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff]")


class Node(NamedTuple):
    """`children_created` counts the children that ever were: it names sequential ones."""

    data: bytes | None
    acl: Acl
    ephemeral_owner: int
    czxid: int
    mzxid: int
    pzxid: int
    ctime: int
    mtime: int
    version: int
    children_created: int
    aversion: int
    child_count: int


def stat_of(node: Node) -> Stat:
    return Stat(
        czxid=node.czxid,
        mzxid=node.mzxid,
        ctime=node.ctime,
        mtime=node.mtime,
        version=node.version,
        # Clients see creations and deletions of children counted together.
        cversion=wrapped(node.children_created * 2 - node.child_count),
        aversion=node.aversion,
        ephemeral_owner=node.ephemeral_owner,
        data_length=len(node.data or b""),
        num_children=node.child_count,
        pzxid=node.pzxid,
    )


class Nodes(Protocol):
    """Something that knows nodes by path: the tree, or a draft of it."""

    def get(self, path: str) -> Node | None: ...


class DataTree:
    """All nodes, the names of each one's children, and the ephemeral paths of each session."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._child_names: dict[str, set[str]] = {}
        self._ephemeral_paths: dict[int, set[str]] = {}
        self.data_size_bytes = 0
        for path in RESERVED_PATHS:
            self._nodes[path] = _new_node(CreateNode(path, b"", OPEN_ACL, 0), 0, 0)
        for path, names in (("/", {"zookeeper"}), ("/zookeeper", {"config", "quota"})):
            self._nodes[path] = self._nodes[path]._replace(child_count=len(names))
            self._child_names[path] = names

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, path: str) -> Node | None:
        return self._nodes.get(path)

    def child_names(self, path: str) -> Iterable[str]:
        return self._child_names.get(path, ())

    def ephemeral_paths(self, session_id: int) -> tuple[str, ...]:
        return tuple(sorted(self._ephemeral_paths.get(session_id, ())))

    def ephemerals(self) -> Mapping[int, set[str]]:
        return self._ephemeral_paths

    def items(self) -> Iterator[tuple[str, Node]]:
        """Every path and its node; a parent stands before its children."""
        return iter(self._nodes.items())

    def put(self, path: str, node: Node | None) -> None:
        """Let `path` hold `node`; None removes it. The parent's own node is put by itself."""
        old = self._nodes.get(path)
        self.data_size_bytes += _data_size_bytes(node) - _data_size_bytes(old)
        if node is not None:
            self._nodes[path] = node
            if old is None:
                self._link(path, node)
        elif old is not None:
            del self._nodes[path]
            self._unlink(path, old)

    def _link(self, path: str, node: Node) -> None:
        if path != "/":
            self._child_names.setdefault(parent_path(path), set()).add(name_of(path))
        if node.ephemeral_owner:
            self._ephemeral_paths.setdefault(node.ephemeral_owner, set()).add(path)

    def _unlink(self, path: str, node: Node) -> None:
        _discard(self._child_names, parent_path(path), name_of(path))
        if node.ephemeral_owner:
            _discard(self._ephemeral_paths, node.ephemeral_owner, path)


class Growth(NamedTuple):
    """What a tree has more afterwards, or less where it is negative."""

    nodes: int = 0
    data_size_bytes: int = 0


class Draft:
    """The tree as it will be: replacements over a tree that stays as it is."""

    def __init__(self, tree: Nodes) -> None:
        self._tree = tree
        self._replaced: dict[str, Node | None] = {}

    def get(self, path: str) -> Node | None:
        return self._replaced[path] if path in self._replaced else self._tree.get(path)

    def growth(self) -> Growth:
        nodes = data_size_bytes = 0
        for path, node in self._replaced.items():
            old = self._tree.get(path)
            nodes += (node is not None) - (old is not None)
            data_size_bytes += _data_size_bytes(node) - _data_size_bytes(old)
        return Growth(nodes, data_size_bytes)

    def apply(self, change: NodeChange, zxid: int, time_ms: int) -> None:
        self._replaced.update(replacements(self, change, zxid, time_ms))


def apply_change(tree: DataTree, change: NodeChange, zxid: int, time_ms: int) -> None:
    for path, node in replacements(tree, change, zxid, time_ms):
        tree.put(path, node)


def replacements(nodes: Nodes, change: NodeChange, zxid: int, time_ms: int) -> tuple[tuple[str, Node | None], ...]:
    """The paths that `change`, which was checked before, touches and the nodes that they will hold."""
    if isinstance(change, SetData):
        node = existing(nodes, change.path)
        version = wrapped(node.version + 1)
        return ((change.path, node._replace(data=change.data, version=version, mzxid=zxid, mtime=time_ms)),)
    if isinstance(change, SetAcl):
        node = existing(nodes, change.path)
        return ((change.path, node._replace(acl=change.acl, aversion=wrapped(node.aversion + 1))),)
    above = parent_path(change.path)
    parent = existing(nodes, above)
    if isinstance(change, DeleteNode):
        return (change.path, None), (above, parent._replace(child_count=parent.child_count - 1, pzxid=zxid))
    parent = parent._replace(
        child_count=parent.child_count + 1,
        children_created=wrapped(parent.children_created + 1),
        pzxid=zxid,
    )
    return (change.path, _new_node(change, zxid, time_ms)), (above, parent)


def existing(nodes: Nodes, path: str) -> Node:
    """The node at `path`. Raises `RequestRefusedError` (NO_NODE)."""
    node = nodes.get(path)
    if node is None:
        raise RequestRefusedError(ErrorCode.NO_NODE)
    return node


def check_path(path: str) -> None:
    """Raises `RequestRefusedError` (BAD_ARGUMENTS) for a path that no node can have."""
    closed = path + "/"
    if path != "/" and (
        not path.startswith("/")
        or "//" in closed
        or "/./" in closed
        or "/../" in closed
        or FORBIDDEN.search(path) is not None
    ):
        raise RequestRefusedError(ErrorCode.BAD_ARGUMENTS)


def parent_path(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def name_of(path: str) -> str:
    return path.rpartition("/")[2]


def wrapped(number: int) -> int:
    """`number` as the 32-bit signed integer that travels."""
    return (number + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000


def _new_node(change: CreateNode, zxid: int, time_ms: int) -> Node:
    return Node(
        data=change.data,
        acl=change.acl,
        ephemeral_owner=change.ephemeral_owner,
        czxid=zxid,
        mzxid=zxid,
        pzxid=zxid,
        ctime=time_ms,
        mtime=time_ms,
        version=0,
        children_created=0,
        aversion=0,
        child_count=0,
    )


def _data_size_bytes(node: Node | None) -> int:
    return 0 if node is None or node.data is None else len(node.data)


def _discard(index: dict[K, set[str]], key: K, value: str) -> None:
    index[key].discard(value)
    if not index[key]:
        del index[key]
