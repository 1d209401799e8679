"""Nimbus as its users meet it: a process that speaks Thrift and writes to ZooKeeper."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from zookeeper_servers import give_to_another

from storm.client import submitter
from storm.client.code_package import CodePackage
from storm.cluster.records import TopologyStatus
from storm.errors import (
    BlobNotFoundError,
    InvalidTopologyError,
    InvalidTransitionError,
    NimbusUnreachableError,
    NotLeaderError,
    StormError,
    TopologyAlreadyAliveError,
    TopologyNotAliveError,
    UploadNotFoundError,
)
from storm.ids import ExecutorId, GlobalStreamId
from storm.metrics.stats_records import ALL_TIME, BoltStats, ExecutorStats, SpoutStats
from storm.thrift import convert
from storm.thrift.client import ThriftClient
from storm.thrift.interface import storm_thrift
from storm.thrift.nimbus_client import NimbusClient
from storm.topology.structure import (
    ComponentSpec,
    Grouping,
    GroupingKind,
    PythonObject,
    StormTopology,
    StreamInfo,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORD_COUNT = StormTopology(
    {"words": ComponentSpec(PythonObject(b"spout"), {}, {"default": StreamInfo(("word",))}, 2)},
    {
        "count": ComponentSpec(
            PythonObject(b"bolt"),
            {GlobalStreamId("words", "default"): Grouping(GroupingKind.FIELDS, ("word",))},
            {},
            3,
        )
    },
)


def submit(client: NimbusClient, package: Path, name: str = "wc", **conf: Any) -> str:
    location = client.upload_file(package)
    options = storm_thrift().SubmitOptions(initial_status=storm_thrift().TopologyInitialStatus.ACTIVE)
    text = json.dumps({"topology.workers": 2, **conf})
    client.call("submitTopologyWithOpts", name, location, text, convert.topology_to_thrift(WORD_COUNT), options)
    topology_id: str = client.call("getTopologySummaryByName", name).id
    return topology_id


def beat(client: NimbusClient, topology_id: str, assignment: Any) -> None:
    """Tell Nimbus what the workers of this assignment would: their executors live, and have counted something."""
    t = storm_thrift()
    by_node: dict[str, list[Any]] = {}
    for slot, executors in assignment.slot_executors().items():
        stats = {}
        for executor in executors:
            specific: Any = BoltStats(
                acked={ALL_TIME: {GlobalStreamId("words", "default"): 10}},
                executed={ALL_TIME: {GlobalStreamId("words", "default"): 10}},
                execute_ms_avg={ALL_TIME: {GlobalStreamId("words", "default"): 0.5}},
                process_ms_avg={ALL_TIME: {GlobalStreamId("words", "default"): 0.25}},
            )
            if executor in (ExecutorId(6, 6), ExecutorId(7, 7)):
                specific = SpoutStats(acked={ALL_TIME: {"default": 15}}, complete_ms_avg={ALL_TIME: {"default": 2.0}})
            one = ExecutorStats({ALL_TIME: {"default": 15}}, {ALL_TIME: {"default": 15}}, specific)
            stats[convert.executor_to_thrift(executor)] = convert.executor_stats_to_thrift(one)
        by_node.setdefault(slot.node_id, []).append(
            t.SupervisorWorkerHeartbeat(
                storm_id=topology_id,
                executors=[convert.executor_to_thrift(executor) for executor in executors],
                time_secs=int(time.time()),
                port=slot.port,
                uptime_secs=77,
                executor_stats=stats,
            )
        )
    for node_id, beats in by_node.items():
        client.call("sendSupervisorWorkerHeartbeats", t.SupervisorWorkerHeartbeats(node_id, beats))


def test_a_topologys_life_over_thrift(site: Any, package: Path, wait: Callable[..., Any]) -> None:
    nimbus = site.start_nimbus()
    nimbus.wait_leading()
    site.start_supervisor("a")
    site.start_supervisor("b")
    with nimbus.client() as client:
        wait(lambda: len(client.call("getClusterInfo").supervisors) == 2, "both supervisors are known")
        assert client.call("isTopologyNameAllowed", "wc") is True
        topology_id = submit(client, package)
        submitted_at = time.monotonic()
        assignment = wait(lambda: site.state.assignment(topology_id), "it is assigned", 5)
        print(f"assigned {time.monotonic() - submitted_at:.3f} s after the answer to the submission")
        assert len(assignment.slot_epochs) == 2
        assert client.call("isTopologyNameAllowed", "wc") is False

        for key, expected in assignment.blob_hashes.items():
            assert hashlib.sha256(download(client, key)).hexdigest() == expected
            assert client.call("getBlobMeta", key).sha256 == expected
        assert download(client, f"{topology_id}-stormjar.jar") == package.read_bytes()
        code = convert.topology_from_bytes(download(client, f"{topology_id}-stormcode.ser"))
        assert set(code.components()) == {"words", "count"}
        with pytest.raises(BlobNotFoundError):
            client.call("beginBlobDownload", "no-such-blob")

        beat(client, topology_id, assignment)
        page = wait(lambda: with_figures(client, topology_id), "figures have come", 5)
        check_page(page)
        check_component_pages(client, topology_id)
        check_other_reads(client, topology_id)
        check_changes(client, topology_id, wait)
        check_refusals(client, package)

        t = storm_thrift()
        client.call("killTopologyWithOpts", "wc", t.KillOptions(wait_secs=1))
        with pytest.raises(InvalidTransitionError, match="KILLED"):
            client.call("activate", "wc")
        wait(lambda: client.call("getTopologySummaries") == [], "it is gone", 10)
        assert site.state.assignment_ids() == []
        with pytest.raises(TopologyNotAliveError):
            client.call("getTopologyInfo", topology_id)
    assert nimbus.end() == 0
    assert "ERROR" not in nimbus.log.read_text()


def download(client: NimbusClient, key: str) -> bytes:
    received: list[bytes] = []
    client.download_blob(key, received.append)
    return b"".join(received)


def with_figures(client: NimbusClient, topology_id: str) -> Any:
    page = client.call("getTopologyPageInfo", topology_id, ALL_TIME, False)
    return page if page.topology_stats.window_to_acked[ALL_TIME] == 30 else None


def check_page(page: Any) -> None:
    assert (page.num_tasks, page.num_executors, page.num_workers) == (7, 7, 2)
    assert (page.status, page.sched_status) == ("ACTIVE", None)
    assert page.topology_stats.window_to_emitted[ALL_TIME] == 7 * 15
    assert page.topology_stats.window_to_complete_latencies_ms[ALL_TIME] == 2.0
    assert set(page.id_to_spout_agg_stats) == {"words"}
    assert set(page.id_to_bolt_agg_stats) == {"count"}
    count = page.id_to_bolt_agg_stats["count"]
    assert (count.common_stats.num_executors, count.common_stats.acked) == (3, 30)
    assert (count.specific_stats.bolt.executed, count.specific_stats.bolt.execute_latency_ms) == (30, 0.5)
    assert count.specific_stats.bolt.process_latency_ms == 0.25
    assert [worker.uptime_secs for worker in page.workers] == [77, 77]
    assert json.loads(page.topology_conf)["topology.workers"] == 2


def check_component_pages(client: NimbusClient, topology_id: str) -> None:
    t = storm_thrift()
    count = client.call("getComponentPageInfo", topology_id, "count", ALL_TIME, False)
    assert count.component_type == t.ComponentType.BOLT
    assert len(count.exec_stats) == count.num_tasks == 3
    words = t.GlobalStreamId(componentId="words", streamId="default")
    assert count.gsid_to_input_stats[words].common_stats.acked == 30
    spout = client.call("getComponentPageInfo", topology_id, "words", ALL_TIME, False)
    assert spout.sid_to_output_stats["default"].specific_stats.spout.complete_latency_ms == 2.0
    with pytest.raises(TopologyNotAliveError, match="Did you mean 'count'"):
        client.call("getComponentPageInfo", topology_id, "coutn", ALL_TIME, False)


def check_other_reads(client: NimbusClient, topology_id: str) -> None:
    t = storm_thrift()
    info = client.call("getTopologyInfoByName", "wc")
    assert len(info.executors) == 7
    assert all(executor.stats is not None for executor in info.executors)
    one = t.GetInfoOptions(num_err_choice=t.NumErrorsChoice.ONE)
    assert client.call("getTopologyInfoWithOpts", topology_id, one).errors == {}
    assert set(client.call("getTopology", topology_id).bolts) == {"count", "__acker"}
    assert set(client.call("getUserTopology", topology_id).bolts) == {"count"}
    assert json.loads(client.call("getTopologyConf", topology_id))["topology.name"] == "wc"
    assert json.loads(client.call("getNimbusConf"))["nimbus.monitor.freq.secs"] == 10
    cluster = client.call("getClusterInfo")
    assert [(one.supervisor_id, one.num_workers, one.num_used_workers) for one in cluster.supervisors] == [
        ("a", 2, 1),
        ("b", 2, 1),
    ]
    assert [(nimbus.isLeader, nimbus.host) for nimbus in cluster.nimbuses] == [(True, "127.0.0.1")]
    assert cluster.topologies[0].num_workers == 2
    page = client.call("getSupervisorPageInfo", "a", "", False)
    assert [worker.topology_name for worker in page.worker_summaries] == ["wc"]
    assignments = client.call("getSupervisorAssignments", "a").storm_assignment
    assert assignments[topology_id].topology_id == topology_id


def check_changes(client: NimbusClient, topology_id: str, wait: Callable[..., Any]) -> None:
    t = storm_thrift()
    client.call("deactivate", "wc")
    assert client.call("getTopologySummary", topology_id).status == "INACTIVE"
    client.call("activate", "wc")
    assert client.call("getTopologySummary", topology_id).status == "ACTIVE"
    client.call("debug", "wc", "count", True, 20.0)
    assert client.call("getTopologyInfo", topology_id).component_debug["count"].samplingpct == 20.0
    level = t.LogLevel(action=t.LogLevelAction.UPDATE, target_log_level="DEBUG", reset_log_level_timeout_secs=60)
    client.call("setLogConfig", topology_id, t.LogConfig(named_logger_level={"ROOT": level}))
    root = client.call("getLogConfig", topology_id).named_logger_level["ROOT"]
    assert root.target_log_level == "DEBUG"
    assert root.reset_log_level_timeout_epoch > time.time() * 1000
    client.call("rebalance", "wc", t.RebalanceOptions(wait_secs=0, num_workers=4, num_executors={"count": 2}))

    def spread() -> bool:
        summary = client.call("getTopologySummary", topology_id)
        return (summary.num_workers, summary.num_executors, summary.status) == (4, 6, "ACTIVE")

    wait(spread, "it is rebalanced", 5)


def check_refusals(client: NimbusClient, package: Path) -> None:
    with pytest.raises(TopologyAlreadyAliveError, match="'wc'"):
        submit(client, package)
    with pytest.raises(InvalidTopologyError, match="name"):
        submit(client, package, "a/b")
    with pytest.raises(TopologyNotAliveError, match="Did you mean 'wc'"):
        client.call("killTopology", "wcc")
    with pytest.raises(InvalidTopologyError, match="1 to 3 executors, not 9"):
        client.call("rebalance", "wc", storm_thrift().RebalanceOptions(num_executors={"count": 9}))
    with pytest.raises(UploadNotFoundError, match="package is not here"):
        client.call("submitTopology", "other", "/etc/passwd", "{}", convert.topology_to_thrift(WORD_COUNT))
    with pytest.raises(StormError, match="not served yet"):
        client.call("createStateInZookeeper", "key")


def test_a_pending_kill_survives_a_crash_of_nimbus(site: Any, package: Path, wait: Callable[..., Any]) -> None:
    nimbus = site.start_nimbus()
    nimbus.wait_leading()
    site.start_supervisor("a")
    with nimbus.client() as client:
        topology_id = submit(client, package)
        wait(lambda: site.state.assignment(topology_id), "it is assigned")
        client.call("killTopologyWithOpts", "wc", storm_thrift().KillOptions(wait_secs=3))
    nimbus.end(signal.SIGKILL)
    again = site.start_nimbus(port=nimbus.port)
    wait(lambda: site.state.topology_ids() == [], "it is gone", 20)
    assert again.end() == 0


def test_a_second_nimbus_stands_by_and_takes_over(site: Any, package: Path, wait: Callable[..., Any]) -> None:
    first = site.start_nimbus("one")
    first.wait_leading()
    second = site.start_nimbus("two")
    site.start_supervisor("a")

    def followers() -> bool:
        with second.client() as client:
            return len(client.call("getClusterInfo").nimbuses) == 2

    wait(followers, "both are known")
    with first.client() as client:
        topology_id = submit(client, package)
        before = wait(lambda: site.state.assignment(topology_id), "it is assigned")
        wait(lambda: held_by(site, before) == {first.port, second.port}, "its code is on both")
    assert first.end() == 0
    second.wait_leading()
    with second.client() as client:
        assert client.call("getTopologySummaryByName", "wc").status == "ACTIVE"
        assert site.state.assignment(topology_id) == before
        client.call("deactivate", "wc")


def test_a_nimbus_whose_disk_hangs_ends_and_another_one_leads(
    site: Any, package: Path, wait: Callable[..., Any]
) -> None:
    first = site.start_nimbus("one")
    first.wait_leading()
    second = site.start_nimbus("two", **{"nimbus.stuck.secs": 2, "nimbus.monitor.freq.secs": 1})
    site.start_supervisor("a")
    with first.client() as client:
        topology_id = submit(client, package, **{"topology.min.replication.count": 2})
    for file in (site.directory / "two").rglob(f"{topology_id}-*/meta"):
        file.unlink()
        os.mkfifo(file)  # who opens it waits for ever
    first.end(signal.SIGKILL)
    assert second.process.wait(60) == 20
    said = second.log.read_text()
    assert "Nimbus has stood still for 2 s (nimbus.stuck.secs)" in said
    assert "local_fs.py" in said.partition("Its threads:")[2]
    again = site.start_nimbus("one", port=first.port)
    again.wait_leading()
    with again.client() as client:
        assert client.call("getTopologySummaryByName", "wc").id == topology_id


def held_by(site: Any, assignment: Any) -> set[int]:
    """The ports of the Nimbuses that hold all blobs of this assignment."""
    ports = [
        {int(one.nimbus_address.rpartition(":")[2]) for one in site.state.blob_replicas(key) if one.sha256 == sha256}
        for key, sha256 in assignment.blob_hashes.items()
    ]
    return set.intersection(*ports)


def three_nimbuses(site: Any, **settings: Any) -> list[Any]:
    """The first of them leads."""
    first = site.start_nimbus("nimbus-0", **settings)
    first.wait_leading()
    nimbuses = [first, *(site.start_nimbus(f"nimbus-{n}", **settings) for n in (1, 2))]
    site.start_supervisor("a", slots=4)
    return nimbuses


def client_of(nimbuses: list[Any], timeout_secs: float = 30.0) -> NimbusClient:
    return NimbusClient([f"127.0.0.1:{nimbus.port}" for nimbus in nimbuses], 6627, timeout_secs)


def leader_of(nimbuses: list[Any]) -> Any:
    """The one that takes requests."""
    with client_of(nimbuses, 5.0) as client:
        client.call("beginFileUpload")
        port = client.call("getLeader").port
    return next(nimbus for nimbus in nimbuses if nimbus.port == port)


SESSION_SECS = 4.0  # of the site's Nimbuses


def test_an_acknowledged_topology_survives_the_leader_and_its_disk(
    site: Any, package: Path, wait: Callable[..., Any]
) -> None:
    first, *others = nimbuses = three_nimbuses(site)
    with client_of(nimbuses) as client:
        topology_id = submit(client, package, **{"topology.min.replication.count": 3})
        first.end(signal.SIGKILL)
        killed_at = time.monotonic()
        shutil.rmtree(site.directory / "nimbus-0")
        leader = wait(lambda: leader_of(others), "another leads")
        took_secs = time.monotonic() - killed_at
        print(f"another Nimbus leads {took_secs:.3f} s after the leader was killed; sessions last {SESSION_SECS:g} s")
        assert client.call("getTopologySummaryByName", "wc").id == topology_id
        assignment = wait(lambda: site.state.assignment(topology_id), "it is assigned")
        for key, expected in assignment.blob_hashes.items():
            assert hashlib.sha256(download(client, key)).hexdigest() == expected
        client.call("deactivate", "wc")
        again = site.start_nimbus("nimbus-0", port=first.port)
        wait(lambda: held_by(site, assignment) == {again.port, *(one.port for one in others)}, "its code is on all")
        assert "ERROR" not in leader.log.read_text()


def test_a_submission_that_loses_its_leader_starts_once(
    site: Any, package: Path, wait: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The leader is killed while the submission waits for more Nimbuses than there are."""
    first, *others = nimbuses = three_nimbuses(site)
    ids: list[str] = []
    conf = {"topology.min.replication.count": 4, "topology.max.replication.wait.time.sec": 8}

    def send() -> None:
        built = CodePackage(package, 1, package.stat().st_size, "")
        with client_of(nimbuses) as client:
            ids.append(submitter.send(client, "wc", WORD_COUNT, conf, built))

    client = threading.Thread(target=send, daemon=True)
    client.start()
    wait(lambda: len(site.state.blob_keys()) == 3, "the leader has what was submitted")
    first.end(signal.SIGKILL)
    client.join(90)
    assert len(ids) == 1
    assert site.state.topology_ids() == ids
    assert "goes on with its code and blobs on 2 of 4 Nimbuses" in leader_of(others).log.read_text()
    assert "wc starts with its code and blobs on 2 of 4 Nimbuses" in caplog.text


