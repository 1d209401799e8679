from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from state_storage_contract import States, StateStorageContract, Waker

from storm.cluster.memory import Fault, MemoryStorage, MemoryTree
from storm.cluster.storage import ConnectionState
from storm.errors import CoordinationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.cluster.storage import StateStorage


class TestMemoryStorage(StateStorageContract):
    @pytest.fixture
    def tree(self) -> MemoryTree:
        return MemoryTree()

    @pytest.fixture
    def connect(self, tree: MemoryTree) -> Callable[[], StateStorage]:
        return tree.session

    @pytest.fixture
    def expire(self, tree: MemoryTree) -> Callable[[StateStorage], None]:
        def end(storage: StateStorage) -> None:
            assert isinstance(storage, MemoryStorage)
            tree.expire(storage)

        return end


def test_a_session_that_is_cut_off_keeps_its_nodes_and_hears_nothing() -> None:
    tree = MemoryTree()
    storage, other, states, woken = tree.session(), tree.session(), States(), Waker()
    storage.add_listener(states)
    storage.put_ephemeral("/a", b"")
    storage.get("/b", woken)
    tree.suspend(storage)
    other.put("/b", b"")
    assert woken.calls == 0
    assert other.get("/a") is not None
    with pytest.raises(CoordinationError, match="cut off"):
        storage.get("/b")
    tree.resume(storage)
    assert woken.calls == 1
    assert storage.get("/b") is not None
    assert states.seen == [ConnectionState.SUSPENDED, ConnectionState.CONNECTED]


def test_a_session_that_expires_while_cut_off_learns_it_when_it_is_back() -> None:
    tree = MemoryTree()
    storage, other, states = tree.session(), tree.session(), States()
    storage.add_listener(states)
    storage.put_ephemeral("/a", b"")
    tree.suspend(storage)
    tree.expire(storage)
    assert other.get("/a") is None
    assert states.seen == [ConnectionState.SUSPENDED]
    tree.resume(storage)
    assert states.seen[1:] == [ConnectionState.LOST, ConnectionState.CONNECTED]
    storage.put_ephemeral("/a", b"")
    assert other.get("/a") is not None


def test_a_fault_refuses_an_operation_or_loses_its_answer() -> None:
    tree = MemoryTree()
    storage = tree.session()
    asked = []
    answer: Fault | None = Fault.REFUSED

    def faults(session: MemoryStorage, method: str, path: str) -> Fault | None:
        asked.append((session, method, path))
        return answer

    tree.faults = faults
    with pytest.raises(CoordinationError, match="not carried out"):
        storage.put("/a", b"1")
    answer = Fault.ANSWER_LOST
    with pytest.raises(CoordinationError, match="answer was lost"):
        storage.put("/a", b"2")
    answer = None
    found = storage.get("/a")
    assert found is not None
    assert found.data == b"2"
    assert asked == [(storage, "put", "/a"), (storage, "put", "/a"), (storage, "get", "/a")]
