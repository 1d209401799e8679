"""Leaders that end or are paused at any operation: what the next one makes of it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from storm.blobstore.blob_store import topology_keys, version_key
from storm.blobstore.memory import MemoryBlobStore
from storm.cluster import paths
from storm.cluster.memory import Fault
from storm.cluster.records import DebugOptions, ErrorInfo, LogConfig, RebalanceRequest, TopologyStatus
from storm.errors import BlobStoreError, CoordinationError, StormError
from storm.nimbus import drains
from storm.nimbus.user_blobs import BlobChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from storm.blobstore.blob_store import BlobMeta

    Cluster = Any  # of conftest
    Nimbus = Any


K = version_key("k", hashlib.sha256(b"x").hexdigest())  # where a content of the blob "k" is stored


def test_a_rebalance_that_another_leader_has_finished_is_not_done_again(two_nodes: Cluster, follower: Nimbus) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 3})
    two_nodes.settle(two_nodes.nimbus, follower)
    two_nodes.stop_supervisor("b")
    two_nodes.pass_time(45, beating=[topology_id])
    assert {slot.node_id for slot in two_nodes.assignment(topology_id).slot_epochs} == {"a"}
    two_nodes.core.rebalance("wc", RebalanceRequest(num_workers=4), 0)
    session = two_nodes.nimbus.storage._session

    def refuse_assignments(storage: Any, method: str, path: str) -> Fault | None:
        writes = method == "set" and path.startswith(paths.ASSIGNMENTS)
        return Fault.REFUSED if writes and storage._session is session else None

    two_nodes.tree.faults = refuse_assignments
    with pytest.raises(CoordinationError):
        two_nodes.core.step()
    two_nodes.tree.faults = None
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    two_nodes.settle(follower, two_nodes.nimbus)
    after = two_nodes.assignment(topology_id)
    assert (follower.core.leads, len(after.slot_epochs)) == (True, 4)
    two_nodes.start_supervisor("b")
    two_nodes.settle(follower, two_nodes.nimbus)
    assert two_nodes.assignment(topology_id) == after
    two_nodes.tree.expire(follower.storage)
    two_nodes.settle(two_nodes.nimbus, follower)
    assert two_nodes.core.leads
    assert two_nodes.assignment(topology_id) == after


def test_who_leads_no_more_tells_nothing_of_what_it_saw_as_leader(two_nodes: Cluster, follower: Nimbus) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 8})
    two_nodes.pass_time(120)
    assert len(two_nodes.core.silent) == 8
    assert two_nodes.core.replication.counts == {topology_id: 1}
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    two_nodes.settle(follower, two_nodes.nimbus, rounds=1)
    assert (two_nodes.core.silent, two_nodes.core.replication.counts) == (frozenset(), {})


class WatchedBlobs(MemoryBlobStore):
    """Tells `before` each change of the disk; that may raise, as a process ends."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[], None] = lambda: None

    def create(self, key: str, chunks: Iterable[bytes]) -> BlobMeta:
        self.before()
        return super().create(key, chunks)

    def delete(self, key: str) -> None:
        self.before()
        super().delete(key)


class AtOperation:
    """Calls `strike` at the leader's n-th operation on ZooKeeper or its disk. Where that answers a fault, it is the
    leader's death: all later operations fail.
    """

    def __init__(self, cluster: Cluster, operations: int, strike: Callable[[], Fault | None]) -> None:
        self.left = operations
        self._storage = cluster.nimbus.storage
        self._strike = strike
        self._is_dead = False
        cluster.tree.faults = self._zookeeper
        cluster.nimbus.blob_store.before = self._disk

    def _count(self) -> Fault | None:
        self.left -= 1
        if self._is_dead:
            return Fault.REFUSED
        fault = self._strike() if self.left == 0 else None
        self._is_dead = fault is not None
        return fault

    def _zookeeper(self, storage: Any, method: str, path: str) -> Fault | None:
        return self._count() if storage._session is self._storage._session else None

    def _disk(self) -> None:
        if self._count() is not None:
            raise BlobStoreError("the process ended")


