from __future__ import annotations

import hashlib
import random
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from direct_requests import DirectRequests

from storm.blobstore.memory import MemoryBlobStore
from storm.errors import (
    CoordinationError,
    InvalidTopologyError,
    NotLeaderError,
    StormError,
    TopologyAlreadyAliveError,
    TopologyNotAliveError,
    UploadNotFoundError,
)
from storm.metrics.insight_records import WorkerInsight
from storm.nimbus.file_transfers import EMPTY_PACKAGE, Downloads, Uploads
from storm.nimbus.inbox import Inbox
from storm.nimbus.service import NimbusService
from storm.thrift import convert
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storm.nimbus.inbox import Requests


def served(cluster: Any, core: Any, directory: Path, requests: Requests | None = None) -> NimbusService:
    rng = random.Random(1)
    return NimbusService(
        core,
        requests or DirectRequests(),
        uploads=Uploads(directory, 1 << 20, 600, clock=cluster.clock, rng=rng),
        downloads=Downloads(cluster.blob_store, 600, clock=cluster.clock, rng=rng),
        blob_store=cluster.blob_store,
    )


@pytest.fixture
def service(two_nodes: Any, tmp_path: Path) -> NimbusService:
    return served(two_nodes, two_nodes.core, tmp_path)


@pytest.fixture
def topology(two_nodes: Any) -> Any:
    return convert.topology_to_thrift(two_nodes.word_count())


def upload(service: NimbusService) -> str:
    location = service.beginFileUpload()
    service.uploadChunk(location, EMPTY_PACKAGE[:9])
    assert service.uploadPart(location, 9, EMPTY_PACKAGE[9:]) == len(EMPTY_PACKAGE)
    service.finishUpload(location, hashlib.sha256(EMPTY_PACKAGE).hexdigest())
    return location


def test_a_package_goes_from_upload_to_download(two_nodes: Any, service: NimbusService, topology: Any) -> None:
    location = upload(service)
    service.submitTopology("wc", location, "{}", topology)
    topology_id = two_nodes.core.snapshot.id_of("wc")
    key = f"{topology_id}-stormjar.jar"
    assert service.isRemoteBlobExists(key)
    assert not service.isRemoteBlobExists(key[:-1])
    begun = service.beginBlobDownload(key)
    assert (begun.data_size, service.downloadBlobChunk(begun.session)) == (len(EMPTY_PACKAGE), EMPTY_PACKAGE)
    assert service.downloadBlobChunk(begun.session) == b""
    assert service.getBlobMeta(key).sha256 == two_nodes.blob_store.meta(key).sha256
    with pytest.raises(UploadNotFoundError, match="not here"):
        service.submitTopology("wc2", location, "{}", topology)


@pytest.mark.parametrize("has_topology", [True, False])
def test_a_refused_submission_leaves_nothing(
    service: NimbusService, topology: Any, tmp_path: Path, has_topology: bool
) -> None:
    service.submitTopology("wc", "", "{}", topology)
    location = upload(service)
    with pytest.raises((TopologyAlreadyAliveError, InvalidTopologyError)):
        service.submitTopology("wc", location, "{}", topology if has_topology else None)
    assert list(tmp_path.iterdir()) == []


def test_a_submission_that_may_be_asked_for_again_keeps_its_upload(
    two_nodes: Any, service: NimbusService, topology: Any
) -> None:
    location = upload(service)
    two_nodes.tree.suspend(two_nodes.nimbus.storage)
    with pytest.raises((CoordinationError, NotLeaderError)):
        service.submitTopology("wc", location, "{}", topology)
    two_nodes.tree.resume(two_nodes.nimbus.storage)
    two_nodes.core.step()
    service.submitTopology("wc", location, "{}", topology)
    assert two_nodes.core.snapshot.id_of("wc") is not None


def test_options_say_whether_a_topology_starts_active(service: NimbusService, topology: Any) -> None:
    t = storm_thrift()
    options = t.SubmitOptions(initial_status=t.TopologyInitialStatus.INACTIVE)
    service.submitTopologyWithOpts("wc", "", "{}", topology, options)
    assert service.getTopologySummaryByName("wc").status == "INACTIVE"
    service.activate("wc")
    assert service.getTopologySummaryByName("wc").status == "ACTIVE"


def test_names_are_allowed_if_legal_and_free(service: NimbusService, topology: Any) -> None:
    assert service.isTopologyNameAllowed("wc")
    service.submitTopology("wc", "", "{}", topology)
    assert not service.isTopologyNameAllowed("wc")
    assert not service.isTopologyNameAllowed("a/b")


def test_options_that_are_missing_are_storms_defaults(two_nodes: Any, service: NimbusService, topology: Any) -> None:
    service.submitTopology("wc", "", '{"topology.message.timeout.secs": 9}', topology)
    service.rebalance("wc", None)
    base = next(iter(two_nodes.core.snapshot.bases.values()))
    assert (base.status.value, base.wait_secs) == ("REBALANCING", 9)
    service.killTopology("wc")
    base = next(iter(two_nodes.core.snapshot.bases.values()))
    assert (base.status.value, base.wait_secs) == ("KILLED", 9)


