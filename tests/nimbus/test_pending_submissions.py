from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from storm.cluster.records import StormBase, TopologyStatus
from storm.errors import InvalidTopologyError, NotLeaderError, TopologyAlreadyAliveError
from storm.nimbus.cluster_snapshot import ClusterSnapshot
from storm.nimbus.pending_submissions import PendingSubmission, PendingSubmissions, ReplicationWait

BASE = StormBase("wc-1-1", "wc", TopologyStatus.ACTIVE, 1, {}, 1, blob_hashes={"k": "aa"}, submission_id="mine")


def waiting(enough: int = 2, until: float = 100.0) -> tuple[PendingSubmissions, PendingSubmission, list[StormBase]]:
    pendings, pending = PendingSubmissions(), PendingSubmission(BASE, enough, until)
    pendings.add(pending)
    return pendings, pending, []


def test_how_long_to_wait_for_how_many_is_in_the_conf() -> None:
    assert ReplicationWait.from_conf({}) == ReplicationWait(1, 60)
    conf = {"topology.min.replication.count": 3, "topology.max.replication.wait.time.sec": 5}
    assert ReplicationWait.from_conf(conf) == ReplicationWait(3, 5)
    assert ReplicationWait.from_conf({"topology.max.replication.wait.time.sec": -1}).secs_max == inf


def test_a_submission_is_wanted_once_enough_hold_it() -> None:
    pendings, pending, wanted = waiting()
    pendings.finish_ready(99, lambda base: 1, wanted.append)
    assert (wanted, pending.done.done(), pendings.topology_ids()) == ([], False, {"wc-1-1"})
    pendings.finish_ready(99, lambda base: 2 if base is BASE else 0, wanted.append)
    assert (wanted, pending.done.result(0), pendings.topology_ids()) == ([BASE], None, set())


def test_a_submission_whose_time_is_over_goes_on_with_fewer_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    pendings, _pending, wanted = waiting(3, 100.0)
    assert pendings.next_secs(90) == 10
    pendings.finish_ready(100, lambda base: 1, wanted.append)
    assert wanted == [BASE]
    assert "Topology wc-1-1 goes on with its code and blobs on 1 of 3 Nimbuses" in caplog.text
    assert pendings.next_secs(100) == inf


def test_one_that_may_wait_for_ever_does() -> None:
    pendings, _, wanted = waiting(2, inf)
    pendings.finish_ready(1e12, lambda base: 1, wanted.append)
    assert wanted == []
    assert pendings.next_secs(1e12) == inf


def test_what_hinders_it_is_told_to_who_waits() -> None:
    pendings, pending, _ = waiting()

    def refuse(base: StormBase) -> None:
        raise InvalidTopologyError("too large")

    pendings.finish_ready(0, lambda base: 2, refuse)
    with pytest.raises(InvalidTopologyError, match="too large"):
        pending.done.result(0)
    assert pendings.topology_ids() == set()


def test_when_leadership_ends_all_are_told() -> None:
    pendings, pending, _ = waiting()
    assert pendings.fail_all(NotLeaderError("another leads")) == [pending]
    with pytest.raises(NotLeaderError):
        pending.done.result(0)
    assert pendings.fail_all(NotLeaderError("another leads")) == []


def test_a_name_is_free_or_taken_by_another_or_by_this_very_submission() -> None:
    pendings, pending, _ = waiting()
    empty = ClusterSnapshot()
    assert pendings.earlier("other", "mine", empty) is None
    assert pendings.earlier("wc", "mine", empty) is pending
    for submission_id in ("yours", ""):
        with pytest.raises(TopologyAlreadyAliveError, match="just being submitted"):
            pendings.earlier("wc", submission_id, empty)
    running = ClusterSnapshot(bases={"wc-1-1": BASE})
    found = PendingSubmissions().earlier("wc", "mine", running)
    assert found is not None
    assert (found.base, found.done.done()) == (BASE, True)
    for submission_id in ("yours", ""):
        with pytest.raises(TopologyAlreadyAliveError, match="wc-1-1, ACTIVE"):
            PendingSubmissions().earlier("wc", submission_id, running)


def test_the_name_of_a_topology_whose_record_cannot_be_read_is_taken() -> None:
    """A second topology of this name would be there as soon as the record can be read again."""
    hidden = ClusterSnapshot(unreadable=frozenset({"wc-1-1"}))
    with pytest.raises(TopologyAlreadyAliveError, match="wc-1-1, whose record in ZooKeeper cannot be read"):
        PendingSubmissions().earlier("wc", "mine", hidden)
    assert PendingSubmissions().earlier("wc-1", "mine", hidden) is None


def test_submissions_without_an_id_are_never_the_same() -> None:
    running = ClusterSnapshot(bases={"wc-1-1": replace(BASE, submission_id="")})
    with pytest.raises(TopologyAlreadyAliveError):
        PendingSubmissions().earlier("wc", "", running)
