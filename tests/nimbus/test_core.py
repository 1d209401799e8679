"""Stories of a cluster, told to Nimbus step by step."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from storm.blobstore.blob_store import conf_key, topology_keys
from storm.blobstore.memory import MemoryBlobStore
from storm.cluster import paths, record_codec
from storm.cluster.memory import Fault
from storm.cluster.records import (
    BUILDING_ENVIRONMENT,
    FETCHING,
    Assignment,
    DebugOptions,
    ErrorInfo,
    LogConfig,
    LoggerLevel,
    RebalanceRequest,
    SlotFailure,
    TopologyStatus,
)
from storm.errors import (
    BlobStoreError,
    CoordinationError,
    InvalidTopologyError,
    InvalidTransitionError,
    NotLeaderError,
    StormError,
    TopologyAlreadyAliveError,
    TopologyNotAliveError,
)
from storm.ids import ExecutorId
from storm.nimbus.core import SubmitRequest
from storm.nimbus.heartbeats import WorkerBeat
from storm.nimbus.topology_blobs import TopologyBlobs
from storm.topology.structure import StormTopology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from storm.blobstore.blob_store import BlobMeta

    Cluster = Any  # of conftest


def used_nodes(cluster: Cluster, topology_id: str) -> Counter[str]:
    return Counter(slot.node_id for slot in cluster.assignment(topology_id).slot_executors())


def status(cluster: Cluster, topology_id: str) -> TopologyStatus:
    base = cluster.state.storm_base(topology_id)
    assert base is not None
    return base.status


def test_a_submitted_topology_is_assigned_at_the_next_step(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    assignment = two_nodes.assignment(topology_id)
    assert topology_id.startswith("wc-1-17")
    assert sorted(assignment.executor_slots) == [ExecutorId(task, task) for task in range(1, 8)]
    assert used_nodes(two_nodes, topology_id) == {"a": 1, "b": 1}
    assert assignment.node_hosts == {"a": "host-a", "b": "host-b"}
    assert set(assignment.blob_hashes) == set(topology_keys(topology_id))
    assert (assignment.version, set(assignment.slot_epochs.values())) == (1, {1})
    assert status(two_nodes, topology_id) is TopologyStatus.ACTIVE


def test_a_step_without_news_writes_nothing(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    before = two_nodes.assignment(topology_id)
    two_nodes.pass_time(300, beating=[topology_id])
    assert two_nodes.assignment(topology_id) == before


def test_a_topology_waits_for_slots_and_gets_them_when_a_supervisor_comes(cluster: Cluster) -> None:
    topology_id = cluster.submit()
    assert cluster.state.assignment(topology_id) is None
    woken = cluster.nimbus.woken
    cluster.start_supervisor("a", [6700])
    assert cluster.nimbus.woken > woken
    cluster.core.step()
    assert used_nodes(cluster, topology_id) == {"a": 1}
    cluster.start_supervisor("b", [6700])
    cluster.core.step()
    assert used_nodes(cluster, topology_id) == {"a": 1, "b": 1}


def test_workers_of_a_lost_machine_are_placed_anew_and_the_others_stay(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    two_nodes.pass_time(60, beating=[topology_id])
    before = two_nodes.assignment(topology_id)
    two_nodes.stop_supervisor("a")
    two_nodes.pass_time(10, beating=[topology_id])
    assert two_nodes.assignment(topology_id) == before  # it may only be restarting: its workers could beat themselves
    two_nodes.pass_time(2, beating=[topology_id])
    after = two_nodes.assignment(topology_id)
    assert used_nodes(two_nodes, topology_id) == {"b": 2}
    stayed = [executor for executor, slot in before.executor_slots.items() if slot.node_id == "b"]
    assert all(after.executor_slots[executor] == before.executor_slots[executor] for executor in stayed)
    kept = next(slot for slot in before.slot_epochs if slot.node_id == "b")
    assert (after.version, after.slot_epochs[kept]) == (2, 1)
    assert all(after.executor_start_wall_secs[e] == before.executor_start_wall_secs[e] for e in stayed)


def test_a_worker_that_hangs_is_started_anew_elsewhere(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 1})
    two_nodes.pass_time(130, beating=[topology_id])
    slot = next(iter(two_nodes.assignment(topology_id).slot_epochs))
    two_nodes.pass_time(32)
    after = two_nodes.assignment(topology_id)
    assert slot not in after.slot_epochs
    assert set(after.slot_epochs.values()) == {2}


def test_a_worker_whose_topology_has_a_longer_timeout_is_waited_for(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 1, "topology.worker.timeout.secs": 60})
    two_nodes.pass_time(130, beating=[topology_id])
    before = two_nodes.assignment(topology_id)
    two_nodes.pass_time(60)
    assert two_nodes.assignment(topology_id) == before
    two_nodes.pass_time(2)
    assert two_nodes.assignment(topology_id) != before


def test_workers_that_beat_while_a_step_takes_long_are_alive(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    two_nodes.pass_time(130, beating=[topology_id])
    before = two_nodes.assignment(topology_id)
    beats = [
        WorkerBeat(topology_id, frozenset(executors), 1, slot.node_id, slot.port, 60)
        for slot, executors in before.slot_executors().items()
    ]
    slow_reads = [40, 0]

    def answer_slowly(storage: Any, method: str, path: str) -> None:
        if path.startswith(paths.SUPERVISORS) and slow_reads:
            two_nodes.clock.secs += slow_reads.pop(0)
            two_nodes.core.hear(beats)

    two_nodes.tree.faults = answer_slowly
    two_nodes.core.step()
    assert two_nodes.core.silent == frozenset()
    assert two_nodes.assignment(topology_id) == before


def test_everything_is_read_again_once_however_many_topologies_go(new_cluster: Callable[[], Cluster]) -> None:
    def looks(removed: int) -> int:
        cluster = new_cluster()
        for turn in range(removed):
            cluster.submit(f"wc{turn}")
            cluster.core.kill(f"wc{turn}", 5)
        cluster.core.step()
        cluster.clock.secs += 6
        asked: list[str] = []
        cluster.tree.faults = lambda storage, method, path: asked.append(path)
        cluster.core.step()
        assert cluster.state.topology_ids() == []
        return asked.count(paths.SUPERVISORS)

    assert looks(1) == looks(5)


@pytest.mark.parametrize("state", [BUILDING_ENVIRONMENT, FETCHING])
def test_a_worker_is_not_given_up_while_what_it_needs_is_built_or_comes(two_nodes: Cluster, state: str) -> None:
    topology_id = two_nodes.submit()
    before = two_nodes.assignment(topology_id)
    (building, running) = sorted(before.slot_epochs)
    failure = SlotFailure(building.port, topology_id, state, 0, "waits for it", "", 0)
    info = two_nodes.core.snapshot.supervisors[building.node_id]

    def beat_of_the_other(secs: int) -> None:
        for _ in range(secs):
            two_nodes.clock.secs += 1
            beat = WorkerBeat(
                topology_id, frozenset(before.slot_executors()[running]), two_nodes.clock.wall_secs(), uptime_secs=1
            )
            two_nodes.core.record([beat])
            two_nodes.core.step()

    two_nodes.supervisors[building.node_id].put_supervisor(replace(info, failures=(failure,)))
    beat_of_the_other(500)
    assert two_nodes.assignment(topology_id) == before
    two_nodes.supervisors[building.node_id].put_supervisor(info)
    beat_of_the_other(119)
    assert two_nodes.assignment(topology_id) == before, "its time to start begins only now"
    beat_of_the_other(2)
    after = two_nodes.assignment(topology_id)
    assert building not in after.slot_epochs
    assert after.slot_epochs[running] == before.slot_epochs[running]


def test_a_hanging_worker_on_the_only_slot_is_started_anew_there(cluster: Cluster) -> None:
    cluster.start_supervisor("a", [6700])
    topology_id = cluster.submit()
    cluster.pass_time(130, beating=[topology_id])
    cluster.pass_time(32)
    assert list(cluster.assignment(topology_id).slot_epochs.values()) == [2]
    cluster.pass_time(100)
    assert list(cluster.assignment(topology_id).slot_epochs.values()) == [2]  # it has its grace to come up


def test_when_all_machines_are_gone_the_assignment_stays_for_their_return(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    two_nodes.pass_time(60, beating=[topology_id])
    before = two_nodes.assignment(topology_id)
    two_nodes.stop_supervisor("a")
    two_nodes.stop_supervisor("b")
    two_nodes.pass_time(100)
    assert two_nodes.assignment(topology_id) == before
    two_nodes.start_supervisor("b")
    two_nodes.pass_time(1)
    assert used_nodes(two_nodes, topology_id) == {"b": 2}


def test_names_are_checked(two_nodes: Cluster) -> None:
    two_nodes.submit("wc")
    with pytest.raises(TopologyAlreadyAliveError, match=r"'wc' is there already: wc-1-.*ACTIVE"):
        two_nodes.submit("wc")
    for name in ("", " wc", "a/b", "a.b", "a:b", "a\\b", "a\nb", "a#b", "x" * 129, "ü" * 128):
        with pytest.raises(InvalidTopologyError):
            two_nodes.submit(name)
    assert two_nodes.core.snapshot.id_of("wc") is not None
    assert len(two_nodes.core.snapshot.bases) == 1


def test_what_cannot_run_is_refused_and_leaves_nothing(two_nodes: Cluster) -> None:
    def submit(conf: str = "{}", topology: StormTopology | None = None) -> str:
        return two_nodes.core.submit(SubmitRequest("t", conf, topology or StormTopology(), [b""]))

    with pytest.raises(InvalidTopologyError, match="spout"):
        submit()
    for conf in ("[]", "{", '{"a": NaN}', "[" * 100_000, '{"topology.workers": "two"}'):
        with pytest.raises(InvalidTopologyError):
            submit(conf)
    assert two_nodes.blob_store.keys() == []
    assert two_nodes.core.snapshot.bases == {}


def test_limits_on_workers_and_executors_hold(two_nodes: Cluster) -> None:
    two_nodes.options = replace(two_nodes.options, slots_per_topology_max=2, executors_per_topology_max=8)
    two_nodes.nimbus.election.leave()
    two_nodes.core = two_nodes.start_nimbus("nimbus-2").core
    two_nodes.core.step()
    with pytest.raises(InvalidTopologyError, match=r"3 workers; nimbus\.slots\.perTopology allows 2"):
        two_nodes.submit("many", conf={"topology.workers": 3})
    two_nodes.submit("fits")
    with pytest.raises(InvalidTopologyError, match="3 workers"):
        two_nodes.core.rebalance("fits", RebalanceRequest(num_workers=3))


def test_a_topology_too_large_for_zookeeper_is_refused_before_anything_is_stored(two_nodes: Cluster) -> None:
    huge = two_nodes.word_count(counts=30_000)
    with pytest.raises(InvalidTopologyError, match="Assignment takes"):
        two_nodes.submit("huge", huge)
    assert two_nodes.blob_store.keys() == []


def test_unknown_names_are_answered_with_the_known_ones(two_nodes: Cluster) -> None:
    two_nodes.submit("wordcount")
    with pytest.raises(TopologyNotAliveError, match=r"'wordcoutn'\. Did you mean 'wordcount'\? There is: wordcount"):
        two_nodes.core.kill("wordcoutn")


def test_activation_is_a_matter_of_status_only(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(active=False)
    assert status(two_nodes, topology_id) is TopologyStatus.INACTIVE
    before = two_nodes.assignment(topology_id)
    two_nodes.core.activate("wc")
    two_nodes.core.step()
    assert status(two_nodes, topology_id) is TopologyStatus.ACTIVE
    two_nodes.core.deactivate("wc")
    two_nodes.core.step()
    assert status(two_nodes, topology_id) is TopologyStatus.INACTIVE
    assert two_nodes.assignment(topology_id) == before


def test_a_killed_topology_is_gone_after_its_wait_and_leaves_nothing(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    two_nodes.state.report_error(topology_id, "count", ErrorInfo("boom", 1, "h", 6700))
    two_nodes.core.set_log_config(topology_id, lambda _: LogConfig({"ROOT": LoggerLevel("DEBUG")}))
    two_nodes.core.kill("wc", 20)
    assert two_nodes.core.step() == 10
    two_nodes.pass_time(15, beating=[topology_id])
    assert two_nodes.core.step() == 5
    assert status(two_nodes, topology_id) is TopologyStatus.KILLED
    with pytest.raises(InvalidTransitionError, match="'wc' has status KILLED"):
        two_nodes.core.activate("wc")
    two_nodes.clock.secs += 5
    two_nodes.core.step()
    assert two_nodes.state.topology_ids() == two_nodes.state.assignment_ids() == []
    assert two_nodes.state.error_topology_ids() == []
    assert two_nodes.state.log_config(topology_id) is None
    assert two_nodes.blob_store.keys() == []
    assert two_nodes.submit("wc") != topology_id


def test_a_kill_waits_for_the_message_timeout_unless_told_otherwise(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(conf={"topology.message.timeout.secs": 44})
    two_nodes.core.kill("wc")
    base = two_nodes.state.storm_base(topology_id)
    assert (base.wait_secs, base.due_wall_secs) == (44, two_nodes.clock.wall_secs() + 44)
    with pytest.raises(InvalidTopologyError):
        two_nodes.core.kill("wc", -1)


def test_a_pending_kill_survives_the_leader(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    two_nodes.core.kill("wc", 60)
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    successor = two_nodes.start_nimbus("nimbus-2")
    successor.core.step()
    two_nodes.clock.secs += 59
    successor.core.step()
    assert successor.state.topology_ids() == [topology_id]
    two_nodes.clock.secs += 1
    successor.core.step()
    assert successor.state.topology_ids() == []


def test_a_new_leader_disturbs_nobody(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    two_nodes.pass_time(60, beating=[topology_id])
    before = two_nodes.assignment(topology_id)
    successor = two_nodes.start_nimbus("nimbus-2")
    successor.core.step()
    with pytest.raises(NotLeaderError, match="the leader is nimbus-1:6627"):
        successor.core.kill("wc")
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    with pytest.raises(NotLeaderError):
        two_nodes.core.kill("wc")
    two_nodes.core = successor.core
    two_nodes.state = successor.state
    two_nodes.pass_time(29)  # not a beat yet
    two_nodes.pass_time(200, beating=[topology_id])
    assert two_nodes.assignment(topology_id) == before


def test_a_nimbus_that_was_cut_off_and_leads_again_disturbs_nobody(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    two_nodes.pass_time(200, beating=[topology_id])
    before = two_nodes.assignment(topology_id)
    two_nodes.tree.suspend(two_nodes.nimbus.storage)
    for _ in range(6):
        two_nodes.clock.secs += 10
        with pytest.raises(CoordinationError):
            two_nodes.core.step()
    two_nodes.tree.resume(two_nodes.nimbus.storage)
    two_nodes.core.step()
    assert two_nodes.assignment(topology_id) == before
    two_nodes.pass_time(200, beating=[topology_id])
    assert two_nodes.assignment(topology_id) == before


def test_taking_office_is_not_over_before_records_are_of_this_release(
    two_nodes: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    topology_id = two_nodes.submit()
    path = paths.assignment(topology_id)
    form = record_codec.FORMATS[Assignment]
    monkeypatch.setitem(record_codec.FORMATS, Assignment, form._replace(also_read={2: lambda fields: fields}))
    of_the_next_release = msgspec.msgpack.encode((form.kind, 2, two_nodes.assignment(topology_id)))
    two_nodes.nimbus.storage.put(path, of_the_next_release)
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    two_nodes.tree.faults = lambda storage, method, where: Fault.REFUSED if (method, where) == ("set", path) else None
    with pytest.raises(CoordinationError):
        two_nodes.core.step()
    assert not two_nodes.core.leads
    two_nodes.tree.faults = None
    two_nodes.core.step()
    assert two_nodes.core.leads
    there = two_nodes.nimbus.storage.get(path)
    assert there is not None
    assert there.data == record_codec.encode(two_nodes.assignment(topology_id))


def test_a_rebalance_changes_workers_and_executors_after_its_wait(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    request = RebalanceRequest(num_workers=4, component_executors={"count": 2})
    two_nodes.core.rebalance("wc", request, 10)
    assert status(two_nodes, topology_id) is TopologyStatus.REBALANCING
    with pytest.raises(InvalidTransitionError, match="REBALANCING"):
        two_nodes.core.rebalance("wc", RebalanceRequest())
    two_nodes.pass_time(9, beating=[topology_id])
    assert len(two_nodes.assignment(topology_id).slot_epochs) == 2
    two_nodes.pass_time(1, beating=[topology_id])
    after = two_nodes.assignment(topology_id)
    assert used_nodes(two_nodes, topology_id) == {"a": 2, "b": 2}
    assert [len(executor.tasks()) for executor in sorted(after.executor_slots)] == [1, 1, 2, 1, 1, 1]
    assert status(two_nodes, topology_id) is TopologyStatus.ACTIVE


def test_a_rebalance_down_and_up_again_moves_only_what_it_must(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 4})
    before = two_nodes.assignment(topology_id)
    two_nodes.core.rebalance("wc", RebalanceRequest(num_workers=2), 0)
    two_nodes.core.step()
    after = two_nodes.assignment(topology_id)
    stayed = sum(before.executor_slots[e] == slot for e, slot in after.executor_slots.items())
    assert used_nodes(two_nodes, topology_id) == {"a": 1, "b": 1}
    assert stayed >= 4
    two_nodes.core.rebalance("wc", RebalanceRequest(num_workers=4), 0)
    two_nodes.core.step()
    assert used_nodes(two_nodes, topology_id) == {"a": 2, "b": 2}


def test_a_rebalance_uses_a_machine_that_joined(cluster: Cluster) -> None:
    cluster.start_supervisor("a")
    topology_id = cluster.submit(conf={"topology.workers": 4})
    cluster.start_supervisor("b")
    cluster.pass_time(20, beating=[topology_id])
    assert used_nodes(cluster, topology_id) == {"a": 4}
    cluster.core.rebalance("wc", RebalanceRequest(), 0)
    cluster.core.step()
    assert used_nodes(cluster, topology_id) == {"a": 2, "b": 2}


def test_a_rebalance_cannot_ask_for_what_is_not_there(two_nodes: Cluster) -> None:
    two_nodes.submit()
    for request, text in (
        (RebalanceRequest(component_executors={"cuont": 1}), "Did you mean 'count'"),
        (RebalanceRequest(component_executors={"count": 4}), "can have 1 to 3 executors, not 4"),
        (RebalanceRequest(component_executors={"count": 0}), "can have 1 to 3"),
        (RebalanceRequest(num_workers=0), "at least one worker"),
        (RebalanceRequest(conf_overrides={"topology.acker.executors": 1}), "cannot change"),
        (RebalanceRequest(conf_overrides={"storm.conf.origins": {}}), "cannot change"),
        (RebalanceRequest(conf_overrides={"topology.debug": "maybe"}), r"topology\.debug"),
        (RebalanceRequest(conf_overrides={"topology.workers": "3"}), r"topology\.workers"),
    ):
        with pytest.raises(InvalidTopologyError, match=text):
            two_nodes.core.rebalance("wc", request)


def test_a_rebalance_may_override_the_conf_and_then_starts_all_workers_anew(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(conf={"my.key": 1})
    before = two_nodes.assignment(topology_id)
    two_nodes.core.rebalance("wc", RebalanceRequest(conf_overrides={"my.key": 2, "topology.debug": True}), 0)
    two_nodes.core.step()
    after = two_nodes.assignment(topology_id)
    assert after.executor_slots == before.executor_slots
    assert set(after.slot_epochs.values()) == {2}
    assert after.blob_hashes[conf_key(topology_id)] == two_nodes.blob_store.meta(conf_key(topology_id)).sha256
    assert after.blob_hashes != before.blob_hashes
    conf = two_nodes.core.snapshot.plans[topology_id].conf
    assert (conf["my.key"], conf["topology.debug"]) == (2, True)


def test_the_number_of_ackers_is_fixed_at_submission(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 3})
    two_nodes.core.rebalance("wc", RebalanceRequest(num_workers=5), 0)
    two_nodes.core.step()
    assert len(two_nodes.core.snapshot.plans[topology_id].component_tasks["__acker"]) == 3


def test_code_that_cannot_be_read_leaves_its_topology_as_it_is(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    before = two_nodes.assignment(topology_id)
    two_nodes.blob_store.delete(conf_key(topology_id))
    two_nodes.nimbus.election.leave()
    two_nodes.core = two_nodes.start_nimbus("nimbus-2").core
    two_nodes.pass_time(400)
    assert two_nodes.assignment(topology_id) == before
    other = two_nodes.submit("other", conf={"topology.workers": 8})
    assert not set(two_nodes.assignment(other).slot_epochs) & set(before.slot_epochs)


def test_remains_of_topologies_that_are_gone_are_cleaned_up(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    two_nodes.state.report_error("ghost-1-1", "count", ErrorInfo("late", 1, "h", 6700))
    two_nodes.blob_store.create("ghost-2-2-stormjar.jar", [b"x"])
    two_nodes.blob_store.create("users.own", [b"x"])
    two_nodes.pass_time(295, beating=[topology_id])
    assert two_nodes.state.error_topology_ids() == ["ghost-1-1"]
    two_nodes.pass_time(20, beating=[topology_id])
    assert two_nodes.state.error_topology_ids() == []
    assert two_nodes.blob_store.keys() == sorted([*topology_keys(topology_id), "users.own"])


def test_debug_is_set_for_a_component_or_for_all(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    two_nodes.core.debug("wc", "count", DebugOptions(True, 50))
    two_nodes.core.debug("wc", "", DebugOptions(True, 5))
    base = two_nodes.state.storm_base(topology_id)
    assert base.component_debug == {"count": DebugOptions(True, 50), topology_id: DebugOptions(True, 5)}
    with pytest.raises(TopologyNotAliveError, match="Did you mean 'count'"):
        two_nodes.core.debug("wc", "conut", DebugOptions())


class DyingBlobs(MemoryBlobStore):
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


def test_a_disk_that_refuses_to_delete_keeps_nobody_from_being_scheduled(
    new_cluster: Callable[..., Cluster], caplog: pytest.LogCaptureFixture
) -> None:
    """As one that became read-only does: the killed topology waits, and the others go on."""
    cluster = new_cluster(DyingBlobs())
    cluster.start_supervisor("a")
    cluster.core.step()
    killed, other = cluster.submit("killed"), cluster.submit("other")
    cluster.core.step()

    def refuse() -> None:
        raise BlobStoreError("Read-only file system")

    cluster.blob_store.before = refuse
    cluster.core.kill("killed", 0)
    cluster.core.rebalance("other", RebalanceRequest(num_workers=4), 0)
    cluster.core.step()
    cluster.core.step()
    trouble = f"Topology {killed} cannot be removed yet: Read-only file system"
    assert caplog.text.count(trouble) == 1
    assert cluster.core.replication.trouble == trouble
    assert {*cluster.state.blob_keys()} >= {*topology_keys(killed)}, (
        "what is announced and withdrawn wakes all, for ever"
    )
    assert status(cluster, killed) is TopologyStatus.KILLED
    assignment = cluster.state.assignment(other)
    assert assignment is not None
    assert len(assignment.slot_epochs) == 4
    cluster.blob_store.before = lambda: None
    cluster.core.step()
    assert cluster.state.topology_ids() == [other]
    assert cluster.core.replication.trouble == ""


def test_a_disk_that_cannot_be_read_does_neither(
    new_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = new_cluster(DyingBlobs())
    cluster.start_supervisor("a")
    cluster.core.step()
    other = cluster.submit("other")
    cluster.core.step()

    def unreadable(prefix: str = "") -> list[str]:
        raise BlobStoreError("Input/output error")

    monkeypatch.setattr(cluster.blob_store, "keys", unreadable)
    cluster.core.rebalance("other", RebalanceRequest(num_workers=4), 0)
    cluster.core.step()
    assignment = cluster.state.assignment(other)
    assert assignment is not None
    assert len(assignment.slot_epochs) == 4


class Death:
    """Ends a Nimbus at its n-th operation on ZooKeeper or disk: that one and all later ones fail.

    With `lost_answer` the n-th operation is still carried out.
    """

    def __init__(self, cluster: Cluster, operations: int, lost_answer: bool) -> None:
        self.left = operations
        self.lost_answer = lost_answer
        self._storage = cluster.nimbus.storage
        cluster.tree.faults = self.fault
        cluster.blob_store.before = self.disk

    def fault(self, storage: object, method: str, path: str) -> Fault | None:
        if storage is not self._storage:
            return None
        self.left -= 1
        if self.left == 0 and self.lost_answer:
            return Fault.ANSWER_LOST
        return Fault.REFUSED if self.left <= 0 else None

    def disk(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise BlobStoreError("the process ended")


def succeeded(cluster: Cluster) -> None:
    """Another Nimbus takes over after the death of the first."""
    cluster.tree.faults = None
    cluster.blob_store.before = lambda: None
    cluster.tree.expire(cluster.nimbus.storage)
    cluster.nimbus = cluster.start_nimbus("nimbus-2")
    cluster.core, cluster.state = cluster.nimbus.core, cluster.nimbus.state
    cluster.core.step()


@pytest.mark.parametrize("lost_answer", [False, True])
@pytest.mark.parametrize("stage", ["submit", "rebalance", "kill"])
def test_nimbus_may_end_at_any_operation(new_cluster: Callable[..., Cluster], stage: str, lost_answer: bool) -> None:
    for operations in range(1, 200):
        cluster = new_cluster(DyingBlobs())
        cluster.start_supervisor("a")
        cluster.core.step()
        if stage != "submit":
            cluster.submit("wc")
        death = Death(cluster, operations, lost_answer)
        with suppress(StormError):
            ask(cluster, stage)
            cluster.core.step()
        survived = death.left > 0
        succeeded(cluster)
        if not reached(cluster, stage):
            ask(cluster, stage)
            cluster.core.step()
        assert reached(cluster, stage)
        for _ in range(2):
            cluster.clock.secs += 301  # remains must be seen twice to go
            cluster.core.step()
        assert TopologyBlobs(cluster.blob_store).owners() == set(cluster.state.topology_ids())
        assert cluster.state.assignment_ids() == cluster.state.topology_ids()
        if survived:
            assert operations > 20, "each stage takes more than twenty operations"
            return
    raise AssertionError("the story never ended")


def ask(cluster: Cluster, stage: str) -> None:
    if stage == "submit":
        cluster.submit("wc")
    elif stage == "rebalance":
        cluster.core.rebalance("wc", RebalanceRequest(num_workers=4, conf_overrides={"mine": 2}), 0)
    else:
        cluster.core.kill("wc", 0)


def reached(cluster: Cluster, stage: str) -> bool:
    """Whether all that the request wants is so."""
    topology_id = cluster.core.snapshot.id_of("wc")
    if stage == "kill" or topology_id is None:
        return (stage == "kill") == (topology_id is None)
    workers = 4 if stage == "rebalance" else 2
    assignment = cluster.state.assignment(topology_id)
    plan = cluster.core.snapshot.plans[topology_id]
    hashes = {key: cluster.blob_store.meta(key).sha256 for key in topology_keys(topology_id)}
    return (
        assignment is not None
        and len(assignment.slot_epochs) == workers
        and assignment.blob_hashes == hashes
        and plan.conf.get("mine") == (2 if stage == "rebalance" else None)
        and status(cluster, topology_id) is TopologyStatus.ACTIVE
    )