def test_a_leader_that_was_paused_changes_nothing_when_it_returns(
    site: Any, package: Path, wait: Callable[..., Any]
) -> None:
    first, *others = nimbuses = three_nimbuses(site, **{"nimbus.monitor.freq.secs": 1})
    with client_of(nimbuses) as client:
        topology_id = submit(client, package, **{"topology.min.replication.count": 3})
        wait(lambda: site.state.assignment(topology_id), "it is assigned")
        client.call("rebalance", "wc", storm_thrift().RebalanceOptions(wait_secs=2, num_workers=4))
    first.process.send_signal(signal.SIGSTOP)
    leader = wait(lambda: leader_of(others), "another leads")
    wait(lambda: len(site.state.assignment(topology_id).slot_epochs) == 4, "it has done what was pending")
    wait(lambda: site.state.storm_base(topology_id).status is TopologyStatus.ACTIVE, "the topology is active again")
    before = site.state.storm_base_versioned(topology_id), site.state.assignment(topology_id)
    first.process.send_signal(signal.SIGCONT)

    def follows() -> bool:
        with first.client() as client:
            return bool(
                client.call("getLeader").port == leader.port and len(client.call("getClusterInfo").nimbuses) == 3
            )

    wait(follows, "the one that was paused follows")
    with ThriftClient("Nimbus", "127.0.0.1", first.port, 10.0) as direct:
        wait(lambda: refuses(direct), "it takes no requests")
    assert (site.state.storm_base_versioned(topology_id), site.state.assignment(topology_id)) == before
    assert leader_of(nimbuses) is leader