def ask(nimbus: Nimbus, cluster: Cluster, what: str) -> None:
    if what == "submit":
        cluster.begin(nimbus, "mine", count=2)
    elif what == "rebalance":
        nimbus.core.rebalance("wc", RebalanceRequest(num_workers=4, conf_overrides={"mine": 2}), 0)
    elif what == "kill":
        nimbus.core.kill("wc", 0)
    elif what == "deactivate":
        nimbus.core.deactivate("wc")
    elif what == "debug":
        nimbus.core.debug("wc", "count", DebugOptions(True))
    else:
        assert what == "log config"
        topology_id = nimbus.core.snapshot.id_of("wc") or ""
        nimbus.core.set_log_config(topology_id, lambda _: LogConfig())


def two_disks(new_cluster: Callable[..., Cluster], what: str, count: int = 2) -> tuple[Cluster, Nimbus]:
    """A leader and a follower with their own disks; a topology, unless it is to be submitted."""
    cluster = new_cluster(WatchedBlobs())
    cluster.start_supervisor("a")
    follower = cluster.start_nimbus("nimbus-2", WatchedBlobs())
    cluster.settle(cluster.nimbus, follower)
    if what != "submit":
        cluster.begin(cluster.nimbus, count=count)
        cluster.settle(cluster.nimbus, follower)
        assert cluster.state.assignment_ids()
    return cluster, follower


def all_nodes(cluster: Cluster) -> dict[str, tuple[bytes, int]]:
    """All that leaders write."""
    tops = (paths.STORMS, paths.ASSIGNMENTS, paths.LOG_CONFIGS, paths.ERRORS, paths.CLUSTER_ID, paths.LEADER_INFO)
    nodes = cluster.tree._nodes
    return {path: (node.data, node.version) for path, node in nodes.items() if path.startswith(tops)}


ELECTION = (paths.LEADER_LOCK, paths.LEADER_INFO)


@pytest.mark.parametrize("lost", [(), ELECTION], ids=["its session ends", "the election is wiped"])
@pytest.mark.parametrize("what", ["submit", "rebalance", "kill", "deactivate", "debug", "log config"])
def test_a_leader_that_was_paused_at_any_operation_changes_nothing(
    new_cluster: Callable[..., Cluster], what: str, lost: tuple[str, ...]
) -> None:
    """Its session ends and another takes over, while it stands still and hears nothing of it.

    `lost`: nodes that somebody deletes meanwhile, so that what ZooKeeper counts begins anew.
    """
    for operations in range(1, 400):
        cluster, follower = two_disks(new_cluster, what)
        paused, written = cluster.nimbus, {}

        def pause(cluster: Cluster = cluster, follower: Nimbus = follower, written: dict[str, Any] = written) -> None:
            storage = follower.storage
            for node in storage.children(paths.LEADER_LOCK):
                if node.startswith("nimbus-1"):
                    storage.delete(f"{paths.LEADER_LOCK}/{node}")
            cluster.tree._remove_ephemerals(cluster.nimbus.storage._session.number)
            for top in lost:
                storage.delete(top, recursive=True)
            assert follower.election.step()  # and does nothing else yet, so that all is there for the other to spoil
            written.update(all_nodes(cluster))

        at = AtOperation(cluster, operations, pause)
        with suppress(StormError):
            ask(paused, cluster, what)
            paused.core.step()
        cluster.tree.faults = None
        if at.left > 0:
            assert operations > 5
            return
        assert all_nodes(cluster) == written
        assert not paused.core.step() or not paused.core.leads
    raise AssertionError("the story never ended")


