from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from storm.cluster.records import BlobReplica
from storm.config.settings import Settings
from storm.errors import CoordinationError, NimbusUnreachableError, StormError
from storm.ids import GlobalStreamId
from storm.metrics.stats_records import WINDOWS, BoltStats, ExecutorStats
from storm.nimbus.options import NimbusOptions
from storm.supervisor.nimbus_link import LOT_BYTES_MAX, HeartbeatForwarder, blob_sources, code_lookup
from storm.supervisor.worker_beats import WorkerBeat, WorkerBeats
from storm.testing.simulated_clock import SimulatedClock
from storm.thrift import convert
from storm.thrift.binary_protocol import serialize
from storm.thrift.connection import NIMBUS_LIMITS, ServerLimits
from storm.thrift.figures import stats_bytes
from storm.thrift.interface import storm_thrift
from storm.thrift.prescan import ScanLimits, scan_struct

if TYPE_CHECKING:
    from collections.abc import Callable


INPUTS = {GlobalStreamId(f"component-{i}", "default"): 1 for i in range(5)}
EVERY = dict.fromkeys(WINDOWS, INPUTS)
OUTPUTS = {window: {"default": 1, "other": 1} for window in WINDOWS}
STATS = convert.executor_stats_to_thrift(ExecutorStats(OUTPUTS, OUTPUTS, BoltStats(EVERY, EVERY, EVERY, EVERY, EVERY)))
FULL = LOT_BYTES_MAX // stats_bytes(STATS)  # nearly so many executors with these figures are one message


class ClientStandIn:
    """A Nimbus that can be away, and takes figures of some executors only. `asked` is whose beats each call had."""

    def __init__(self) -> None:
        self.is_away = False
        self.figures_max = FULL + 1
        self.refuses_all = False
        self.asked: list[list[int]] = []
        self.taken: list[Any] = []

    def call(self, method: str, *arguments: Any) -> Any:
        if self.is_away:
            raise NimbusUnreachableError("no leading Nimbus was found")
        if method == "isRemoteBlobExists":
            return arguments == ("words-1-1-stormcode.ser",)
        assert method == "sendSupervisorWorkerHeartbeats"
        [message] = arguments
        self.asked.append([beat.port for beat in message.worker_heartbeats])
        figures = sum(len(beat.executor_stats or ()) for beat in message.worker_heartbeats)
        if self.refuses_all or figures > self.figures_max:
            raise StormError(f"figures of {figures} executors")
        self.taken.append(copy.deepcopy(message))

    def close(self) -> None:
        pass


def beat(beats: WorkerBeats, secs: int, stats: dict[Any, Any] | None = None) -> None:
    message = storm_thrift().SupervisorWorkerHeartbeat(
        storm_id="words", executors=[], time_secs=secs, executor_stats=stats
    )
    beats.receive(WorkerBeat("w1", "words", 6700, message, stats), float(secs))


def beat_of_many(beats: WorkerBeats, port: int, executors: int, secs: int = 1, *, figures: bool = True) -> None:
    """Of a worker with so many executors."""
    t = storm_thrift()
    its = [t.ExecutorInfo(task_start=task, task_end=task) for task in range(1, executors + 1)]
    stats = dict.fromkeys(its, STATS) if figures else None
    message = t.SupervisorWorkerHeartbeat(
        storm_id="words", executors=its, time_secs=secs, port=port, executor_stats=stats
    )
    beats.receive(WorkerBeat(f"w{port}", "words", port, message, stats), float(secs))


def told(client: ClientStandIn) -> dict[int, int]:
    """{port: of how many executors Nimbus has figures by the last beat that it took}."""
    return {beat.port: len(beat.executor_stats or ()) for message in client.taken for beat in message.worker_heartbeats}


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
    figures = {"executor": STATS}
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


def test_a_message_has_a_few_workers_only_and_each_of_them_whole() -> None:
    beats, client = WorkerBeats(), ClientStandIn()
    forwarder = HeartbeatForwarder("n1", beats, client)  # type: ignore[arg-type]
    half = FULL // 2 - 2
    for port, executors in enumerate((half, half, 9, FULL + 1, half), 6700):
        beat_of_many(beats, port, executors)
    assert forwarder.forward()
    assert client.asked == [[6700, 6701], [6702], [6703], [6704]]
    assert told(client) == {6700: half, 6701: half, 6702: 9, 6703: FULL + 1, 6704: half}
    assert beats.take_for_nimbus() == []


def test_figures_that_nimbus_refuses_silence_no_worker_and_are_not_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    beats, client = WorkerBeats(), ClientStandIn()
    forwarder = HeartbeatForwarder("n1", beats, client)  # type: ignore[arg-type]
    for secs in (1, 2):
        beat_of_many(beats, 6700, FULL + 2, secs)
        beat_of_many(beats, 6701, 2, secs)
        assert forwarder.forward()
    assert client.asked == 2 * [[6700], [6700], [6701]]
    assert told(client) == {6700: 0, 6701: 2}
    assert len(caplog.records) == 2
    assert "ports [6700]" in caplog.text
    assert f"figures of {FULL + 2} executors" in caplog.text
    beat_of_many(beats, 6700, FULL + 2, 3, figures=False)
    assert forwarder.forward()
    assert client.asked[6:] == [[6700]]
    assert beats.unheard() == {}


def test_what_nimbus_refuses_altogether_goes_with_the_next_without_its_figures() -> None:
    beats, client = WorkerBeats(), ClientStandIn()
    forwarder = HeartbeatForwarder("n1", beats, client)  # type: ignore[arg-type]
    client.refuses_all = True
    beat_of_many(beats, 6700, FULL)
    beat_of_many(beats, 6701, FULL)
    assert not forwarder.forward()
    assert client.asked == [[6700], [6700], [6701], [6701]]
    assert set(beats.unheard()) == {6700, 6701}
    client.refuses_all = False
    assert forwarder.forward()
    assert told(client) == {6700: 0, 6701: 0}
    assert beats.unheard() == {}


def test_where_nimbus_is_away_no_second_message_is_tried_and_nothing_is_lost() -> None:
    beats, client = WorkerBeats(), ClientStandIn()
    forwarder = HeartbeatForwarder("n1", beats, client)  # type: ignore[arg-type]
    beat_of_many(beats, 6700, FULL)
    beat_of_many(beats, 6701, FULL)
    client.is_away = True
    assert not forwarder.forward()
    assert set(beats.unheard()) == {6700, 6701}
    client.is_away = False
    assert forwarder.forward()
    assert told(client) == {6700: FULL, 6701: FULL}


def test_what_goes_in_one_message_is_below_what_nimbus_takes_whatever_is_set() -> None:
    beats, client = WorkerBeats(), ClientStandIn()
    forwarder = HeartbeatForwarder("n1", beats, client)  # type: ignore[arg-type]
    for port in range(6700, 6700 + FULL):
        beat_of_many(beats, port, 1)
    assert forwarder.forward()
    longest = max(client.taken, key=lambda message: len(message.worker_heartbeats))
    assert FULL // 2 < len(longest.worker_heartbeats) < FULL
    data = serialize(longest)
    assert LOT_BYTES_MAX // 2 < len(data) <= LOT_BYTES_MAX
    scan_struct(data, limits=ScanLimits(values_max=NIMBUS_LIMITS.values_max))
    least = NimbusOptions.from_settings(Settings.of({"nimbus.thrift.max_buffer_size": 1 << 20})).frame_max_bytes
    assert LOT_BYTES_MAX < ServerLimits().frame_max_bytes < least, "nor is a worker's beat, which is a lot of its own"
