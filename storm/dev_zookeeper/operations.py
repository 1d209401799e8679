"""What each request does: reads give a reply's body, writes are planned as changes. Pure.

The order of the checks is Apache ZooKeeper's, so that a request that is wrong in two ways gets the same
error from both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from storm.dev_zookeeper.access_control import check_permission, readable_acl, resolve_acl
from storm.dev_zookeeper.data_tree import (
    RESERVED_PATHS,
    Draft,
    Growth,
    check_path,
    existing,
    parent_path,
    stat_of,
)
from storm.dev_zookeeper.jute import JuteWriter
from storm.dev_zookeeper.protocol import (
    ANY_VERSION,
    EPHEMERAL_FLAG,
    SEQUENCE_FLAG,
    CheckRequest,
    CreateRequest,
    DeleteRequest,
    ErrorCode,
    MultiRequest,
    Operation,
    Permission,
    RequestRefusedError,
    SetAclRequest,
    SetDataRequest,
    write_acl,
    write_stat,
)
from storm.dev_zookeeper.transactions import CreateNode, DeleteNode, SetAcl, SetData

if TYPE_CHECKING:
    from storm.dev_zookeeper.access_control import Identities
    from storm.dev_zookeeper.data_tree import DataTree
    from storm.dev_zookeeper.protocol import ReadRequest, WriteRequest
    from storm.dev_zookeeper.transactions import NodeChange

CONTAINER_AND_TTL_FLAGS = (4, 5, 6)


class Caller(NamedTuple):
    session_id: int
    identities: Identities


class Planned(NamedTuple):
    """A write that may be done: its changes (none if it only checks), the reply's body, what the tree grows by."""

    changes: tuple[NodeChange, ...]
    body: bytes
    growth: Growth


def read(request: ReadRequest, tree: DataTree, caller: Caller) -> bytes:
    """The reply's body. Raises `RequestRefusedError`."""
    node = existing(tree, request.path)
    writer = JuteWriter()
    match request.operation:
        case Operation.EXISTS:
            write_stat(writer, stat_of(node))
        case Operation.GET_ACL:
            write_acl(writer, readable_acl(node.acl, caller.identities))
            write_stat(writer, stat_of(node))
        case Operation.GET_DATA:
            check_permission(node.acl, Permission.READ, caller.identities)
            write_stat(writer.write_buffer(node.data), stat_of(node))
        case _:
            check_permission(node.acl, Permission.READ, caller.identities)
            writer.write_strings(tree.child_names(request.path))
            if request.operation is Operation.GET_CHILDREN2:
                write_stat(writer, stat_of(node))
    return bytes(writer.packet)


def plan_write(request: WriteRequest, tree: DataTree, caller: Caller, zxid: int, time_ms: int) -> Planned:
    """What `request` does as the transaction `zxid` at `time_ms`. Raises `RequestRefusedError`.

    A multi that fails is not refused: it is planned as no changes and a body that says which operation
    failed.
    """
    plan = _Plan(tree, caller, zxid, time_ms)
    if isinstance(request, MultiRequest):
        return plan.multi(request)
    body = plan.one(request)
    return Planned(tuple(plan.changes), body, plan.draft.growth())


