"""What `storm.cluster.leader_election.LeaderElection` must do on every storage; subclasses say which one."""

from __future__ import annotations

import dataclasses
import itertools
import random
from typing import TYPE_CHECKING

import pytest
from state_storage_contract import States, Waker

from storm.cluster import paths
from storm.cluster.leader_election import LeaderElection
from storm.cluster.records import NimbusInfo
from storm.cluster.storage import ConnectionState
from storm.errors import BadVersionError, NotLeaderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.cluster.storage import StateStorage, Watch

    Connect = Callable[[], StateStorage]
    Expire = Callable[[StateStorage], None]


def nimbus(number: int, start_wall_secs: int = 1_700_000_000) -> NimbusInfo:
    return NimbusInfo(f"nimbus-{number}", 6627, start_wall_secs, "0.1.0")


seeds = itertools.count()


def elect(storage: StateStorage, info: NimbusInfo, wake: Watch = lambda: None) -> LeaderElection:
    """A Nimbus's part, with random numbers of its own."""
    return LeaderElection(storage, info, random.Random(next(seeds)), wake)


def version_of_leader_info(storage: StateStorage) -> int:
    found = storage.get(paths.LEADER_INFO)
    assert found is not None
    return found.version


class LeaderElectionContract:
    """Subclasses give the fixtures `connect` and `expire`, as for `StateStorageContract`."""

    def test_who_stands_alone_leads(self, connect: Connect) -> None:
        election = elect(connect(), nimbus(1))
        assert election.leader() is None
        assert not election.is_leader()
        assert election.step()
        assert election.is_leader()
        assert election.leader() == dataclasses.replace(nimbus(1), is_leader=True)

    def test_the_oldest_candidate_leads_and_goes_on_leading(self, connect: Connect) -> None:
        elections = [elect(connect(), nimbus(number)) for number in range(3)]
        for _ in range(3):
            assert [election.step() for election in elections] == [True, False, False]
        fence = elections[0].fence()
        elections[0].step()
        assert elections[0].fence() == fence
        assert {election.leader() for election in elections} == {dataclasses.replace(nimbus(0), is_leader=True)}

    def test_when_the_leader_leaves_the_next_is_woken_and_leads(self, connect: Connect) -> None:
        woken = Waker()
        first, second = elect(connect(), nimbus(1)), elect(connect(), nimbus(2), woken)
        first.step()
        second.step()
        before = woken.calls
        first.leave()
        assert not first.is_leader()
        woken.wait(before + 1)
        assert second.step()
        assert not first.step()
        assert second.step()

    def test_when_the_leader_dies_the_next_leads(self, connect: Connect) -> None:
        storage, woken = connect(), Waker()
        first, second = elect(storage, nimbus(1)), elect(connect(), nimbus(2), woken)
        first.step()
        second.step()
        before = woken.calls
        storage.close()
        woken.wait(before + 1)
        assert second.step()
        assert second.leader() == dataclasses.replace(nimbus(2), is_leader=True)

    def test_an_expired_leader_does_not_lead_and_stands_again(self, connect: Connect, expire: Expire) -> None:
        storage, states = connect(), States()
        first, second = elect(storage, nimbus(1)), elect(connect(), nimbus(2))
        storage.add_listener(states)
        first.step()
        second.step()
        expire(storage)
        states.wait(ConnectionState.LOST, ConnectionState.CONNECTED)
        assert not first.is_leader()
        with pytest.raises(NotLeaderError, match="nimbus-1:6627"):
            first.fence()
        assert second.step()
        assert not first.step()
        assert second.step()

    def test_a_former_leaders_fence_does_not_hold(self, connect: Connect, expire: Expire) -> None:
        storage, other = connect(), connect()
        first, second = elect(storage, nimbus(1)), elect(other, nimbus(2))
        first.step()
        second.step()
        old = first.fence()
        storage.fenced(old).put("/storms/a", b"first")
        expire(storage)
        while not second.step():
            pass
        with pytest.raises(BadVersionError):
            storage.fenced(old).put("/storms/a", b"late")
        other.fenced(second.fence()).put("/storms/a", b"second")
        found = storage.get("/storms/a")
        assert found is not None
        assert found.data == b"second"

    def test_a_fence_of_before_a_wipe_does_not_hold_for_the_same_nimbus_in_the_same_place(
        self, connect: Connect
    ) -> None:
        """Where all that ZooKeeper counts is as it was, and so are host and port."""
        storage, other = connect(), connect()
        first, second = elect(storage, nimbus(1)), elect(other, nimbus(1, 1_700_000_005))
        first.step()
        old, version = first.fence(), version_of_leader_info(storage)
        for top in (paths.LEADER_LOCK, paths.LEADER_INFO):
            other.delete(top, recursive=True)
        with pytest.raises(BadVersionError):
            storage.fenced(old).put("/storms/a", b"late, and nobody leads")
        assert second.step()
        assert version_of_leader_info(other) == version
        assert paths.sequence_number(second.fence()) == paths.sequence_number(old)
        with pytest.raises(BadVersionError):
            storage.fenced(old).put("/storms/a", b"late")
        other.fenced(second.fence()).put("/storms/a", b"second")

    def test_a_nimbus_that_was_restarted_takes_the_place_of_its_earlier_life(self, connect: Connect) -> None:
        old_life = elect(connect(), nimbus(1))
        old_life.step()
        new_life = elect(connect(), nimbus(1, 1_700_000_005))
        assert new_life.step()
        assert new_life.leader() == dataclasses.replace(nimbus(1, 1_700_000_005), is_leader=True)

    def test_a_candidate_that_somebody_wrote_over_is_written_anew_by_its_own_nimbus(self, connect: Connect) -> None:
        storage, other = connect(), connect()
        first, second = elect(storage, nimbus(1)), elect(other, nimbus(2))
        first.step()
        second.step()
        fence = first.fence()
        other.put(fence, b"\x00 nothing that anybody can read")
        assert second.leader() == dataclasses.replace(nimbus(2), is_leader=True)  # it passes over what it cannot read
        assert first.leader() == dataclasses.replace(nimbus(1), is_leader=True)
        assert second.leader() == dataclasses.replace(nimbus(1), is_leader=True)
        assert first.step()
        assert first.fence() == fence
        storage.fenced(fence).put("/storms/a", b"it leads on")

    def test_two_that_claim_one_address_do_not_oust_each_other_for_ever(self, connect: Connect) -> None:
        one, other = elect(connect(), nimbus(1)), elect(connect(), nimbus(1, 1_700_000_005))
        for _ in range(3):
            one.step()
            other.step()
        answers = [(one.step(), other.step()) for _ in range(3)]
        assert len(set(answers)) == 1
        assert sum(answers[0]) == 1
