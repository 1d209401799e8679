from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.dev_zookeeper.data_tree import (
    RESERVED_PATHS,
    DataTree,
    Draft,
    apply_change,
    check_path,
    name_of,
    parent_path,
    stat_of,
    wrapped,
)
from storm.dev_zookeeper.protocol import OPEN_ACL, AclEntry, RequestRefusedError, Stat
from storm.dev_zookeeper.transactions import CreateNode, DeleteNode, NodeChange, SetAcl, SetData

PATHS = ["/a", "/b", "/a/x", "/a/y", "/a/x/1", "/a/x/2"]
CHANGES = st.one_of(
    st.builds(
        CreateNode, st.sampled_from(PATHS), st.none() | st.binary(max_size=3), st.just(OPEN_ACL), st.integers(0, 2)
    ),
    st.builds(DeleteNode, st.sampled_from(PATHS)),
    st.builds(SetData, st.sampled_from(PATHS), st.binary(max_size=3)),
    st.builds(SetAcl, st.sampled_from(PATHS), st.just((AclEntry(1, "world", "anyone"),))),
)


def possible(tree: DataTree, change: NodeChange) -> bool:
    """What is checked before a change is made."""
    node = tree.get(change.path)
    if isinstance(change, CreateNode):
        return node is None and tree.get(parent_path(change.path)) is not None
    if isinstance(change, DeleteNode):
        return node is not None and node.child_count == 0
    return node is not None


def grown(changes: list[NodeChange]) -> DataTree:
    tree = DataTree()
    for zxid, change in enumerate(changes, start=1):
        if possible(tree, change):
            apply_change(tree, change, zxid, zxid * 10)
    return tree


@given(st.lists(CHANGES, max_size=30))
def test_the_tree_agrees_with_a_dict_of_paths(changes: list[NodeChange]) -> None:
    tree = DataTree()
    model: dict[str, bytes | None] = dict.fromkeys(RESERVED_PATHS, b"")
    for zxid, change in enumerate(changes, start=1):
        if not possible(tree, change):
            continue
        apply_change(tree, change, zxid, zxid * 10)
        if isinstance(change, DeleteNode):
            del model[change.path]
        elif not isinstance(change, SetAcl):
            model[change.path] = change.data

    assert {path: node.data for path, node in tree.items()} == model
    assert tree.data_size_bytes == sum(len(data or b"") for data in model.values())
    for path, node in tree.items():
        children = {name_of(other) for other in model if other != "/" and parent_path(other) == path}
        assert set(tree.child_names(path)) == children
        assert node.child_count == len(children)
        assert node.mzxid >= node.czxid


@given(st.lists(CHANGES, max_size=30))
def test_ephemeral_paths_are_those_of_living_nodes(changes: list[NodeChange]) -> None:
    tree = grown(changes)

    owned = {(node.ephemeral_owner, path) for path, node in tree.items() if node.ephemeral_owner}
    assert {(owner, path) for owner, paths in tree.ephemerals().items() for path in paths} == owned
    assert all(tree.ephemerals().values())


@given(st.lists(CHANGES, max_size=20), CHANGES)
def test_a_draft_shows_a_change_and_leaves_the_tree_alone(changes: list[NodeChange], change: NodeChange) -> None:
    tree = grown(changes)
    if not possible(tree, change):
        return
    before = dict(tree.items())
    draft = Draft(tree)
    draft.apply(change, 99, 990)

    assert dict(tree.items()) == before

    apply_change(tree, change, 99, 990)
    assert {path: draft.get(path) for path in PATHS} == {path: tree.get(path) for path in PATHS}


@given(st.lists(CHANGES, max_size=20), st.lists(CHANGES, max_size=8))
def test_a_draft_tells_what_the_tree_grows_by(changes: list[NodeChange], drafted: list[NodeChange]) -> None:
    tree, after = grown(changes), grown(changes)
    draft = Draft(tree)
    for change in drafted:
        if possible(after, change):
            draft.apply(change, 99, 990)
            apply_change(after, change, 99, 990)

    assert draft.growth() == (len(after) - len(tree), after.data_size_bytes - tree.data_size_bytes)


def test_stats_count_as_clients_know_them() -> None:
    changes: list[NodeChange] = [
        CreateNode("/a", b"abc", OPEN_ACL, 0),
        CreateNode("/a/x", None, OPEN_ACL, 7),
        CreateNode("/a/y", b"", OPEN_ACL, 0),
        DeleteNode("/a/y"),
        SetData("/a", b"12345"),
        SetAcl("/a", OPEN_ACL),
    ]
    tree = grown(changes)
    node, child, root = tree.get("/a"), tree.get("/a/x"), tree.get("/")
    assert node is not None
    assert child is not None
    assert root is not None

    assert stat_of(node) == Stat(1, 5, 10, 50, 1, 3, 1, 0, 5, 1, 4)
    assert stat_of(child) == Stat(2, 2, 20, 20, 0, 0, 0, 7, 0, 0, 2)
    assert stat_of(root).cversion == 0  # /zookeeper was there from the start, and is not counted


@pytest.mark.parametrize("path", ["/", "/a", "/a/b-0000000001", "/zookeeper/quota", "/ü/...", "/a b"])
def test_paths_that_a_node_can_have(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize(
    "path", ["", "a", "//", "/a/", "/a//b", "/a/./b", "/..", "/a\0", "/\x1f", "/\x7f", "/\ue000", "/\uffff"]
)
def test_paths_that_no_node_can_have(path: str) -> None:
    with pytest.raises(RequestRefusedError, match="BAD_ARGUMENTS"):
        check_path(path)


@given(st.lists(st.sampled_from(["/", "/", ".", "..", "a", "\0", "b/"]), max_size=8).map("".join))
def test_a_path_is_absolute_and_of_named_nodes(path: str) -> None:
    first, *names = path.split("/")
    is_path = path == "/" or (first == "" and names != [] and not {"", ".", ".."} & set(names) and "\0" not in path)
    try:
        check_path(path)
    except RequestRefusedError:
        assert not is_path
    else:
        assert is_path


def test_counts_wrap_as_32_bit_numbers() -> None:
    assert [wrapped(number) for number in (0, 2**31 - 1, 2**31, -(2**31) - 1)] == [
        0, 2**31 - 1, -(2**31), 2**31 - 1,
    ]  # fmt: skip