def refuses(direct: ThriftClient) -> bool:
    try:
        direct.call("deactivate", "wc")
    except NotLeaderError as error:
        return "the leader is 127.0.0.1:" in str(error)
    return False


def test_two_nimbuses_in_one_directory_or_on_one_port_are_refused(site: Any) -> None:
    first = site.start_nimbus("one")
    first.wait_leading()
    same_directory = site.start_nimbus("one")
    assert same_directory.process.wait(20) == 1
    assert f"already running in {site.directory / 'one' / 'nimbus'}, pid {first.process.pid}" in first.log.read_text()
    same_port = site.start_nimbus("two", port=first.port)
    assert same_port.process.wait(20) == 1
    assert str(first.port) in same_port.log.read_text()


def test_nimbus_waits_for_zookeeper_and_says_where_it_looks(
    site: Any, zookeeper: Any, wait: Callable[..., Any]
) -> None:
    zookeeper.stop()
    nimbus = site.start_nimbus()
    wait(lambda: f"ZooKeeper at {zookeeper.hosts}" in nimbus.log.read_text(), "it says where")
    with pytest.raises(NimbusUnreachableError), nimbus.client() as client:
        client.call("getLeader")
    zookeeper.restart()
    nimbus.wait_leading()
    zookeeper.stop()
    zookeeper.restart()
    nimbus.wait_leading()
    assert nimbus.end() == 0