def test_log_levels_are_counted_from_now(two_nodes: Any, service: NimbusService, topology: Any) -> None:
    t = storm_thrift()
    service.submitTopology("wc", "", "{}", topology)
    topology_id = two_nodes.core.snapshot.id_of("wc")
    level = t.LogLevel(action=t.LogLevelAction.UPDATE, target_log_level="DEBUG", reset_log_level_timeout_secs=60)
    service.setLogConfig(topology_id, t.LogConfig(named_logger_level={"ROOT": level}))
    root = service.getLogConfig(topology_id).named_logger_level["ROOT"]
    assert root.reset_log_level_timeout_epoch == (two_nodes.clock.wall_secs() + 60) * 1000
    with pytest.raises(TopologyNotAliveError):
        service.setLogConfig("wc-9-9", t.LogConfig(named_logger_level={}))


def test_a_sampling_share_is_a_percentage(service: NimbusService) -> None:
    with pytest.raises(InvalidTopologyError, match="0 to 100"):
        service.debug("wc", "", True, 101.0)


def test_a_worker_without_supervisor_learns_that_its_topology_is_gone(
    two_nodes: Any, service: NimbusService, topology: Any
) -> None:
    t = storm_thrift()
    service.submitTopology("wc", "", "{}", topology)
    two_nodes.core.step()
    topology_id = two_nodes.core.snapshot.id_of("wc")
    ((slot, executors),) = two_nodes.assignment(topology_id).slot_executors().items()
    beat = t.SupervisorWorkerHeartbeat(
        storm_id=topology_id,
        executors=[convert.executor_to_thrift(executor) for executor in executors],
        time_secs=5,
        port=slot.port,
        insight=t.WorkerInsight(peers=2),
        used_mem=42.5,
        used_cpu=float("nan"),
    )
    service.sendSupervisorWorkerHeartbeat(beat)
    last = two_nodes.core.heartbeats.last(topology_id, slot)
    assert last.insight == WorkerInsight(peers=2)
    assert last.usage == (42.5, None)
    beat.storm_id = "gone-1-1"
    with pytest.raises(TopologyNotAliveError, match="gone-1-1"):
        service.sendSupervisorWorkerHeartbeat(beat)


def test_beats_that_came_before_a_step_count_in_it_though_it_was_asked_for_earlier(
    two_nodes: Any, tmp_path: Path
) -> None:
    t = storm_thrift()
    inbox = Inbox(10)
    service = served(two_nodes, two_nodes.core, tmp_path, inbox)
    topology_id = two_nodes.submit()
    two_nodes.pass_time(130, beating=[topology_id])
    before = two_nodes.assignment(topology_id)
    two_nodes.clock.secs += 40
    inbox.wake()
    for slot, executors in before.slot_executors().items():
        beat = t.SupervisorWorkerHeartbeat(
            storm_id=topology_id,
            executors=[convert.executor_to_thrift(executor) for executor in executors],
            time_secs=5,
            port=slot.port,
        )
        service.sendSupervisorWorkerHeartbeats(
            t.SupervisorWorkerHeartbeats(supervisor_id=slot.node_id, worker_heartbeats=[beat])
        )
    assert inbox.run_next(0)
    two_nodes.core.step()
    assert two_nodes.assignment(topology_id) == before


def test_a_follower_takes_no_changes(two_nodes: Any, topology: Any, tmp_path: Path) -> None:
    follower = two_nodes.start_nimbus("nimbus-2")
    follower.core.step()
    service = served(two_nodes, follower.core, tmp_path / "follower")
    t = storm_thrift()
    for refused in (
        service.beginFileUpload,
        lambda: service.submitTopology("wc", "", "{}", topology),
        lambda: service.sendSupervisorWorkerHeartbeats(
            t.SupervisorWorkerHeartbeats(supervisor_id="a", worker_heartbeats=[])
        ),
        lambda: service.sendSupervisorWorkerHeartbeat(
            t.SupervisorWorkerHeartbeat(storm_id="wc-1-1", executors=[], time_secs=1)
        ),
    ):
        with pytest.raises(NotLeaderError, match="the leader is nimbus-1:6627"):
            refused()


def test_a_client_that_asks_again_needs_no_second_upload(service: NimbusService, topology: Any) -> None:
    conf = '{"topology.submission.id": "mine"}'
    location = upload(service)
    service.submitTopology("wc", location, conf, topology)
    service.submitTopology("wc", location, conf, topology)
    with pytest.raises(TopologyAlreadyAliveError):
        service.submitTopology("wc", "", '{"topology.submission.id": "yours"}', topology)


