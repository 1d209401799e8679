"""Two workers of one topology in one thread: real executors, network and ZooKeeper in memory, a clock that stands."""

from __future__ import annotations

import json
import logging
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from exchange_parts import StandingClock

from storm.cluster.memory import MemoryTree
from storm.cluster.records import (
    Assignment,
    DebugOptions,
    KnownTopology,
    LogConfig,
    LoggerLevel,
    SlotFailure,
    StormBase,
    SupervisorInfo,
    TopologyStatus,
)
from storm.cluster.storm_cluster_state import StormClusterState
from storm.config.settings import Settings
from storm.config.topology_conf import effective_conf
from storm.errors import CoordinationError, WorkerStartError
from storm.ids import ExecutorId, WorkerSlot
from storm.messaging.in_process import InProcessNetwork, InProcessTransport
from storm.messaging.tuple_codec import register_type
from storm.thrift.topology_convert import topology_to_bytes
from storm.topology.builder import TopologyBuilder
from storm.topology.component import Bolt, Spout
from storm.topology.parallelism import component_tasks, normalise, normalise_conf
from storm.topology.system_topology import system_topology
from storm.worker.launch import Launch
from storm.worker.worker import (
    EXIT_EXECUTOR_ERROR,
    EXIT_ORDERLY,
    PEERS_WAIT_SECS,
    SETTLE_SECS,
    SUPERVISORS_POLL_SECS,
    Worker,
    WorkerParts,
    build_worker,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storm.topology.failures import Failure

TOPOLOGY_ID = "wc-1-0"
A, B = WorkerSlot("a", 6700), WorkerSlot("b", 6700)
REFRESH_SECS = 1.0
acked: list[int] = []
got: list[int] = []
failed: list[tuple[int, Failure]] = []


class Numbers(Spout):
    outputs = ("number",)

    def open(self, conf: Any, context: Any, collector: Any) -> None:
        self.collector = collector
        self.last = 0

    def next_tuple(self) -> None:
        if self.last < 50:
            self.last += 1
            self.collector.emit([self.last], message_id=self.last)

    def ack(self, message_id: Any) -> None:
        acked.append(message_id)

    def fail(self, message_id: Any) -> None:
        self.collector.emit([message_id], message_id=message_id)


class Even:
    """A number that only its sender may take for even."""

    def __init__(self, number: int) -> None:
        self.number = number


def even_of(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number


register_type("even", Even, lambda even: even.number, even_of)


class Evens(Numbers):
    def next_tuple(self) -> None:
        if self.last < 50:
            self.last += 1
            self.collector.emit([Even(self.last)], message_id=self.last)

    def failed(self, message_id: Any, failure: Failure) -> None:
        failed.append((message_id, failure))


class Check(Bolt):
    outputs = ()

    def prepare(self, conf: Any, context: Any, collector: Any) -> None:
        self.collector = collector

    def execute(self, tup: Any) -> None:
        got.append(tup.number)
        self.collector.ack(tup)


class Story:
    """Slot A has the spout and the acker, slot B the bolt."""

    def __init__(self, directory: Path, spout: Spout | None = None) -> None:
        acked.clear()
        got.clear()
        failed.clear()
        self.directory = directory
        self.clock = StandingClock()
        self.tree = MemoryTree()
        self.state = StormClusterState(self.tree.session())
        self.network = InProcessNetwork()
        self.rng = random.Random(1)
        self.transports: dict[WorkerSlot, InProcessTransport] = {}
        self.settings = Settings.of()
        conf = normalise_conf({"topology.workers": 2, "topology.acker.executors": 1})
        builder = TopologyBuilder()
        builder.set_spout("numbers", spout or Numbers())
        builder.set_bolt("check", Check()).shuffle_grouping("numbers")
        topology = normalise(builder.create_topology(), conf)
        (directory / "stormcode.ser").write_bytes(topology_to_bytes(topology))
        (directory / "stormconf.ser").write_text(json.dumps(conf))
        full = effective_conf(self.settings, conf)
        tasks = component_tasks(system_topology(topology, full), full)
        near = [tasks["__acker"][0], tasks["numbers"][0]]
        self.executors = {A: [ExecutorId(t, t) for t in near], B: [ExecutorId(t, t) for t in tasks["check"]]}
        self.assign(1)
        self.state.create_storm_base(StormBase(TOPOLOGY_ID, "wc", TopologyStatus.ACTIVE, 2, {}, 0))
        for slot in (A, B):
            self.register_supervisor(slot)

    def assign(self, version: int, epochs: dict[WorkerSlot, int] | None = None) -> None:
        slots = {executor: slot for slot, executors in self.executors.items() for executor in executors}
        hosts = {"a": "host-a", "b": "host-b"}
        self.state.put_assignment(
            Assignment(TOPOLOGY_ID, version, slots, {}, hosts, {A: 1, B: 1, **(epochs or {})}),
        )

    def register_supervisor(self, slot: WorkerSlot, *failures: SlotFailure) -> None:
        host = f"host-{slot.node_id}"
        self.state.put_supervisor(SupervisorInfo(slot.node_id, host, (slot.port,), (), 1, 0, "0", failures=failures))

    def set_status(self, status: TopologyStatus) -> None:
        found = self.state.storm_base_versioned(TOPOLOGY_ID)
        assert found is not None
        self.state.update_storm_base(StormBase(TOPOLOGY_ID, "wc", status, 2, {}, 0), found[1])

    def sample(self, percent: float | None) -> None:
        """Of all components; None: no more."""
        options = {} if percent is None else {TOPOLOGY_ID: DebugOptions(True, percent)}
        found = self.state.storm_base_versioned(TOPOLOGY_ID)
        assert found is not None
        self.state.update_storm_base(replace(found[0], component_debug=options), found[1])

    def worker(self, slot: WorkerSlot, epoch: int = 1, state: StormClusterState | None = None) -> Worker:
        return self.launch(self.told(slot, epoch), state or self.state)

    def told(self, slot: WorkerSlot, epoch: int = 1) -> Launch:
        return Launch(
            topology_id=TOPOLOGY_ID,
            node_id=slot.node_id,
            host=f"host-{slot.node_id}",
            bind_host=f"host-{slot.node_id}",
            port=slot.port,
            worker_id="w",
            epoch=epoch,
            executors=tuple(self.executors[slot]),
            supervisor_port=1,
            dist_dir=self.directory,
            log_dir=self.directory,
        )

    def knowing(self, status: TopologyStatus) -> Launch:
        """Slot A's, whose supervisor knows the topology as it is assigned now."""
        assignment = self.state.assignment(TOPOLOGY_ID)
        assert assignment is not None
        return replace(self.told(A), known=KnownTopology(assignment, status))

    def launch(self, told: Launch, state: StormClusterState, is_connected: Callable[[], bool] = lambda: True) -> Worker:
        transport = self.transports[told.slot] = self.network.transport()
        parts = WorkerParts(self.clock, state, transport, self.rng, is_connected=is_connected)
        return build_worker(told, self.settings, parts)

    def turns(self, *workers: Worker, count: int = 50) -> None:
        for _ in range(count):
            for worker in workers:
                worker.turn(REFRESH_SECS)
                worker.exchange.step()
                while worker.lanes.step(self.clock.now()):
                    pass
            self.clock.sleep(0.05)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def test_every_tuple_crosses_and_every_ack_comes_back(story: Story) -> None:
    a, b = story.worker(A), story.worker(B)
    story.turns(a, b)
    assert sorted(got) == sorted(acked) == list(range(1, 51))
    for worker in (a, b):
        worker.shut_down(1.0)
    assert story.worker(A).lanes.failure is None  # its port is free again


def test_what_died_with_a_worker_is_replayed_when_it_is_back_and_not_after_the_timeout(story: Story) -> None:
    a, b = story.worker(A), story.worker(B)
    for _ in range(20):  # b takes tuples and never has a turn to execute them
        b.turn(REFRESH_SECS)
        b.exchange.step()
        story.turns(a, count=1)
    assert b.exchange.figures().tuples_received == 50
    story.transports[B].close()  # it died
    story.turns(a, story.worker(B))
    assert sorted(got) == sorted(acked) == list(range(1, 51))


def test_what_cannot_be_decoded_fails_at_once_and_says_who_could_not(tmp_path: Path) -> None:
    story = Story(tmp_path, Evens())
    a, b = story.worker(A), story.worker(B)
    story.turns(a, b)
    assert sorted(got) == sorted(acked) == list(range(2, 51, 2))
    assert sorted(number for number, _ in failed) == list(range(1, 51, 2))
    [told] = {failure for _, failure in failed}
    assert (told.kind, told.component) == ("failed", "check")
    assert b.exchange.dropped() == {"on arrival: tuples that cannot be decoded": 25}
    b.shut_down(1.0)
    errors = story.state.errors(TOPOLOGY_ID, "check")
    assert len(errors) == 5
    assert "from component 'numbers', stream 'default'" in errors[-1].text
    assert "`from_plain` of 'even' raised ValueError('1 is odd')" in errors[-1].text


def test_spouts_wait_for_the_peers(story: Story) -> None:
    a = story.worker(A)
    story.turns(a, count=5)
    assert not a.active
    story.turns(a, story.worker(B), count=10)
    assert a.active


def test_but_not_for_ever(story: Story) -> None:
    a = story.worker(A)
    story.clock.sleep(PEERS_WAIT_SECS / 2)
    story.turns(a, count=2)
    assert not a.active
    story.clock.sleep(PEERS_WAIT_SECS / 2)
    story.turns(a, count=2)
    assert a.active


def test_nor_for_one_that_dies_again_and_again(story: Story) -> None:
    failure = SlotFailure(B.port, TOPOLOGY_ID, "backing-off", 3, "exited with code 1", "", 0)
    story.register_supervisor(B, failure)
    a = story.worker(A)
    story.turns(a, count=2)
    assert not a.active  # it may be up all the same, and is heard of within moments then
    story.clock.sleep(SUPERVISORS_POLL_SECS)
    story.turns(a, count=2)
    assert a.active
    story.turns(a, story.worker(B))
    assert sorted(acked) == list(range(1, 51))  # what was emitted meanwhile has waited for it


def test_nor_for_one_whose_supervisor_is_gone(story: Story) -> None:
    a = story.worker(A)
    story.clock.sleep(SUPERVISORS_POLL_SECS)
    story.turns(a, count=2)
    assert not a.active
    story.state.remove_supervisor(B.node_id)
    story.clock.sleep(SUPERVISORS_POLL_SECS)
    story.turns(a, count=2)
    assert a.active


def test_they_are_active_only_while_the_topology_is(story: Story) -> None:
    a, b = story.worker(A), story.worker(B)
    story.turns(a, b)
    for status in (TopologyStatus.INACTIVE, TopologyStatus.REBALANCING, TopologyStatus.KILLED):
        story.set_status(status)
        story.turns(a, b)
        assert not a.active
        story.set_status(TopologyStatus.ACTIVE)
        story.turns(a, b)
        assert a.active


def test_what_is_to_be_prepared_is_named_until_it_is(story: Story) -> None:
    a = story.worker(A)
    assert a.opening() == ["numbers"]  # whether the topology is active is not known yet
    story.turns(a, count=5)
    assert a.opening() == ["numbers"], "it waits for its peer"
    story.set_status(TopologyStatus.INACTIVE)
    story.turns(a)
    assert a.opening() == []
    story.set_status(TopologyStatus.ACTIVE)
    story.turns(a, story.worker(B))
    assert a.opening() == []


def rebalanced(story: Story, a: Worker, b: Worker) -> None:
    """Both were active; A alone sees the end of a rebalance."""
    story.turns(a, b)
    story.set_status(TopologyStatus.REBALANCING)
    story.turns(a, b)
    story.assign(2)
    story.set_status(TopologyStatus.ACTIVE)


def test_after_a_rebalance_they_wait_until_all_send_by_the_new_assignment(story: Story) -> None:
    a, b = story.worker(A), story.worker(B)
    rebalanced(story, a, b)
    a.turn(REFRESH_SECS)
    assert not a.active  # its own exchange did not have a turn since
    for _ in range(5):
        b.exchange.step()  # it lives, and its own thread has not read the assignment
        story.turns(a, count=1)
    assert not a.active
    story.turns(b, a, count=3)
    assert a.active


def test_but_not_for_one_that_does_not_come_to_know_it(story: Story) -> None:
    a, b = story.worker(A), story.worker(B)
    rebalanced(story, a, b)
    story.turns(a, count=3)
    story.clock.sleep(SETTLE_SECS)
    story.turns(a, count=1)
    assert a.active


def test_a_wait_that_was_cut_short_is_not_the_next_ones(story: Story) -> None:
    a, b = story.worker(A), story.worker(B)
    rebalanced(story, a, b)
    a.turn(REFRESH_SECS)
    story.set_status(TopologyStatus.REBALANCING)
    story.turns(a, b, count=2)
    story.clock.sleep(2 * SETTLE_SECS)
    story.assign(3)
    story.set_status(TopologyStatus.ACTIVE)
    a.turn(REFRESH_SECS)
    assert not a.active


def test_nor_for_one_that_is_gone(story: Story) -> None:
    a, b = story.worker(A), story.worker(B)
    rebalanced(story, a, b)
    story.transports[B].close()
    story.turns(a, count=3)
    assert a.active


def test_a_worker_whose_executor_failed_ends_whoever_else_watches_it(story: Story) -> None:
    worker = story.worker(A)
    story.turns(worker, count=1)
    assert worker.ending is None
    worker.lanes.fail(worker.lanes.executors[0], ValueError("no"))
    worker.turn(REFRESH_SECS)
    assert worker.ending == (EXIT_EXECUTOR_ERROR, "an executor failed: ValueError: no")


def test_a_worker_that_is_replaced_wants_to_end_in_order(story: Story) -> None:
    a, b = story.worker(A), story.worker(B)
    story.turns(a, b)
    assert a.ending is None
    story.assign(2, {A: 2})
    story.turns(a, b)
    assert a.ending is not None
    assert a.ending[0] == EXIT_ORDERLY
    assert b.ending is None


@pytest.mark.parametrize("status", [TopologyStatus.KILLED, TopologyStatus.ACTIVE])
def test_a_worker_whose_topology_is_gone_ends_if_it_was_being_killed(story: Story, status: TopologyStatus) -> None:
    a = story.worker(A)
    story.set_status(status)
    story.turns(a, count=2)
    story.state.remove_assignment(TOPOLOGY_ID)
    story.turns(a, count=2)
    assert a.ending is None
    story.state.remove_storm_base(TOPOLOGY_ID)
    story.turns(a, count=2)
    assert (a.ending is not None) == (status is TopologyStatus.KILLED)


def test_an_assignment_that_vanished_or_a_zookeeper_that_is_away_changes_nothing(story: Story) -> None:
    class Away(StormClusterState):
        away = False

        def assignment(self, *arguments: Any) -> Assignment | None:
            if self.away:
                raise CoordinationError("away")
            return super().assignment(*arguments)

    state = Away(story.tree.session())
    a, b = story.worker(A, state=state), story.worker(B)
    story.turns(a, b)
    state.away = True
    story.turns(a, b)
    state.away = False
    story.state.remove_assignment(TOPOLOGY_ID)
    story.state.remove_storm_base(TOPOLOGY_ID)
    story.turns(a, b)
    assert a.active
    assert a.ending is b.ending is None


def test_of_a_topology_without_record_or_assignment_nothing_is_about_to_be_prepared(story: Story) -> None:
    a = story.worker(A)
    assert a.opening() == ["numbers"]
    story.state.remove_assignment(TOPOLOGY_ID)
    story.turns(a)
    assert (a.active, a.opening()) == (False, [])
    b = story.worker(B)
    story.state.remove_storm_base(TOPOLOGY_ID)
    story.turns(b)
    assert (b.active, b.opening()) == (False, [])


@pytest.mark.parametrize("status", list(TopologyStatus))
def test_without_zookeeper_a_worker_begins_with_what_its_supervisor_knew(story: Story, status: TopologyStatus) -> None:
    nowhere = StormClusterState(MemoryTree().session())
    known = story.knowing(status)
    a, b = story.launch(known, nowhere, lambda: False), story.worker(B)
    story.turns(a, b)
    assert a.active == (status is TopologyStatus.ACTIVE)
    assert a.opening() == []  # it is prepared, or will not be
    assert bool(acked) == a.active
    assert a.ending is None


def test_and_hears_what_is_new_once_it_is_back(story: Story) -> None:
    known = story.knowing(TopologyStatus.ACTIVE)
    story.set_status(TopologyStatus.INACTIVE)
    story.assign(2, {A: 2})
    is_there = False
    a = story.launch(known, story.state, lambda: is_there)
    a.turn(REFRESH_SECS)
    assert a.ending is None
    is_there = True
    a.wake()
    a.turn(REFRESH_SECS)
    assert a.ending is not None
    assert "gives port 6700 other executors" in a.ending[1]


def test_one_that_was_replaced_before_it_began_ends(story: Story) -> None:
    story.assign(2, {A: 2})
    a = story.launch(story.knowing(TopologyStatus.ACTIVE), story.state, lambda: False)
    assert a.ending is not None
    assert a.ending[0] == EXIT_ORDERLY


def test_log_levels_follow_the_cluster(story: Story) -> None:
    logger = logging.getLogger("storm.test.daemon")
    a = story.worker(A)
    for level, number in (("DEBUG", logging.DEBUG), ("ERROR", logging.ERROR)):
        story.state.put_log_config(TOPOLOGY_ID, LogConfig({logger.name: LoggerLevel(level)}))
        story.turns(a, count=2)
        assert logger.level == number
    story.state.remove_log_config(TOPOLOGY_ID)
    story.turns(a, count=2)
    assert logger.level == logging.NOTSET


def test_a_level_whose_time_is_over_is_taken_back_without_a_look_at_zookeeper(story: Story) -> None:
    logger = logging.getLogger("storm.test.daemon.timed")
    a = story.worker(A)
    story.turns(a, story.worker(B))
    until = story.clock.wall_secs() + 3_600  # of a Nimbus whose clock is ahead
    story.state.put_log_config(TOPOLOGY_ID, LogConfig({logger.name: LoggerLevel("DEBUG", until, lasting_secs=5)}))
    assert 0 < a.turn(60) <= 5
    assert logger.level == logging.DEBUG
    story.clock.sleep(5)
    assert a.turn(60) == 60
    assert logger.level == logging.NOTSET


@pytest.mark.parametrize("name", ["stormcode.ser", "stormconf.ser"])
def test_a_topology_that_cannot_be_read_is_named(story: Story, name: str) -> None:
    (story.directory / name).unlink()
    with pytest.raises(WorkerStartError, match=str(story.directory)):
        story.worker(A)


def test_a_port_that_is_taken_is_named(story: Story) -> None:
    story.worker(A)
    with pytest.raises(WorkerStartError, match="6700"):
        story.worker(A)


def test_tuples_are_sampled_while_the_topologys_record_says_so(story: Story) -> None:
    story.sample(100.0)
    a, b = story.worker(A), story.worker(B)
    story.turns(a, b)
    assert len(acked) == 50
    writer = a.sampling.writer
    assert writer is not None
    story.sample(None)
    story.turns(a, b)
    assert a.sampling.writer is None
    writer.join(30)
    lines = [json.loads(line) for line in (story.directory / "events.log").read_text().splitlines()]
    assert [(line["component"], line["values"]) for line in lines] == [("numbers", f"[{n}]") for n in range(1, 51)]