@pytest.mark.parametrize("lost_answer", [False, True])
@pytest.mark.parametrize("what", ["submit", "rebalance", "kill"])
def test_a_leader_may_end_at_any_operation(new_cluster: Callable[..., Cluster], what: str, lost_answer: bool) -> None:
    """What another Nimbus, with a disk of its own, makes of it: all or nothing; and asking again does it once."""
    for operations in range(1, 400):
        cluster, follower = two_disks(new_cluster, what)
        at = AtOperation(cluster, operations, lambda: Fault.ANSWER_LOST if lost_answer else Fault.REFUSED)
        with suppress(StormError):
            ask(cluster.nimbus, cluster, what)
            for _ in range(3):
                follower.core.step()
                cluster.core.step()
        cluster.tree.faults = None
        cluster.kill_nimbus(cluster.nimbus)
        cluster.core, cluster.state = follower.core, follower.state
        cluster.settle(follower)
        topology_ids = cluster.state.topology_ids()
        with suppress(StormError):  # what it asks for may be done, and then cannot be asked for again
            if not is_done(cluster, what):
                ask(follower, cluster, what)
        for _ in range(2):
            cluster.clock.secs += 61  # longer than a submission waits for a second Nimbus
            cluster.settle(follower)
        assert is_done(cluster, what)
        assert len(cluster.state.topology_ids()) == (0 if what == "kill" else 1)
        assert set(topology_ids) <= {*cluster.state.topology_ids(), *([] if what != "kill" else topology_ids)}
        for _ in range(3):
            cluster.clock.secs += 301  # remains must be seen twice to go
            cluster.settle(follower, rounds=2)
        keys = sorted(key for topology_id in cluster.state.topology_ids() for key in topology_keys(topology_id))
        assert follower.blob_store.keys() == cluster.state.blob_keys() == keys
        assert cluster.state.assignment_ids() == cluster.state.topology_ids()
        if at.left > 0:
            assert operations > 20
            return
    raise AssertionError("the story never ended")


@pytest.mark.parametrize(("count", "secs"), [(2, 10), (1, 10), (1, 0)])
def test_a_rebalance_that_is_cut_short_goes_on_where_it_was(
    new_cluster: Callable[..., Cluster], count: int, secs: int
) -> None:
    """At any operation: the topology is never moved back to what it was, and does not wait for the rest again.

    With a count of 1 and no wait the next leader has not got the new conf.
    """
    halves = set()
    for operations in range(1, 400):
        cluster, follower = two_disks(new_cluster, "rebalance", count)
        (topology_id,) = cluster.state.topology_ids()
        request = RebalanceRequest(num_workers=4, conf_overrides={"mine": 2}, spread=False)
        cluster.core.rebalance("wc", request, secs)
        if secs:
            cluster.settle(cluster.nimbus, follower)
        first = cluster.assignment(topology_id)
        cluster.clock.secs += secs
        at = AtOperation(cluster, operations, lambda: Fault.REFUSED)
        with suppress(StormError):
            cluster.core.step()
        cluster.tree.faults = None
        cluster.kill_nimbus(cluster.nimbus)
        cluster.core, cluster.state = follower.core, follower.state
        base, second = cluster.state.storm_base(topology_id), cluster.assignment(topology_id)
        assert base is not None
        halves.add((base.num_workers, len(second.slot_epochs), base.status))
        cluster.settle(follower)
        with_its_only_holder = base.status is TopologyStatus.ACTIVE and not secs  # the new conf is gone
        assert is_done(cluster, "rebalance") == (base.num_workers == 4 or not secs) or with_its_only_holder
        if base.num_workers == 2 and secs:
            assert cluster.assignment(topology_id) == first
            for _ in range(2):
                cluster.clock.secs += 61  # longer than a new conf waits for a second Nimbus
                cluster.settle(follower)
        assert is_done(cluster, "rebalance") or with_its_only_holder
        assert cluster.assignment(topology_id).version == first.version + 1
        if at.left > 0:
            rebalancing, active = TopologyStatus.REBALANCING, TopologyStatus.ACTIVE
            assert halves == {(2, 2, rebalancing), (4, 2, rebalancing), (4, 4, rebalancing), (4, 4, active)}
            return
    raise AssertionError("the story never ended")