def test_a_submission_is_answered_when_enough_nimbuses_hold_it(two_nodes: Any, topology: Any, tmp_path: Path) -> None:
    """The thread that asks waits; the one that owns Nimbus does not."""
    inbox = Inbox(10)
    follower = two_nodes.start_nimbus("nimbus-2", MemoryBlobStore())
    service = served(two_nodes, two_nodes.core, tmp_path, inbox)
    service.submission_wait_secs = 0.0  # for those who say which submission it is, and can ask for it again
    answers: list[Any] = []

    def submit() -> None:
        answers.append(service.submitTopology("wc", "", '{"topology.min.replication.count": 2}', topology))

    client = threading.Thread(target=submit, daemon=True)
    client.start()
    while not two_nodes.core._pending.topology_ids():
        inbox.run_next(5)
    two_nodes.core.step()
    assert (answers, two_nodes.state.topology_ids()) == ([], [])
    two_nodes.settle(follower, two_nodes.nimbus)
    client.join(20)
    assert answers == [None]
    assert len(two_nodes.state.topology_ids()) == 1


def test_who_can_ask_again_is_told_to_while_a_submission_waits(two_nodes: Any, topology: Any, tmp_path: Path) -> None:
    inbox = Inbox(10)
    follower = two_nodes.start_nimbus("nimbus-2", MemoryBlobStore())
    service = served(two_nodes, two_nodes.core, tmp_path, inbox)
    service.submission_wait_secs = 0.0
    location = asked(inbox, lambda: upload(service))

    def submit() -> None:
        conf = '{"topology.submission.id": "mine", "topology.min.replication.count": 2}'
        service.submitTopology("wc", location, conf, topology)

    with pytest.raises(CoordinationError, match=r"wc is not on 2 Nimbuses yet \(topology\.min\.replication\.count\)"):
        asked(inbox, submit)
    assert len(list(tmp_path.iterdir())) == 1  # its client sends it again, also to a leader that has to begin anew
    two_nodes.settle(two_nodes.nimbus, follower)
    asked(inbox, submit)
    assert list(tmp_path.iterdir()) == []
    assert len(two_nodes.state.topology_ids()) == 1


def test_a_submission_or_blob_for_whose_wait_no_thread_is_left_is_told_so_and_goes_on(
    two_nodes: Any, topology: Any, tmp_path: Path
) -> None:
    inbox = Inbox(10, waits_max=0)
    follower = two_nodes.start_nimbus("nimbus-2", MemoryBlobStore())
    service = served(two_nodes, two_nodes.core, tmp_path, inbox)
    session = asked(inbox, lambda: service.beginCreateBlob("words.txt", None))
    with pytest.raises(CoordinationError, match="wc is not on 2 Nimbuses yet"):
        asked(inbox, lambda: service.submitTopology("wc", "", '{"topology.min.replication.count": 2}', topology))
    with pytest.raises(CoordinationError, match=r"'words\.txt' is not on 2 Nimbuses yet"):
        asked(inbox, lambda: service.finishBlobUpload(session))
    two_nodes.settle(follower, two_nodes.nimbus)
    assert service.getTopologySummaryByName("wc").replication_count == 2
    assert service.listBlobs("").keys == ["words.txt"]
    assert list(tmp_path.iterdir()) == []


def asked(inbox: Inbox, call: Callable[[], Any]) -> Any:
    """What `call` answers or raises in a client's thread, while this one owns Nimbus."""
    answer: Future[Any] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except StormError as error:
            answer.set_exception(error)
        inbox.wake()

    threading.Thread(target=run, daemon=True).start()
    for _ in range(20):
        if not answer.done():
            inbox.run_next(1)
    return answer.result(0)


def test_how_many_nimbuses_hold_a_topology_is_told_by_the_leader(two_nodes: Any, service: NimbusService) -> None:
    follower = two_nodes.start_nimbus("nimbus-2", MemoryBlobStore())
    two_nodes.submit()
    two_nodes.settle(two_nodes.nimbus, follower)
    two_nodes.clock.secs += 10
    two_nodes.core.step()
    assert service.getTopologySummaryByName("wc").replication_count == 2


def test_a_host_is_drained_and_used_again(two_nodes: Any, service: NimbusService) -> None:
    assert service.drainHost("host-a", storm_thrift().DrainOptions(wait_secs=3)) == ["a"]
    assert two_nodes.state.drains()["a"].wait_secs == 3
    assert service.drainHost("b", None) == ["b"]
    two_nodes.core.step()
    assert [each.host for each in service.getClusterInfo().drained] == ["host-a", "host-b"]
    assert service.undrainHost("host-a") == ["a"]
    with pytest.raises(StormError, match="hots-b"):
        service.drainHost("hots-b", None)


def test_every_nimbus_tells_of_its_host(two_nodes: Any, tmp_path: Path) -> None:
    follower = two_nodes.start_nimbus("nimbus-2")
    report = served(two_nodes, follower.core, tmp_path).getHostReport(["127.0.0.1"])
    assert (report.host, report.resolutions["127.0.0.1"].addresses) == ("127.0.0.1", ["127.0.0.1"])
    assert [disk.path for disk in report.disks] == [
        str(follower.core.options.local_dir), str(follower.core.options.blobstore_dir)
    ]  # fmt: skip
