from __future__ import annotations

import json
from typing import Any

import pytest

from storm.cluster.records import ErrorInfo, Recording, SlotFailure, SupervisorInfo
from storm.errors import NotLeaderError, TopologyNotAliveError
from storm.nimbus.queries import NimbusQueries
from storm.nimbus.topology_view import view_topology
from storm.thrift.binary_protocol import encode_message, read_scanned
from storm.thrift.interface import service, storm_thrift
from storm.thrift.prescan import CALL, REPLY, MessageHeader, scan_message
from storm.thrift.processor import Processor


@pytest.fixture
def queries(two_nodes: Any) -> NimbusQueries:
    return NimbusQueries(two_nodes.core)


def test_the_leader_is_named_by_leader_and_follower(two_nodes: Any, queries: NimbusQueries) -> None:
    follower = two_nodes.start_nimbus("nimbus-2")
    follower.core.step()
    assert queries.getLeader().host == NimbusQueries(follower.core).getLeader().host == "nimbus-1"
    assert [one.getLeader().is_answering for one in (queries, NimbusQueries(follower.core))] == [True, False]
    assert [(one.host, one.isLeader) for one in queries.getClusterInfo().nimbuses] == [
        ("nimbus-1", True),
        ("nimbus-2", False),
    ]
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    two_nodes.tree.expire(follower.storage)
    with pytest.raises(NotLeaderError, match="No Nimbus leads"):
        NimbusQueries(two_nodes.start_nimbus("nimbus-3").core).getLeader()


def test_a_follower_answers_what_it_last_saw(two_nodes: Any) -> None:
    follower = two_nodes.start_nimbus("nimbus-2")
    topology_id = two_nodes.submit()
    follower.core.step()
    summaries = NimbusQueries(follower.core).getTopologySummaries()
    assert [(one.id, one.num_workers) for one in summaries] == [(topology_id, 2)]


def test_errors_come_all_one_or_none(two_nodes: Any, queries: NimbusQueries) -> None:
    topology_id = two_nodes.submit()
    t = storm_thrift()
    for n in range(3):
        two_nodes.state.report_error(topology_id, "count", ErrorInfo(f"e{n}", n, "h", 6700))

    def texts(choice: int) -> dict[str, list[str]]:
        info = queries.getTopologyInfoWithOpts(topology_id, t.GetInfoOptions(num_err_choice=choice))
        return {component: [error.error for error in errors] for component, errors in info.errors.items()}

    assert texts(t.NumErrorsChoice.ALL) == {"count": ["e2", "e1", "e0"]}
    assert texts(t.NumErrorsChoice.ONE) == {"count": ["e2"]}
    assert texts(t.NumErrorsChoice.NONE) == {}
    assert len(queries.getTopologyInfoByName("wc").errors["count"]) == 3
    assert len(queries.getComponentPageInfo(topology_id, "count", "600", False).errors) == 3


def test_of_executors_only_those_of_one_worker_are_told_where_that_is_asked(
    two_nodes: Any, queries: NimbusQueries
) -> None:
    topology_id = two_nodes.submit()
    t = storm_thrift()
    every = queries.getTopologyInfoWithOpts(topology_id, t.GetInfoOptions()).executors
    first = every[0]
    asked = t.GetInfoOptions(num_err_choice=t.NumErrorsChoice.NONE, host=first.host, port=first.port)
    found = queries.getTopologyInfoWithOpts(topology_id, asked).executors
    assert found == [one for one in every if (one.host, one.port) == (first.host, first.port)]
    assert 0 < len(found) < len(every)
    asked.port = 1
    assert queries.getTopologyInfoWithOpts(topology_id, asked).executors == []


def test_secrets_do_not_leave_in_confs(two_nodes: Any, queries: NimbusQueries) -> None:
    topology_id = two_nodes.submit(conf={"my.password": "hunter2", "plain": 1})
    conf = queries.getTopologyConf(topology_id)
    assert "hunter2" not in conf
    assert json.loads(conf)["plain"] == 1
    assert "hunter2" not in queries.getTopologyPageInfo(topology_id, ":all-time", False).topology_conf
    assert json.loads(queries.getNimbusConf())["nimbus.thrift.port"] == 6627


def test_supervisors_read_their_own_assignments(two_nodes: Any, queries: NimbusQueries) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 1})
    (node,) = two_nodes.assignment(topology_id).node_hosts
    assert set(queries.getSupervisorAssignments(node).storm_assignment) == {topology_id}
    assert queries.getSupervisorAssignments("other").storm_assignment == {}


@pytest.mark.parametrize("method", ["getTopologyInfo", "getTopologyConf", "getUserTopology", "getLogConfig"])
def test_an_unknown_id_is_refused_with_the_known_ones(two_nodes: Any, queries: NimbusQueries, method: str) -> None:
    topology_id = two_nodes.submit()
    with pytest.raises(TopologyNotAliveError, match=topology_id):
        getattr(queries, method)("wc-1-1")


def test_an_unknown_window_means_all_time(two_nodes: Any, queries: NimbusQueries) -> None:
    topology_id = two_nodes.submit()
    assert queries.getTopologyPageInfo(topology_id, "5", False).topology_stats.window_to_acked[":all-time"] == 0


