from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from storm.cluster.records import BlobReplica
from storm.errors import CoordinationError, NimbusUnreachableError, StormError
from storm.supervisor.nimbus_link import HeartbeatForwarder, blob_sources, code_lookup
from storm.supervisor.worker_beats import WorkerBeat, WorkerBeats
from storm.testing.simulated_clock import SimulatedClock
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import Callable


class ClientStandIn:
    """A Nimbus that can be away."""

    def __init__(self) -> None:
        self.is_away = False
        self.taken: list[Any] = []

    def call(self, method: str, *arguments: Any) -> Any:
        if self.is_away:
            raise NimbusUnreachableError("no leading Nimbus was found")
        if method == "isRemoteBlobExists":
            return arguments == ("words-1-1-stormcode.ser",)
        assert method == "sendSupervisorWorkerHeartbeats"
        self.taken.append(*arguments)

    def close(self) -> None:
        pass


def beat(beats: WorkerBeats, secs: int, stats: dict[Any, Any] | None = None) -> None:
    message = storm_thrift().SupervisorWorkerHeartbeat(
        storm_id="words", executors=[], time_secs=secs, executor_stats=stats
    )
    beats.receive(WorkerBeat("w1", "words", 6700, message, stats), float(secs))


def test_beats_go_on_and_silence_goes_on_too() -> None:
    beats, client = WorkerBeats(), ClientStandIn()
    forwarder = HeartbeatForwarder("n1", beats, client)  # type: ignore[arg-type]
    assert forwarder.forward()
    beat(beats, 5)
    assert forwarder.forward()
    assert [(each.supervisor_id, len(each.worker_heartbeats)) for each in client.taken] == [("n1", 0), ("n1", 1)]


def test_figures_are_not_lost_while_nimbus_is_away_which_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    beats, client = WorkerBeats(), ClientStandIn()
    forwarder = HeartbeatForwarder("n1", beats, client)  # type: ignore[arg-type]
    client.is_away = True
    figures = {"executor": "figures"}
    beat(beats, 1, figures)
    assert not forwarder.forward()
    beat(beats, 2)
    assert not forwarder.forward()
    assert len(caplog.records) == 1
    client.is_away = False
    assert forwarder.forward()
    (message,) = client.taken[0].worker_heartbeats
    assert (message.time_secs, message.executor_stats) == (2, figures)


def test_nimbus_is_asked_for_a_topologys_code_and_may_be_away() -> None:
    client = ClientStandIn()
    has_code = code_lookup(client, lambda key: [])
    assert (has_code("words-1-1"), has_code("words-2-2")) == (True, False)
    client.is_away = True
    with pytest.raises(NimbusUnreachableError):
        has_code("words-1-1")


def test_a_nimbus_that_has_the_code_as_zookeeper_knows_need_not_lead() -> None:
    client = ClientStandIn()
    client.is_away = True
    holders = {"words-2-2-stormcode.ser": [BlobReplica("n2:6627", "00")]}
    assert code_lookup(client, lambda key: holders.get(key, []))("words-2-2")


def unknown(key: str) -> list[BlobReplica]:
    raise CoordinationError("ZooKeeper was not reached yet")


def one_holder(key: str) -> list[BlobReplica]:
    return [BlobReplica("127.0.0.1:1", "wanted"), BlobReplica("127.0.0.1:2", "other content")]


@pytest.mark.parametrize(
    ("replicas", "asked"),
    [(one_holder, ["from 127.0.0.1:1: ", "no leading Nimbus"]), (unknown, ["no leading Nimbus"])],
)
def test_a_blob_is_asked_of_who_holds_this_content_and_last_of_the_leader(
    replicas: Callable[[str], list[BlobReplica]], asked: list[str]
) -> None:
    sources = blob_sources(["127.0.0.1:3"], 6627, SimulatedClock(), replicas)()
    for download, said in zip(sources("key", "wanted"), asked, strict=True):
        with pytest.raises(StormError, match=f"^{said}"):
            download(lambda chunk: None)


def test_of_what_workers_measure_nimbus_gets_the_components_part() -> None:
    beats, client = WorkerBeats(), ClientStandIn()
    forwarder = HeartbeatForwarder("n1", beats, client)  # type: ignore[arg-type]
    client.is_away = True
    message = storm_thrift().SupervisorWorkerHeartbeat(storm_id="words", executors=[], time_secs=1, metrics="own\nall")
    beats.receive(WorkerBeat("w1", "words", 6700, message, None, "own\nall"), 1.0)
    assert not forwarder.forward()
    assert not forwarder.is_taken
    client.is_away = False
    assert forwarder.forward()
    assert forwarder.is_taken
    (message,) = client.taken[0].worker_heartbeats
    assert message.metrics == "all"
