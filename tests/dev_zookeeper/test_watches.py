from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm.dev_zookeeper.protocol import OPEN_ACL, EventType
from storm.dev_zookeeper.transactions import CreateNode, DeleteNode, SetAcl, SetData
from storm.dev_zookeeper.watches import Notification, WatchTable

CREATE = CreateNode("/a/b", b"", OPEN_ACL, 0)
DELETE = DeleteNode("/a/b")


def test_a_watch_fires_once() -> None:
    watches = WatchTable()
    watches.add("data", "/a/b", 1)
    watches.add("data", "/a/b", 1)

    assert list(watches.fire(SetData("/a/b", b""))) == [Notification(1, EventType.DATA_CHANGED, "/a/b")]
    assert list(watches.fire(SetData("/a/b", b""))) == []
    assert len(watches) == 0


def test_a_creation_tells_who_waits_for_the_node_and_then_who_watches_the_parent() -> None:
    watches = WatchTable()
    watches.add("child", "/a", 2)
    watches.add("data", "/a/b", 1)
    watches.add("data", "/a", 3)

    assert list(watches.fire(CREATE)) == [
        Notification(1, EventType.CREATED, "/a/b"),
        Notification(2, EventType.CHILDREN_CHANGED, "/a"),
    ]


def test_a_deletion_is_told_once_though_both_kinds_watched() -> None:
    watches = WatchTable()
    watches.add("child", "/a/b", 1)
    watches.add("data", "/a/b", 1)
    watches.add("child", "/a/b", 2)
    watches.add("child", "/a", 1)

    assert list(watches.fire(DELETE)) == [
        Notification(1, EventType.DELETED, "/a/b"),
        Notification(2, EventType.DELETED, "/a/b"),
        Notification(1, EventType.CHILDREN_CHANGED, "/a"),
    ]
    assert watches.path_count() == 0


def test_an_acl_is_not_watched() -> None:
    watches = WatchTable()
    watches.add("data", "/a/b", 1)

    assert list(watches.fire(SetAcl("/a/b", OPEN_ACL))) == []


WATCHES = st.tuples(st.sampled_from(["data", "child"]), st.sampled_from(["/a", "/a/b"]), st.integers(1, 3))


@given(st.lists(WATCHES))
def test_nothing_is_left_of_a_connection_that_is_gone(added: list[tuple[str, str, int]]) -> None:
    watches = WatchTable()
    for kind, path, connection_id in added:
        watches.add(kind, path, connection_id)  # type: ignore[arg-type]

    watches.remove_connection(1)

    others = {watch for watch in added if watch[2] != 1}
    assert watches.count_of(1) == 0
    assert len(watches) == len(others)
    assert watches.connection_count() == len({watch[2] for watch in others})
    assert watches.path_count() == len({watch[1] for watch in others})
    assert all(notification.connection_id != 1 for notification in watches.fire(DELETE))
