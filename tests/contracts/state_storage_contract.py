"""What every implementation of `storm.cluster.storage.StateStorage` must do; subclasses say which one.

The sessions that `connect` makes share their nodes. Watches and listeners may be called from any thread and a
little later, so that tests wait for them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from storm.cluster.storage import NODE_BYTES_MAX, ConnectionState, Versioned
from storm.errors import BadVersionError, CoordinationError, NodeExistsError, NoNodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storm.cluster.storage import StateStorage

    Connect = Callable[[], StateStorage]

WAIT_SECS = 20.0


class Waker:
    """A watch that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self._called = threading.Condition()

    def __call__(self) -> None:
        with self._called:
            self.calls += 1
            self._called.notify_all()

    def wait(self, calls: int = 1) -> None:
        with self._called:
            assert self._called.wait_for(lambda: self.calls >= calls, WAIT_SECS), f"{self.calls} calls"


class States:
    """A listener that keeps what it was told."""

    def __init__(self) -> None:
        self.seen: list[ConnectionState] = []
        self._told = threading.Condition()

    def __call__(self, state: ConnectionState) -> None:
        with self._told:
            self.seen.append(state)
            self._told.notify_all()

    def wait(self, *states: ConnectionState) -> None:
        """Until the last that it was told are `states`."""
        with self._told:
            came = self._told.wait_for(lambda: self.seen[-len(states) :] == list(states), WAIT_SECS)
            assert came, self.seen