def test_nimbus_ends_when_told_while_it_waits(site: Any, zookeeper: Any, wait: Callable[..., Any]) -> None:
    """It has told by then that its name leads nowhere."""
    zookeeper.stop()
    name = "name..with..empty.labels"
    nimbus = site.start_nimbus(**{"storm.security.insecure": True, "storm.local.hostname": name})
    wait(lambda: "ZooKeeper at" in nimbus.log.read_text(), "it waits")
    assert nimbus.end() == 0
    assert f"{name}, by which others are to reach this Nimbus, does not resolve here" in nimbus.log.read_text()


@pytest.mark.parametrize("later", [False, True], ids=["at its start", "later"])
def test_nimbus_ends_where_zookeeper_gives_it_no_permission(site: Any, later: bool) -> None:
    """With one sentence that says which node, who asked, and what to do."""
    root, refused = ("/storm", "read /storm/leader-lock") if later else ("/locked", "create /locked/leader-lock")
    if not later:
        give_to_another(site.hosts, root, readable=True)
    nimbus = site.start_nimbus(
        **{
            "storm.zookeeper.root": root,
            "storm.zookeeper.auth.scheme": "digest",
            "storm.zookeeper.auth.payload": "guest:sesame",
            "nimbus.monitor.freq.secs": 1,
        }
    )
    if later:
        nimbus.wait_leading()
        give_to_another(site.hosts, "/storm/leader-lock", "guest:sesame", readable=False)
    assert nimbus.process.wait(30) == 1
    said = nimbus.log.read_text()
    assert [line.partition(": ")[2] for line in said.splitlines() if "permission" in line] == [
        f"ZooKeeper at {site.hosts} gives the digest user 'guest' no permission to {refused}:"
        " check storm.zookeeper.auth.scheme and storm.zookeeper.auth.payload,"
        " and the ACLs of this node and of the one above it."
    ]
    assert "sesame" not in said
    assert "Traceback" not in said