class _Plan:
    def __init__(self, tree: DataTree, caller: Caller, zxid: int, time_ms: int) -> None:
        self.draft = Draft(tree)
        self.changes: list[NodeChange] = []
        self._caller = caller
        self._zxid = zxid
        self._time_ms = time_ms

    def one(self, request: WriteRequest) -> bytes:
        match request:
            case CreateRequest():
                return self._create(request)
            case DeleteRequest():
                return self._delete(request)
            case SetDataRequest():
                return self._set_data(request)
            case SetAclRequest():
                return self._set_acl(request)
            case CheckRequest():
                return self._check(request)
        raise RequestRefusedError(ErrorCode.UNIMPLEMENTED)

    def multi(self, request: MultiRequest) -> Planned:
        bodies: list[tuple[Operation, bytes]] = []
        for index, part in enumerate(request.operations):
            try:
                bodies.append((_operation_of(part), self.one(part)))
            except RequestRefusedError as refusal:
                undone = [ErrorCode.OK] * index
                after = [ErrorCode.RUNTIME_INCONSISTENCY] * (len(request.operations) - index - 1)
                return Planned((), _failed_multi_body([*undone, refusal.code, *after]), Growth())
        return Planned(tuple(self.changes), _multi_body(bodies), self.draft.growth())

    def _create(self, request: CreateRequest) -> bytes:
        if request.flags in CONTAINER_AND_TTL_FLAGS:
            raise RequestRefusedError(ErrorCode.UNIMPLEMENTED)
        if request.flags not in range(4) or "/" not in request.path:
            raise RequestRefusedError(ErrorCode.BAD_ARGUMENTS)
        acl = resolve_acl(request.acl, self._caller.identities)
        parent = existing(self.draft, parent_path(request.path))
        check_permission(parent.acl, Permission.CREATE, self._caller.identities)
        path = request.path
        if request.flags & SEQUENCE_FLAG:
            path += f"{parent.children_created:010d}"
        check_path(path)
        if self.draft.get(path) is not None:
            raise RequestRefusedError(ErrorCode.NODE_EXISTS)
        if parent.ephemeral_owner:
            raise RequestRefusedError(ErrorCode.NO_CHILDREN_FOR_EPHEMERALS)
        owner = self._caller.session_id if request.flags & EPHEMERAL_FLAG else 0
        self._apply(CreateNode(path, request.data, acl, owner))
        writer = JuteWriter().write_string(path)
        if request.wants_stat:
            write_stat(writer, stat_of(existing(self.draft, path)))
        return bytes(writer.packet)

    def _delete(self, request: DeleteRequest) -> bytes:
        if request.path in RESERVED_PATHS or "/" not in request.path:
            raise RequestRefusedError(ErrorCode.BAD_ARGUMENTS)
        parent = existing(self.draft, parent_path(request.path))
        check_permission(parent.acl, Permission.DELETE, self._caller.identities)
        node = existing(self.draft, request.path)
        _check_version(request.version, node.version)
        if node.child_count:
            raise RequestRefusedError(ErrorCode.NOT_EMPTY)
        self._apply(DeleteNode(request.path))
        return b""

    def _set_data(self, request: SetDataRequest) -> bytes:
        check_path(request.path)
        node = existing(self.draft, request.path)
        check_permission(node.acl, Permission.WRITE, self._caller.identities)
        _check_version(request.version, node.version)
        self._apply(SetData(request.path, request.data))
        return self._stat_body(request.path)

    def _set_acl(self, request: SetAclRequest) -> bytes:
        check_path(request.path)
        acl = resolve_acl(request.acl, self._caller.identities)
        node = existing(self.draft, request.path)
        check_permission(node.acl, Permission.ADMIN, self._caller.identities)
        _check_version(request.version, node.aversion)
        self._apply(SetAcl(request.path, acl))
        return self._stat_body(request.path)

    def _check(self, request: CheckRequest) -> bytes:
        check_path(request.path)
        node = existing(self.draft, request.path)
        check_permission(node.acl, Permission.READ, self._caller.identities)
        _check_version(request.version, node.version)
        return b""

    def _apply(self, change: NodeChange) -> None:
        self.changes.append(change)
        self.draft.apply(change, self._zxid, self._time_ms)

    def _stat_body(self, path: str) -> bytes:
        writer = JuteWriter()
        write_stat(writer, stat_of(existing(self.draft, path)))
        return bytes(writer.packet)


def _check_version(wanted: int, actual: int) -> None:
    if wanted not in (ANY_VERSION, actual):
        raise RequestRefusedError(ErrorCode.BAD_VERSION)


def _operation_of(part: CreateRequest | DeleteRequest | SetDataRequest | CheckRequest) -> Operation:
    match part:
        case CreateRequest():
            return Operation.CREATE2 if part.wants_stat else Operation.CREATE
        case DeleteRequest():
            return Operation.DELETE
        case SetDataRequest():
            return Operation.SET_DATA
        case CheckRequest():
            return Operation.CHECK


def _multi_body(bodies: list[tuple[Operation, bytes]]) -> bytes:
    writer = JuteWriter()
    for operation, body in bodies:
        writer.write_int(operation).write_bool(False).write_int(ErrorCode.OK)
        writer.packet += body
    return bytes(writer.write_int(-1).write_bool(True).write_int(-1).packet)


def _failed_multi_body(codes: list[ErrorCode]) -> bytes:
    writer = JuteWriter()
    for code in codes:
        writer.write_int(-1).write_bool(False).write_int(code).write_int(code)
    return bytes(writer.write_int(-1).write_bool(True).write_int(-1).packet)