def is_done(cluster: Cluster, what: str) -> bool:
    snapshot = cluster.core.snapshot
    topology_id = snapshot.id_of("wc")
    if what == "kill" or topology_id is None:
        return (what == "kill") == (topology_id is None)
    assignment = cluster.state.assignment(topology_id)
    return (
        topology_id in snapshot.plans
        and assignment is not None
        and len(assignment.slot_epochs) == (4 if what == "rebalance" else 2)
        and assignment.blob_hashes == snapshot.bases[topology_id].blob_hashes
        and snapshot.plans[topology_id].conf.get("mine") == (2 if what == "rebalance" else None)
        and snapshot.bases[topology_id].status is TopologyStatus.ACTIVE
    )


def test_every_write_of_a_leader_is_fenced_but_for_what_is_its_own(two_nodes: Cluster, follower: Nimbus) -> None:
    """Own is what ends with its session."""
    writes: dict[str, set[str]] = {"fenced": set(), "not": set()}

    def note(storage: Any, method: str, path: str) -> None:
        if method not in ("get", "children") and storage._session is two_nodes.nimbus.storage._session:
            top = "/" + path.split("/")[1]
            writes["not" if storage._fence is None else "fenced"].add(f"{method} {top}")

    two_nodes.state.report_error("ghost-1-1", "count", ErrorInfo("late", 1, "h", 6700))
    two_nodes.tree.faults = note
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    two_nodes.tree.session().delete(paths.CLUSTER_ID)
    follower.election.leave()
    two_nodes.core.step()
    two_nodes.begin(two_nodes.nimbus, count=2)
    two_nodes.settle(follower, two_nodes.nimbus)
    drains.drain(two_nodes.core, "host-a", 0)
    two_nodes.settle(two_nodes.nimbus, follower)
    drains.undrain(two_nodes.core, "host-a")
    two_nodes.settle(two_nodes.nimbus, follower)
    two_nodes.core.user_blobs.begin(BlobChange("k", two_nodes.blob_store.create(K, [b"x"]).sha256, 1, True, 1))
    two_nodes.core.delete_blob("k")
    for what in ("rebalance", "deactivate", "debug", "log config", "kill"):
        ask(two_nodes.nimbus, two_nodes, what)
        two_nodes.settle(two_nodes.nimbus, follower)
    two_nodes.pass_time(320)
    assert writes == {
        "fenced": {
            "create /cluster-id", "create /storms", "set /storms", "delete /storms", "create /assignments",
            "put /drains", "delete /drains",
            "set /assignments", "delete /assignments", "put /logconfigs", "delete /logconfigs", "delete /errors",
            "delete /blobstore", "put /leader-info", "put /userblobs", "delete /userblobs",
        },
        "not": {
            "create /leader-lock", "put_ephemeral /nimbuses", "put_ephemeral /blobstore",
            "delete /blobstore",  # of its own replica
        },
    }  # fmt: skip


def test_a_submission_that_waits_without_end_is_offered_again_after_another_led_and_cleaned_up(
    two_nodes: Cluster, follower: Nimbus
) -> None:
    """While its leader stood still for longer than a session."""
    pending = two_nodes.begin(two_nodes.nimbus, count=2, **{"topology.max.replication.wait.time.sec": -1})
    session = two_nodes.nimbus.storage
    two_nodes.tree.suspend(session)
    two_nodes.tree.expire(session)
    for _ in range(50):
        two_nodes.clock.secs += 10
        two_nodes.settle(follower)
    assert follower.state.blob_keys() == []
    two_nodes.kill_nimbus(follower)
    two_nodes.tree.resume(session)
    other = two_nodes.start_nimbus("nimbus-3", MemoryBlobStore())
    two_nodes.settle(two_nodes.nimbus, other)
    assert pending.done.done()
    assert pending.done.exception() is None
