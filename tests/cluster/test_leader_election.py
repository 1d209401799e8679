from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leader_election_contract import LeaderElectionContract, elect, nimbus, version_of_leader_info

from storm.cluster import paths
from storm.cluster.memory import Fault, MemoryStorage, MemoryTree
from storm.errors import BadVersionError, CoordinationError, NotLeaderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.cluster.leader_election import LeaderElection
    from storm.cluster.storage import StateStorage


class TestOnMemory(LeaderElectionContract):
    @pytest.fixture
    def tree(self) -> MemoryTree:
        return MemoryTree()

    @pytest.fixture
    def connect(self, tree: MemoryTree) -> Callable[[], StateStorage]:
        return tree.session

    @pytest.fixture
    def expire(self, tree: MemoryTree) -> Callable[[MemoryStorage], None]:
        return tree.expire


def test_who_does_not_lead_says_which_nimbus_it_is() -> None:
    for host, shown in (("nimbus-1", "nimbus-1:6627"), ("::1", r"\[::1\]:6627")):
        election = elect(MemoryTree().session(), replace(nimbus(1), host=host))
        with pytest.raises(NotLeaderError, match=rf"The Nimbus at {shown} does not lead now"):
            election.fence()


def test_leadership_ends_at_once_when_the_connection_is_unsure_and_returns_with_it() -> None:
    tree = MemoryTree()
    storage = tree.session()
    election = elect(storage, nimbus(1))
    election.step()
    term = election.term
    tree.suspend(storage)
    assert not election.is_leader()
    with pytest.raises(CoordinationError):
        election.step()
    tree.resume(storage)
    assert not election.is_leader()
    assert election.step()
    assert election.term > term


def test_a_connection_that_is_lost_while_taking_office_leaves_no_leader() -> None:
    tree = MemoryTree()
    storage = tree.session()
    election = elect(storage, nimbus(1))

    def drop(session: MemoryStorage, method: str, path: str) -> None:
        if (method, path) == ("put", paths.LEADER_INFO):
            tree.faults = None
            tree.suspend(session)
            tree.resume(session)

    tree.faults = drop
    assert not election.step()
    assert not election.is_leader()
    assert election.step()


def test_who_takes_office_raises_the_version_that_fences_nimbuses_of_older_releases() -> None:
    tree = MemoryTree()
    elections = [elect(tree.session(), nimbus(number)) for number in range(3)]
    versions = []
    for election in elections:
        assert election.step()
        election.step()
        versions.append(version_of_leader_info(tree.session()))
        election.leave()
    assert versions == [0, 1, 2]


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("at", range(6))
def test_a_fault_at_any_operation_is_got_over(fault: Fault, at: int) -> None:
    tree = MemoryTree()
    election, asked = elect(tree.session(), nimbus(1)), []

    def once(_session: MemoryStorage, method: str, _path: str) -> Fault | None:
        asked.append(method)
        return fault if len(asked) == at + 1 else None

    tree.faults = once
    for _ in range(3):
        with contextlib.suppress(CoordinationError):
            election.step()
    assert election.step()
    assert len(asked) > at
    assert len(tree.session().children(paths.LEADER_LOCK)) == 1


class CreatesTwice(MemoryStorage):
    """Whose answer is lost, and which looks for what it made on a server that is not as far."""

    def create(self, path: str, data: bytes, *, ephemeral: bool = False, sequential: bool = False) -> str:
        if sequential:
            super().create(path, data, ephemeral=ephemeral, sequential=sequential)
        return super().create(path, data, ephemeral=ephemeral, sequential=sequential)


def test_who_stands_twice_by_a_lost_answer_leads_and_leaves_one_candidate() -> None:
    tree = MemoryTree()
    storage = tree.session()
    storage.__class__ = CreatesTwice
    first, second = elect(storage, nimbus(1)), elect(tree.session(), nimbus(2))
    assert [first.step(), second.step()] == [True, False]
    assert len(storage.children(paths.LEADER_LOCK)) == 2
    tree.expire(storage)
    assert [first.step(), second.step(), first.step()] == [False, True, False]
    assert len(storage.children(paths.LEADER_LOCK)) == 2


def test_a_candidate_of_ones_own_that_turns_up_while_one_leads_goes() -> None:
    tree = MemoryTree()
    storage = tree.session()
    election = elect(storage, nimbus(1))
    assert election.step()
    fence = election.fence()
    storage.create(paths.without_number(fence), b"", ephemeral=True, sequential=True)
    assert election.step()
    assert [f"{paths.LEADER_LOCK}/{node}" for node in storage.children(paths.LEADER_LOCK)] == [fence]
    assert election.fence() == fence


def test_a_candidate_that_cannot_be_read_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    storage = MemoryTree().session()
    storage.create(f"{paths.LEADER_LOCK}/not-a-candidate", b"")
    bad = storage.create(f"{paths.LEADER_LOCK}/x-", b"garbage", sequential=True)
    election = elect(storage, nimbus(1))
    assert not election.step()
    leader = election.leader()
    assert leader is not None
    assert leader.host == "nimbus-1"
    assert bad in caplog.text
    storage.delete(bad)
    assert election.step()


NIMBUSES = 3
events = st.lists(
    st.tuples(
        st.sampled_from(
            ["step", "step", "step", "suspend", "resume", "expire", "leave", "wipe", "refuse", "lose answer"]
        ),
        st.integers(0, NIMBUSES - 1),
    ),
    max_size=40,
)


@given(events)
@settings(deadline=None)
def test_whatever_happens_one_at_most_can_write_and_in_the_end_one_does(story: list[tuple[str, int]]) -> None:
    tree = MemoryTree()
    sessions = [tree.session() for _ in range(NIMBUSES)]
    elections = [elect(session, nimbus(i)) for i, session in enumerate(sessions)]
    faults: list[Fault] = []
    tree.faults = lambda _session, _method, _path: faults.pop() if faults else None
    for event, i in story:
        if event == "suspend":
            tree.suspend(sessions[i])
        elif event == "resume":
            tree.resume(sessions[i])
        elif event == "expire":
            tree.expire(sessions[i])
        elif event == "wipe":
            wipe(tree)
        elif event in {"refuse", "lose answer"}:
            faults.append(Fault.REFUSED if event == "refuse" else Fault.ANSWER_LOST)
        else:
            act(elections[i], event)
        held, faults[:] = list(faults), []
        assert len(who_can_write(sessions, elections)) <= 1
        faults[:] = held
    faults.clear()
    for session in sessions:
        tree.resume(session)
    for _ in range(4):
        for election in elections:
            election.step()
    assert [election.is_leader() for election in elections].count(True) == 1
    assert len(who_can_write(sessions, elections)) == 1


def act(election: LeaderElection, event: str) -> None:
    with contextlib.suppress(CoordinationError):
        election.leave() if event == "leave" else election.step()


def wipe(tree: MemoryTree) -> None:
    """Somebody deletes the election's nodes: numbers and versions begin anew."""
    faults, tree.faults = tree.faults, None
    for top in (paths.LEADER_LOCK, paths.LEADER_INFO):
        tree.session().delete(top, recursive=True)
    tree.faults = faults


def who_can_write(sessions: list[MemoryStorage], elections: list[LeaderElection]) -> list[int]:
    able = []
    for i, (session, election) in enumerate(zip(sessions, elections, strict=True)):
        try:
            session.fenced(election.fence()).put("/storms/a", b"%d" % i)
        except (NotLeaderError, BadVersionError, CoordinationError):
            continue
        able.append(i)
    return able
