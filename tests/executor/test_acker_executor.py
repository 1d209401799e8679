"""An acker in another worker than the spout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to, pass_on
from several_workers import SeveralWorkers

from storm.executor.acker_executor import AckerExecutor
from storm.topology.builder import TopologyBuilder

if TYPE_CHECKING:
    from storm.ids import ExecutorId

T = 30


def cluster(script: Script, place: dict[str, int], spout: Any = ScriptedSpout) -> SeveralWorkers:
    builder = TopologyBuilder()
    builder.set_spout("spout", spout(script)).set_num_tasks(2)
    builder.set_bolt("first", ScriptedBolt(script)).shuffle_grouping("spout")
    builder.set_bolt("last", ScriptedBolt(script)).all_grouping("first").set_num_tasks(2)

    def where(component: str, executor: ExecutorId) -> int:
        return place[component]

    conf = {"topology.acker.executors": 1, "topology.message.timeout.secs": T}
    return SeveralWorkers(builder.create_topology(), conf, workers=3, place=where)


PLACES = [
    {"__acker": 1, "spout": 0, "first": 0, "last": 0},
    {"__acker": 1, "spout": 0, "first": 1, "last": 0},
    {"__acker": 2, "spout": 0, "first": 1, "last": 1},
    {"__acker": 0, "spout": 0, "first": 1, "last": 2},
]


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_trees_are_acked_wherever_the_acker_is(place: dict[str, int]) -> None:
    script = Script(next_tuple=emit_up_to(50), execute=pass_on)
    script.on["last", "execute"] = ack_it
    three = cluster(script, place)
    three.run_for(1)
    told = [(task, message_id) for _, task, method, message_id in script.calls if method == "ack"]
    assert len(told) == 100
    assert all(task == message_id[0] for task, message_id in told)
    assert all(len(ledger) == 0 for acker in ackers(three) for ledger in acker.ledgers.values())


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_failure_is_told_at_once(place: dict[str, int]) -> None:
    script = Script(next_tuple=emit_up_to(5), execute=pass_on)
    script.on["last", "execute"] = lambda bolt, tup: bolt.collector.fail(tup)
    three = cluster(script, place)
    three.run_for(1)
    assert len(script.made("fail")) == 10
    assert script.made("ack") == []


class Hearing(ScriptedSpout):
    def failed(self, message_id: Any, failure: Any) -> Any:
        return self.script.call(self, "failed", failure)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_who_failed_a_tuple_is_told_wherever_that_was(place: dict[str, int]) -> None:
    script = Script(next_tuple=emit_up_to(5), execute=pass_on)
    script.on["last", "execute"] = lambda bolt, tup: bolt.collector.fail(tup)
    three = cluster(script, place, Hearing)
    three.run_for(1)
    failures = script.made("failed")
    assert len(failures) == 10
    assert {(kind, component) for kind, component, _ in failures} == {("failed", "last")}
    tasks = three.tasks_of("last")
    assert {text for _, _, text in failures} <= {f"'last' (task {task}) failed it" for task in tasks}


def test_what_the_spout_gave_up_is_forgotten() -> None:
    script = Script(next_tuple=emit_up_to(5))
    three = cluster(script, PLACES[0])
    three.run_for(2 * T)
    assert len(script.made("fail")) == 10
    three.run_for(2 * T + 2)
    assert all(len(ledger) == 0 for acker in ackers(three) for ledger in acker.ledgers.values())


def test_a_tree_that_stays_in_a_worker_with_an_acker_costs_no_message() -> None:
    script = Script(next_tuple=emit_up_to(50), execute=pass_on)
    script.on["last", "execute"] = ack_it
    one = cluster(script, {"__acker": 0, "spout": 0, "first": 0, "last": 0})
    one.run_for(1)
    assert len(script.made("ack")) == 100
    assert one.network.sent == 0


def test_acks_of_many_trees_travel_together() -> None:
    script = Script(next_tuple=emit_up_to(50), execute=pass_on)
    script.on["last", "execute"] = ack_it
    three = cluster(script, PLACES[2])
    three.run_for(1)
    assert len(script.made("ack")) == 100
    assert three.network.sent < 30


def ackers(cluster: SeveralWorkers) -> list[Any]:
    return [
        executor for worker in cluster.workers for executor in worker.executors if isinstance(executor, AckerExecutor)
    ]
