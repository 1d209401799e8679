from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.cluster import paths
from storm.nimbus.snapshot_reader import SnapshotReader
from storm.nimbus.topology_blobs import TopologyBlobs

if TYPE_CHECKING:
    import pytest


def test_a_snapshot_holds_what_is_there(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    snapshot = SnapshotReader(two_nodes.state, TopologyBlobs(two_nodes.blob_store)).read()
    assert list(snapshot.bases) == list(snapshot.assignments) == list(snapshot.plans) == [topology_id]
    assert set(snapshot.supervisors) == {"a", "b"}
    assert snapshot.unreadable == snapshot.unreadable_assignments == frozenset()
    base = snapshot.bases[topology_id]
    two_nodes.state.update_storm_base(base, snapshot.base_versions[topology_id])


def test_records_that_cannot_be_read_are_known_to_be_there(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    two_nodes.nimbus.storage.put(paths.storm(topology_id), b"garbage")
    two_nodes.nimbus.storage.put(paths.assignment(topology_id), b"garbage")
    snapshot = SnapshotReader(two_nodes.state, TopologyBlobs(two_nodes.blob_store)).read()
    assert snapshot.bases == snapshot.assignments == {}
    assert snapshot.unreadable == snapshot.unreadable_assignments == {topology_id}


def test_an_unreadable_record_costs_a_topology_nothing(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    whole = two_nodes.nimbus.storage.get(paths.storm(topology_id)).data
    before = two_nodes.assignment(topology_id)
    two_nodes.nimbus.storage.put(paths.storm(topology_id), b"garbage")
    two_nodes.pass_time(400)
    two_nodes.nimbus.storage.put(paths.storm(topology_id), whole)
    two_nodes.core.step()
    assert two_nodes.core.snapshot.bases[topology_id].name == "wc"
    assert two_nodes.assignment(topology_id).version <= before.version + 1
    assert len(two_nodes.blob_store.keys()) == 3


def test_supervisors_that_come_and_go_are_logged(two_nodes: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "storm.nimbus")
    reader = SnapshotReader(two_nodes.state, TopologyBlobs(two_nodes.blob_store))
    reader.read()
    assert not caplog.messages
    two_nodes.stop_supervisor("b")
    reader.read()
    reader.read()
    two_nodes.start_supervisor("c")
    reader.read()
    assert caplog.messages == ["The supervisor of host-b (b) is gone.", "The supervisor of host-c (c) is there."]