def test_slots_that_come_and_go_are_used_and_left_at_once(site: Any, package: Path, wait: Callable[..., Any]) -> None:
    nimbus = site.start_nimbus(**{"nimbus.task.timeout.secs": 6, "nimbus.monitor.freq.secs": 1})
    nimbus.wait_leading()
    site.start_supervisor("a", slots=1)
    first = site.start_supervisor("b", slots=1)
    with nimbus.client() as client:
        wait(lambda: len(client.call("getClusterInfo").supervisors) == 2, "both supervisors are known")
        topology_id = submit(client, package, **{"topology.workers": 3})

        def nodes() -> set[str]:
            assignment = site.state.assignment(topology_id)
            return set() if assignment is None else set(assignment.node_hosts)

        wait(lambda: nodes() == {"a", "b"}, "two slots are used", 5)

        def status() -> str:
            return str(client.call("getTopologySummary", topology_id).sched_status)

        wait(lambda: "2 of 3 workers" in status(), "the status says what is missing", 5)
        site.start_supervisor("c", slots=1)
        wait(lambda: nodes() == {"a", "b", "c"}, "the third is used too", 5)
        beat(client, topology_id, site.state.assignment(topology_id))
        site.start_supervisor("d", slots=1)
        wait(lambda: len(client.call("getClusterInfo").supervisors) == 4, "the fourth is known")
        first.close()

        def left() -> bool:
            beat(client, topology_id, without(site.state.assignment(topology_id), "b"))
            return nodes() == {"a", "c", "d"}

        wait(left, "the lost one is replaced", 60)


def without(assignment: Any, node_id: str) -> Any:
    """The part of it that still beats when this node is lost."""
    slots = {executor: slot for executor, slot in assignment.executor_slots.items() if slot.node_id != node_id}
    return replace(assignment, executor_slots=slots)