class StateStorageContract:
    @pytest.fixture
    def connect(self) -> Iterator[Connect]:
        """Makes sessions over the same, at first empty, nodes; closes them."""
        raise NotImplementedError

    @pytest.fixture
    def expire(self) -> Callable[[StateStorage], None]:
        """Ends a session as the server does, without its knowledge."""
        raise NotImplementedError

    @pytest.fixture
    def storage(self, connect: Connect) -> StateStorage:
        return connect()

    # Nodes

    def test_what_is_created_is_read(self, storage: StateStorage) -> None:
        assert storage.create("/a", b"data") == "/a"
        assert storage.get("/a") == Versioned(b"data", 0)
        assert storage.children("/a") == []

    def test_a_created_node_has_parents(self, storage: StateStorage) -> None:
        storage.create("/a/b/c", b"deep")
        assert storage.get("/a/b") == Versioned(b"", 0)
        assert storage.children("/a") == ["b"]

    def test_what_exists_is_not_created_again(self, storage: StateStorage) -> None:
        storage.create("/a", b"first")
        with pytest.raises(NodeExistsError, match="/a"):
            storage.create("/a", b"second")
        assert storage.get("/a") == Versioned(b"first", 0)

    def test_what_is_missing_is_none_and_has_no_children(self, storage: StateStorage) -> None:
        assert storage.get("/a/b") is None
        assert storage.children("/a/b") == []

    def test_children_are_sorted_names(self, storage: StateStorage) -> None:
        for name in ("b", "a", "c%2F", "größe"):
            storage.create(f"/top/{name}", b"")
        assert storage.children("/top") == ["a", "b", "c%2F", "größe"]

    def test_put_creates_and_replaces(self, storage: StateStorage) -> None:
        storage.put("/top/a", b"1")
        storage.put("/top/a", b"2")
        assert storage.get("/top/a") == Versioned(b"2", 1)

    def test_set_wants_the_version_that_is_there(self, storage: StateStorage) -> None:
        storage.create("/a", b"0")
        assert storage.set("/a", b"1", 0) == 1
        with pytest.raises(BadVersionError, match="/a"):
            storage.set("/a", b"stale", 0)
        with pytest.raises(NoNodeError, match="/none"):
            storage.set("/none", b"", 0)
        assert storage.get("/a") == Versioned(b"1", 1)

    def test_delete_is_content_when_there_is_nothing(self, storage: StateStorage) -> None:
        storage.create("/a/b", b"")
        storage.delete("/a/b")
        storage.delete("/a/b")
        storage.delete("/none", recursive=True)
        assert storage.children("/a") == []

    def test_delete_takes_children_only_if_told_to(self, storage: StateStorage) -> None:
        storage.create("/a/b/c", b"")
        storage.create("/a/d", b"")
        with pytest.raises(CoordinationError, match="children"):
            storage.delete("/a")
        assert storage.get("/a/b/c") is not None
        storage.delete("/a", recursive=True)
        assert storage.get("/a") is None

    def test_sequential_nodes_have_growing_numbers(self, storage: StateStorage) -> None:
        made = [storage.create("/q/e", b"", sequential=True) for _ in range(12)]
        assert made == sorted(made)
        assert all(len(path) == len("/q/e") + 10 and path[-10:].isdecimal() for path in made)
        storage.delete(made[-1])
        assert storage.create("/q/e", b"", sequential=True) > made[-1]
        assert storage.children("/q")[0] == made[0].removeprefix("/q/")

    def test_bytes_are_kept_as_they_are(self, storage: StateStorage) -> None:
        data = bytes(range(256)) * (NODE_BYTES_MAX // 256)
        storage.create("/a", data)
        assert storage.get("/a") == Versioned(data, 0)

    def test_too_many_bytes_are_refused_before_they_are_sent(self, storage: StateStorage) -> None:
        too_large = bytes(NODE_BYTES_MAX + 1)
        with pytest.raises(CoordinationError, match="/a"):
            storage.create("/a", too_large)
        with pytest.raises(CoordinationError, match="/a"):
            storage.put("/a", too_large)
        assert storage.get("/a") is None

    @pytest.mark.parametrize("path", ["", "/", "a", "/a/", "//a", "/a/../b", "/a/.", "/a\x00", "/a\n"])
    def test_a_malformed_path_is_refused(self, storage: StateStorage, path: str) -> None:
        with pytest.raises(ValueError, match="path"):
            storage.get(path)
        with pytest.raises(ValueError, match="path"):
            storage.create(path, b"")

    # Sessions

    def test_sessions_see_the_same_nodes(self, connect: Connect) -> None:
        one, other = connect(), connect()
        one.create("/a", b"1")
        other.set("/a", b"2", 0)
        assert one.get("/a") == Versioned(b"2", 1)

    def test_ephemeral_nodes_go_with_their_session(self, connect: Connect) -> None:
        one, other = connect(), connect()
        one.create("/top/mine", b"", ephemeral=True)
        one.put_ephemeral("/top/also", b"")
        one.create("/top/stays", b"")
        path = one.create("/top/n-", b"", ephemeral=True, sequential=True)
        assert path.removeprefix("/top/") in other.children("/top")
        one.close()
        assert other.children("/top") == ["stays"]

    def test_put_ephemeral_replaces_its_bytes(self, storage: StateStorage) -> None:
        storage.put_ephemeral("/top/a", b"1")
        storage.put_ephemeral("/top/a", b"2")
        assert storage.get("/top/a") == Versioned(b"2", 1)

    def test_put_ephemeral_takes_over_what_another_session_left(self, connect: Connect) -> None:
        old, new = connect(), connect()
        old.put_ephemeral("/top/a", b"old")
        new.put_ephemeral("/top/a", b"new")
        old.close()
        assert new.get("/top/a") == Versioned(b"new", 0)

    def test_put_ephemeral_takes_over_a_node_that_lasts(self, connect: Connect) -> None:
        one, other = connect(), connect()
        one.create("/top/a", b"lasts")
        one.put_ephemeral("/top/a", b"ephemeral")
        one.close()
        assert other.get("/top/a") is None

    def test_an_ephemeral_node_has_no_children(self, storage: StateStorage) -> None:
        storage.create("/a", b"", ephemeral=True)
        with pytest.raises(CoordinationError):
            storage.create("/a/b", b"")
        storage.create("/parent/child", b"")
        with pytest.raises(CoordinationError, match="/parent"):
            storage.put_ephemeral("/parent", b"")

    def test_an_expired_session_is_followed_by_another(
        self, connect: Connect, expire: Callable[[StateStorage], None]
    ) -> None:
        storage, other = connect(), connect()
        states = States()
        storage.add_listener(states)
        storage.put_ephemeral("/top/a", b"1")
        expire(storage)
        states.wait(ConnectionState.LOST, ConnectionState.CONNECTED)
        assert other.get("/top/a") is None
        storage.put_ephemeral("/top/a", b"2")
        assert other.get("/top/a") == Versioned(b"2", 0)

    def test_a_watch_is_called_after_the_session_expired(
        self, connect: Connect, expire: Callable[[StateStorage], None]
    ) -> None:
        storage, woken = connect(), Waker()
        storage.create("/a", b"")
        storage.get("/a", woken)
        expire(storage)
        woken.wait()

    def test_a_closed_session_refuses(self, storage: StateStorage) -> None:
        storage.close()
        storage.close()
        with pytest.raises(CoordinationError, match="closed"):
            storage.get("/a")
        with pytest.raises(CoordinationError, match="closed"):
            storage.put("/a", b"")

    def test_many_threads_may_use_many_sessions(self, connect: Connect) -> None:
        sessions = [connect(), connect()]
        made: list[str] = []
        sessions[0].create("/counter", b"0")

        def work(storage: StateStorage) -> None:
            for _ in range(10):
                made.append(storage.create("/q/e", b"", sequential=True))
                while True:
                    found = storage.get("/counter")
                    assert found is not None
                    try:
                        storage.set("/counter", b"%d" % (int(found.data) + 1), found.version)
                    except BadVersionError:
                        continue
                    break

        threads = [threading.Thread(target=work, args=(sessions[i % 2],)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(made)) == 40
        assert sessions[0].get("/counter") == Versioned(b"40", 40)

    # Watches

    @pytest.mark.parametrize("change", ["put", "set", "delete"])
    def test_a_watch_on_a_node_is_called_when_it_changes(self, connect: Connect, change: str) -> None:
        storage, other, woken = connect(), connect(), Waker()
        other.create("/a", b"")
        storage.get("/a", woken)
        if change == "put":
            other.put("/a", b"1")
        elif change == "set":
            other.set("/a", b"1", 0)
        else:
            other.delete("/a")
        woken.wait()

    def test_a_watch_is_called_for_changes_of_its_own_session(self, storage: StateStorage) -> None:
        woken = Waker()
        storage.get("/a", woken)
        storage.put("/a", b"1")
        woken.wait()

    def test_a_watch_on_a_missing_node_is_called_when_it_comes(self, connect: Connect) -> None:
        storage, other, data, children = connect(), connect(), Waker(), Waker()
        assert storage.get("/top/a", data) is None
        assert storage.children("/top/a", children) == []
        other.create("/top/a", b"")
        data.wait()
        children.wait()

    def test_a_watch_on_children_is_called_when_one_comes_or_goes(self, connect: Connect) -> None:
        storage, other, woken = connect(), connect(), Waker()
        other.create("/top", b"")
        storage.children("/top", woken)
        other.create("/top/a", b"")
        woken.wait()
        assert storage.children("/top", woken) == ["a"]
        other.delete("/top/a")
        woken.wait(2)

    def test_a_watch_on_children_is_not_called_for_their_bytes(self, connect: Connect) -> None:
        storage, other, children, data = connect(), connect(), Waker(), Waker()
        other.create("/top/a", b"")
        storage.children("/top", children)
        storage.get("/top/a", data)
        other.put("/top/a", b"1")
        data.wait()
        assert children.calls == 0

    def test_a_watch_is_called_once(self, connect: Connect) -> None:
        storage, other, once, again = connect(), connect(), Waker(), Waker()
        other.create("/a", b"")
        storage.get("/a", once)
        storage.get("/a", once)
        other.put("/a", b"1")
        once.wait()
        storage.get("/a", again)
        other.put("/a", b"2")
        again.wait()
        assert once.calls == 1

    def test_a_watch_is_called_when_an_ephemeral_node_goes(self, connect: Connect) -> None:
        storage, other, woken = connect(), connect(), Waker()
        other.put_ephemeral("/top/a", b"")
        storage.children("/top", woken)
        other.close()
        woken.wait()
        assert storage.children("/top") == []

    def test_after_a_watch_the_change_is_read(self, connect: Connect) -> None:
        storage, other, woken = connect(), connect(), Waker()
        storage.get("/a", woken)
        for i in range(20):
            other.put("/a", b"%d" % i)
            woken.wait(i + 1)
            assert storage.get("/a", woken) == Versioned(b"%d" % i, i)

    # Fences

    def test_a_fence_lets_writes_pass_while_it_holds(self, storage: StateStorage) -> None:
        storage.create("/leader", b"")
        fenced = storage.fenced("/leader")
        assert fenced.create("/top/a", b"0") == "/top/a"
        assert fenced.set("/top/a", b"1", 0) == 1
        fenced.put("/top/a", b"2")
        storage.put("/leader", b"of another version")
        fenced.put("/top/b", b"")
        fenced.put_ephemeral("/top/e", b"")
        path = fenced.create("/top/n", b"", sequential=True)
        assert fenced.get("/top/a") == Versioned(b"2", 2)
        assert fenced.children("/top") == ["a", "b", "e", path.removeprefix("/top/")]
        fenced.delete("/top", recursive=True)
        assert storage.get("/top") is None

    def test_a_fence_that_does_not_hold_stops_every_write(self, storage: StateStorage) -> None:
        storage.create("/a/b", b"")
        writes: list[Callable[[StateStorage], object]] = [
            lambda fenced: fenced.create("/new", b""),
            lambda fenced: fenced.create("/new", b"", ephemeral=True, sequential=True),
            lambda fenced: fenced.put("/a", b"1"),
            lambda fenced: fenced.put("/new", b"1"),
            lambda fenced: fenced.set("/a", b"1", 0),
            lambda fenced: fenced.delete("/a/b"),
            lambda fenced: fenced.delete("/a", recursive=True),
            lambda fenced: fenced.put_ephemeral("/new", b""),
            lambda fenced: fenced.put_ephemeral("/a/b", b""),
        ]
        storage.create("/leader", b"")
        fenced = storage.fenced("/leader")
        storage.delete("/leader")
        for write in writes:
            with pytest.raises(BadVersionError, match="/leader is gone"):
                write(fenced)
        assert storage.children("/a") == ["b"]
        assert storage.get("/a") == Versioned(b"", 0)
        assert storage.get("/new") is None

    def test_errors_behind_a_fence_are_the_same(self, storage: StateStorage) -> None:
        storage.create("/leader", b"")
        storage.create("/a/b", b"")
        fenced = storage.fenced("/leader")
        with pytest.raises(NodeExistsError):
            fenced.create("/a", b"")
        with pytest.raises(BadVersionError):
            fenced.set("/a", b"", 7)
        with pytest.raises(NoNodeError):
            fenced.set("/none", b"", 0)
        with pytest.raises(CoordinationError, match="children"):
            fenced.delete("/a")
        fenced.delete("/none")