def test_a_page_about_a_host_lists_its_supervisors(two_nodes: Any, queries: NimbusQueries) -> None:
    two_nodes.submit()
    page = queries.getSupervisorPageInfo("", "host-b", False)
    assert [one.supervisor_id for one in page.supervisor_summaries] == ["b"]
    assert len(page.worker_summaries) == 1


def call(handler: object, method: str, **arguments: Any) -> Any:
    """As it comes over Thrift, where an argument may be missing."""
    nimbus = service("Nimbus")
    body = getattr(nimbus, f"{method}_args")(**arguments)
    reply = Processor("Nimbus", handler).process(encode_message(MessageHeader(method, CALL, 7, 0), body))
    assert reply is not None
    header = scan_message(reply)
    assert header.kind == REPLY, reply
    return read_scanned(getattr(nimbus, f"{method}_result"), reply, header.body_offset).success


def test_what_storms_ui_leaves_out_or_takes_for_granted(two_nodes: Any, queries: NimbusQueries) -> None:
    topology_id = two_nodes.submit()
    assert call(queries, "getTopologyHistory").topo_ids == [topology_id]
    assert [one.total_topologies for one in call(queries, "getOwnerResourceSummaries")] == [1]
    for page in (
        call(queries, "getSupervisorPageInfo", id="b", is_include_sys=False),
        call(queries, "getSupervisorPageInfo", host="host-b", is_include_sys=False),
    ):
        assert [one.supervisor_id for one in page.supervisor_summaries] == ["b"]
    stop = storm_thrift().ProfileAction.JPROFILE_STOP
    asked = {"id": topology_id, "component_id": "count", "action": stop}
    assert call(queries, "getComponentPendingProfileActions", **asked) == []
    for component_id in ("words", "count"):
        asked = {"topology_id": topology_id, "component_id": component_id, "window": "600", "is_include_sys": True}
        assert call(queries, "getComponentPageInfo", **asked).resources_map == {}


def test_a_page_tells_of_failing_slots_as_soon_as_their_supervisor_does(two_nodes: Any, queries: NimbusQueries) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 1})
    (node,) = two_nodes.assignment(topology_id).node_hosts
    assert queries.getTopologyPageInfo(topology_id, "600", False).slot_failures == []
    told = SlotFailure(6700, topology_id, "backing-off", 3, "exited with code 13", "last words", 0)
    for each, state in two_nodes.supervisors.items():
        state.put_supervisor(SupervisorInfo(each, each, (6700,), (), 6628, 0, "1", failures=(told,)))
    (failure,) = queries.getTopologyPageInfo(topology_id, "600", False).slot_failures
    assert (failure.supervisor_id, failure.last_lines) == (node, "last words")


def test_recordings_of_workers_that_run_a_component_are_told(two_nodes: Any, queries: NimbusQueries) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 2})
    action = storm_thrift().ProfileAction
    view = view_topology(two_nodes.core.snapshot, two_nodes.core.heartbeats, topology_id, 0)
    [worker] = [one for one in view.workers if one.slot.node_id == "b"]
    port = worker.slot.port
    told = (
        Recording(port, topology_id, 1_000),
        Recording(port + 1, topology_id, 2_000),
        Recording(port, "gone", 3_000),
    )
    for node, state in two_nodes.supervisors.items():
        recordings = told if node == "b" else ()
        state.put_supervisor(SupervisorInfo(node, node, (port,), (), 6628, 0, "1", recordings=recordings))
    here = view.component_tasks_on(worker)
    for component in ("words", "count", "__acker", "nothing"):
        found = queries.getComponentPendingProfileActions(topology_id, component, action.JPROFILE_STOP)
        assert [(one.nodeInfo.node, one.nodeInfo.port, one.action, one.time_stamp) for one in found] == (
            [(worker.host, {port}, action.JPROFILE_STOP, 1_000_000)] if component in here else []
        )
    component = next(iter(here))
    assert queries.getComponentPendingProfileActions(topology_id, component, action.JPROFILE_DUMP) == []
    asked = {"id": topology_id, "component_id": component, "action": action.JPROFILE_STOP}
    assert len(call(queries, "getComponentPendingProfileActions", **asked)) == 1


def test_owners_are_told_of_their_topologies(two_nodes: Any, queries: NimbusQueries) -> None:
    ids = [
        two_nodes.submit(name, conf={"topology.submitter.user": owner, "topology.workers": 1})
        for name, owner in (("one", "ann"), ("two", "bob"), ("three", "ann"))
    ]
    assert [(one.owner, one.total_topologies) for one in queries.getOwnerResourceSummaries("")] == [
        ("ann", 2),
        ("bob", 1),
    ]
    assert [one.owner for one in queries.getOwnerResourceSummaries("bob")] == ["bob"]
    assert queries.getOwnerResourceSummaries("eve") == []
    assert sorted(queries.getTopologyHistory("").topo_ids) == sorted(ids)


def test_a_users_topology_is_as_he_built_it_and_the_systems_has_consumers(
    two_nodes: Any, queries: NimbusQueries
) -> None:
    topology_id = two_nodes.submit(conf={"topology.metrics.consumer.register": [{"class": "log"}]})
    assert sorted(queries.getUserTopology(topology_id).bolts) == ["count"]
    assert sorted(queries.getTopology(topology_id).bolts) == ["__acker", "__metrics_log", "count"]
