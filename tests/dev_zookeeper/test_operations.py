from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.dev_zookeeper.access_control import Identity, digest_identity
from storm.dev_zookeeper.data_tree import DataTree, apply_change
from storm.dev_zookeeper.jute import JuteReader
from storm.dev_zookeeper.operations import Caller, plan_write, read
from storm.dev_zookeeper.protocol import (
    OPEN_ACL,
    AclEntry,
    CheckRequest,
    CreateRequest,
    DeleteRequest,
    MultiRequest,
    Operation,
    Permission,
    ReadRequest,
    RequestRefusedError,
    SetAclRequest,
    SetDataRequest,
    WriteRequest,
)

CALLER = Caller(7, (Identity("ip", "127.0.0.1"),))
ALICE = digest_identity(b"alice:secret")
AS_ALICE = Caller(8, (Identity("ip", "127.0.0.1"), ALICE))


def create(path: str, flags: int = 0, acl: tuple[AclEntry, ...] = OPEN_ACL) -> CreateRequest:
    return CreateRequest(path, b"", acl, flags, wants_stat=False)


def do(tree: DataTree, request: WriteRequest, caller: Caller = CALLER) -> bytes:
    planned = plan_write(request, tree, caller, 5, 50)
    for change in planned.changes:
        apply_change(tree, change, 5, 50)
    return planned.body


def refusal(tree: DataTree, request: WriteRequest | ReadRequest, caller: Caller = CALLER) -> str:
    with pytest.raises(RequestRefusedError) as caught:
        read(request, tree, caller) if isinstance(request, ReadRequest) else do(tree, request, caller)
    return caught.value.code.name


@pytest.fixture
def tree() -> DataTree:
    grown = DataTree()
    for request in (create("/a"), create("/a/b"), create("/e", flags=1)):
        do(grown, request)
    return grown


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (create("/a"), "NODE_EXISTS"),
        (create("/"), "NODE_EXISTS"),
        (create("/x/y"), "NO_NODE"),
        (create("x"), "BAD_ARGUMENTS"),
        (create("/a//b"), "NO_NODE"),
        (create("/a/.."), "BAD_ARGUMENTS"),
        (create("/e/child"), "NO_CHILDREN_FOR_EPHEMERALS"),
        (create("/n", flags=4), "UNIMPLEMENTED"),
        (create("/n", flags=9), "BAD_ARGUMENTS"),
        (create("/n", acl=()), "INVALID_ACL"),
        (DeleteRequest("/", -1), "BAD_ARGUMENTS"),
        (DeleteRequest("/zookeeper/quota", -1), "BAD_ARGUMENTS"),
        (DeleteRequest("/x", -1), "NO_NODE"),
        (DeleteRequest("/a", -1), "NOT_EMPTY"),
        (DeleteRequest("/a", 3), "BAD_VERSION"),
        (SetDataRequest("/x", b"", -1), "NO_NODE"),
        (SetDataRequest("/a", b"", 1), "BAD_VERSION"),
        (SetDataRequest("a", b"", 1), "BAD_ARGUMENTS"),
        (SetAclRequest("/a", OPEN_ACL, 1), "BAD_VERSION"),
        (CheckRequest("/a", 1), "BAD_VERSION"),
        (ReadRequest(Operation.GET_DATA, "/x", watch=False), "NO_NODE"),
    ],
)
def test_refusals(tree: DataTree, request_: WriteRequest | ReadRequest, code: str) -> None:
    assert refusal(tree, request_) == code


def test_sequential_names_count_the_children_ever_created(tree: DataTree) -> None:
    do(tree, DeleteRequest("/a/b", -1))

    assert JuteReader(do(tree, create("/a/n-", flags=2))).read_string() == "/a/n-0000000001"
    assert JuteReader(do(tree, create("/a/", flags=3))).read_string() == "/a/0000000002"
    assert tree.ephemeral_paths(7) == ("/a/0000000002", "/e")


def test_a_multi_sees_what_it_did_before(tree: DataTree) -> None:
    do(
        tree,
        MultiRequest((
            create("/m"), create("/m/x"), SetDataRequest("/m/x", b"1", 0), CheckRequest("/m/x", 1),
            DeleteRequest("/a/b", -1), DeleteRequest("/a", -1),
        )),
    )  # fmt: skip

    node = tree.get("/m/x")
    assert node is not None
    assert (node.data, node.version) == (b"1", 1)
    assert tree.get("/a") is None


PARTS = st.one_of(
    st.builds(create, st.sampled_from(["/a", "/a/b", "/c", "/c/d", "/e/f"]), st.sampled_from([0, 1, 2, 4])),
    st.builds(DeleteRequest, st.sampled_from(["/a", "/a/b", "/c", "/"]), st.sampled_from([-1, 0])),
    st.builds(SetDataRequest, st.sampled_from(["/a", "/c"]), st.just(b"x"), st.sampled_from([-1, 0, 1])),
    st.builds(CheckRequest, st.sampled_from(["/a", "/c"]), st.sampled_from([-1, 0])),
)


@given(st.lists(PARTS, max_size=6))
def test_a_multi_does_what_its_operations_do_one_by_one_or_nothing(
    parts: list[CreateRequest | DeleteRequest | SetDataRequest | CheckRequest],
) -> None:
    together, one_by_one = DataTree(), DataTree()
    for setup in (create("/a"), create("/a/b"), create("/e", flags=1)):
        do(together, setup)
        do(one_by_one, setup)
    untouched = dict(together.items())
    failed: str | None = None
    codes = []
    for part in parts:
        try:
            do(one_by_one, part)
            codes.append(0)
        except RequestRefusedError as error:
            failed = error.code.name
            codes += [int(error.code), *[-2] * (len(parts) - len(codes) - 1)]
            break

    reader = JuteReader(do(together, MultiRequest(tuple(parts))))

    if failed is None:
        assert dict(together.items()) == dict(one_by_one.items())
    else:
        assert dict(together.items()) == untouched
        for code in codes:
            assert (reader.read_int(), reader.read_bool()) == (-1, False)
            assert (reader.read_int(), reader.read_int()) == (code, code)
        assert (reader.read_int(), reader.read_bool(), reader.read_int()) == (-1, True, -1)


def test_who_may_do_what(tree: DataTree) -> None:
    own = (AclEntry(31, "digest", ALICE.id),)
    do(tree, create("/own", acl=own), AS_ALICE)
    do(tree, create("/own/x"), AS_ALICE)

    denied = [
        create("/own/y"),
        DeleteRequest("/own/x", -1),
        SetDataRequest("/own", b"", -1),
        SetAclRequest("/own", OPEN_ACL, -1),
        CheckRequest("/own", -1),
        ReadRequest(Operation.GET_DATA, "/own", watch=False),
        ReadRequest(Operation.GET_CHILDREN, "/own", watch=False),
        ReadRequest(Operation.GET_ACL, "/own", watch=False),
    ]
    assert [refusal(tree, request) for request in denied] == ["NO_AUTH"] * len(denied)
    assert read(ReadRequest(Operation.EXISTS, "/own", watch=False), tree, CALLER)

    do(tree, SetAclRequest("/own", (AclEntry(Permission.READ, "world", "anyone"),), 0), AS_ALICE)
    assert read(ReadRequest(Operation.GET_DATA, "/own", watch=False), tree, CALLER)
