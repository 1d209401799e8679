"""Stories of more than one Nimbus: leaders that die or are paused, clients that ask again, clocks that jump."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from storm.blobstore.blob_store import topology_keys, version_key
from storm.blobstore.memory import MemoryBlobStore
from storm.cluster.records import RebalanceRequest
from storm.errors import NotLeaderError, TopologyAlreadyAliveError
from storm.nimbus.core import SubmitRequest

if TYPE_CHECKING:
    Cluster = Any  # of conftest
    Nimbus = Any


K = version_key("k", hashlib.sha256(b"x").hexdigest())  # where a content of the blob "k" is stored


# Submissions


def test_a_submission_is_answered_when_enough_nimbuses_hold_it(two_nodes: Cluster, follower: Nimbus) -> None:
    pending = two_nodes.begin(two_nodes.nimbus, count=2)
    two_nodes.core.step()
    assert not pending.done.done()
    assert two_nodes.state.topology_ids() == []
    two_nodes.submit("other")  # others are served meanwhile
    two_nodes.settle(follower, two_nodes.nimbus)
    assert pending.done.result(0) is None
    assert pending.base.topology_id in two_nodes.state.topology_ids()
    two_nodes.kill_nimbus(two_nodes.nimbus)
    two_nodes.settle(follower)
    assert pending.base.topology_id in follower.core.snapshot.plans


def test_a_submission_that_cannot_reach_the_count_goes_on_after_its_time(two_nodes: Cluster) -> None:
    wait = {"topology.max.replication.wait.time.sec": 7}
    pending = two_nodes.begin(two_nodes.nimbus, count=3, **wait)
    assert two_nodes.core.step() == 7
    two_nodes.clock.secs += 6
    assert two_nodes.core.step() == 1
    assert not pending.done.done()
    two_nodes.clock.secs += 1
    two_nodes.core.step()
    assert pending.done.result(0) is None


def test_a_submission_that_waits_for_long_is_no_remains(two_nodes: Cluster, follower: Nimbus) -> None:
    pending = two_nodes.begin(two_nodes.nimbus, count=3, **{"topology.max.replication.wait.time.sec": -1})
    for _ in range(70):
        two_nodes.clock.secs += 10
        two_nodes.settle(two_nodes.nimbus, follower, rounds=1)
    keys = sorted(topology_keys(pending.base.topology_id))
    assert two_nodes.blob_store.keys() == follower.blob_store.keys() == keys
    third = two_nodes.start_nimbus("nimbus-3", MemoryBlobStore())
    two_nodes.settle(third, two_nodes.nimbus)
    assert pending.done.result(0) is None


def test_a_leader_that_is_replaced_tells_who_waits_for_it(two_nodes: Cluster, follower: Nimbus) -> None:
    pending = two_nodes.begin(two_nodes.nimbus, "mine", count=3)
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    two_nodes.settle(follower, two_nodes.nimbus, rounds=1)
    with pytest.raises(NotLeaderError, match="the leader is nimbus-2:6627"):
        pending.done.result(0)
    again = two_nodes.begin(follower, "mine")
    assert follower.state.topology_ids() == [again.base.topology_id]
    for _ in range(70):
        two_nodes.clock.secs += 10
        two_nodes.settle(follower, two_nodes.nimbus, rounds=1)
    assert two_nodes.blob_store.keys() == follower.blob_store.keys() == sorted(topology_keys(again.base.topology_id))
    assert follower.state.blob_keys() == follower.blob_store.keys()


def test_a_leader_that_stops_tells_who_waits_for_it(two_nodes: Cluster) -> None:
    pending = two_nodes.begin(two_nodes.nimbus, count=2)
    two_nodes.core.abandon()
    with pytest.raises(NotLeaderError, match="stopping"):
        pending.done.result(0)


def test_a_client_that_asks_again_meets_its_own_submission(two_nodes: Cluster, follower: Nimbus) -> None:
    first = two_nodes.begin(two_nodes.nimbus, "mine")
    assert two_nodes.begin(two_nodes.nimbus, "mine").base.topology_id == first.base.topology_id
    with pytest.raises(TopologyAlreadyAliveError):
        two_nodes.begin(two_nodes.nimbus, "yours")
    two_nodes.settle(two_nodes.nimbus, follower)
    two_nodes.kill_nimbus(two_nodes.nimbus)
    follower.core.step()
    again = two_nodes.begin(follower, "mine")
    assert (again.base.topology_id, again.done.done()) == (first.base.topology_id, True)
    assert follower.state.topology_ids() == [first.base.topology_id]


def test_a_client_that_asks_again_while_its_submission_waits_waits_too(two_nodes: Cluster, follower: Nimbus) -> None:
    first = two_nodes.begin(two_nodes.nimbus, "mine", count=2)
    assert two_nodes.begin(two_nodes.nimbus, "mine", count=2).done is first.done
    with pytest.raises(TopologyAlreadyAliveError, match="just being submitted"):
        two_nodes.begin(two_nodes.nimbus, "yours", count=2)
    two_nodes.settle(follower, two_nodes.nimbus)
    assert len(two_nodes.state.topology_ids()) == 1


def test_a_name_that_another_leader_gave_away_meanwhile_is_not_given_twice(
    two_nodes: Cluster, follower: Nimbus
) -> None:
    pending = two_nodes.begin(two_nodes.nimbus, "mine", count=3)
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    follower.core.step()
    two_nodes.begin(follower, "yours")
    two_nodes.kill_nimbus(follower)
    two_nodes.clock.secs += 100
    two_nodes.core.step()  # leads again without having noticed that it did not
    assert two_nodes.core.leads
    with pytest.raises((TopologyAlreadyAliveError, NotLeaderError)):
        pending.done.result(0)
    assert len(two_nodes.state.topology_ids()) == 1


# Clocks


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_wall_clock_that_jumps_makes_a_kill_neither_early_nor_late(two_nodes: Cluster, jump: int) -> None:
    two_nodes.submit()
    two_nodes.core.kill("wc", 30)
    two_nodes.clock.wall_offset += jump
    two_nodes.pass_time(29)
    assert two_nodes.state.topology_ids() != []
    two_nodes.pass_time(1)
    assert two_nodes.state.topology_ids() == []


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_wall_clock_that_jumps_makes_a_rebalance_neither_early_nor_late(two_nodes: Cluster, jump: int) -> None:
    topology_id = two_nodes.submit()
    two_nodes.core.rebalance("wc", RebalanceRequest(num_workers=4), 30)
    two_nodes.clock.wall_offset += jump
    two_nodes.pass_time(29, beating=[topology_id])
    assert len(two_nodes.assignment(topology_id).slot_epochs) == 2
    two_nodes.pass_time(1, beating=[topology_id])
    assert len(two_nodes.assignment(topology_id).slot_epochs) == 4


@pytest.mark.parametrize("skew", [3600, -3600])
def test_a_new_leader_with_another_wall_clock_waits_the_whole_time_again(two_nodes: Cluster, skew: int) -> None:
    two_nodes.submit()
    two_nodes.core.kill("wc", 30)
    two_nodes.pass_time(20)
    two_nodes.kill_nimbus(two_nodes.nimbus)
    two_nodes.clock.wall_offset += skew
    successor = two_nodes.start_nimbus("nimbus-2")
    two_nodes.core, two_nodes.state = successor.core, successor.state
    two_nodes.core.step()
    two_nodes.pass_time(29)
    assert two_nodes.state.topology_ids() != []
    two_nodes.pass_time(1)
    assert two_nodes.state.topology_ids() == []


def test_who_leads_again_waits_the_whole_time_again(two_nodes: Cluster) -> None:
    two_nodes.submit()
    two_nodes.core.kill("wc", 30)
    two_nodes.pass_time(20)
    two_nodes.nimbus.election.leave()
    other = two_nodes.start_nimbus("nimbus-2")
    other.election.step()
    two_nodes.pass_time(15)
    other.election.leave()
    two_nodes.core.step()
    assert two_nodes.core.leads
    two_nodes.pass_time(29)
    assert two_nodes.state.topology_ids() != []
    two_nodes.pass_time(1)
    assert two_nodes.state.topology_ids() == []


@pytest.mark.parametrize("jump", [3600, -3600, 20 * 365 * 24 * 3600])
def test_a_wall_clock_that_jumps_moves_no_worker(two_nodes: Cluster, jump: int) -> None:
    topology_id = two_nodes.submit()
    two_nodes.pass_time(130, beating=[topology_id])
    before = two_nodes.assignment(topology_id)
    two_nodes.clock.wall_offset += jump
    two_nodes.pass_time(200, beating=[topology_id])
    assert two_nodes.assignment(topology_id) == before


def test_ids_stay_unique_when_the_wall_clock_goes_back_to_an_earlier_life(two_nodes: Cluster) -> None:
    first = two_nodes.submit("wc")
    two_nodes.kill_nimbus(two_nodes.nimbus)
    successor = two_nodes.start_nimbus("nimbus-2", MemoryBlobStore())
    two_nodes.core = successor.core
    two_nodes.core.step()
    other = two_nodes.core.submit(SubmitRequest("wc-1", "{}", two_nodes.word_count(), [b"zip"]))
    assert other != first
    assert two_nodes.core._new_id("wc") != first
