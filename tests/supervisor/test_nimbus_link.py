from __future__ import annotations

from typing import Any

import pytest

from storm.errors import NimbusUnreachableError
from storm.supervisor.nimbus_link import HeartbeatForwarder, code_lookup
from storm.supervisor.worker_beats import WorkerBeat, WorkerBeats
from storm.thrift.interface import storm_thrift


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
    has_code = code_lookup(client)
    assert (has_code("words-1-1"), has_code("words-2-2")) == (True, False)
    client.is_away = True
    with pytest.raises(NimbusUnreachableError):
        has_code("words-1-1")


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
