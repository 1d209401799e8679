"""A message that ends its worker each time is given up; what happens to be under way with it gets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scripted_components import Script, ScriptedBasicBolt, ScriptedBolt, ScriptedSpout, ack_it
from several_workers import Faults, SeveralWorkers

from storm.supervisor.slot import back_off_secs
from storm.topology.builder import TopologyBuilder
from storm.topology.failures import Retries

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES = 200  # of each of two spout tasks
POISON = (2, 17)
STEP_SECS = 0.05
STEPS_MAX = 20_000
SPOUTS, BOLTS = 0, 1  # workers


class Source(ScriptedSpout):
    outputs = {"default": ["number", "source"], "dead-letter": ["id", "attempts", "reason"]}  # type: ignore[assignment]

    def __init__(self, script: Script, retries: Retries) -> None:
        super().__init__(script)
        self.retries = retries

    def next_tuple(self) -> None:
        if self.emitted < MESSAGES:
            self.emitted += 1
            self.send(self.emitted)

    def send(self, number: int) -> None:
        source = self.context.task_index + 1
        self.collector.emit([number, source], (source, number))

    def failed(self, message_id: Any, failure: Any) -> None:
        self.send(message_id[1])

    def give_up(self, message_id: Any, failure: Any) -> None:
        self.script.call(self, "give_up", (message_id, failure))


class AsyncBolt(ScriptedBolt):
    async def execute(self, tup: Any) -> None:
        super().execute(tup)


class Windows(ScriptedBolt):
    """Acks what it was given once in so many seconds."""

    def __init__(self, script: Script, secs: int) -> None:
        super().__init__(script)
        self.secs = secs

    def prepare(self, conf: Any, context: Any, collector: Any) -> Any:
        self.window: list[Any] = []
        return super().prepare(conf, context, collector)

    def component_configuration(self) -> dict[str, Any]:
        return {"topology.tick.tuple.freq.secs": self.secs}

    def execute(self, tup: Any) -> Any:
        if not tup.is_tick():
            self.window.append(tup)
            return super().execute(tup)
        window, self.window = self.window, []
        for each in window:
            self.collector.ack(each)
        return None


class Batches(ScriptedBolt):
    def execute_batch(self, tuples: list[Any]) -> None:
        for tup in tuples:
            self.execute(tup)


def cluster(script: Script, attempts: int, bolt: ScriptedBolt, ackers: int = 2) -> SeveralWorkers:
    """Spouts in one worker, two bolts in the other; ackers are in both, or with the bolts only."""
    builder = TopologyBuilder()
    builder.set_spout("source", Source(script, Retries(1.0, 2.0, 60.0, attempts))).set_num_tasks(2)
    builder.set_bolt("bolt", bolt, 2).shuffle_grouping("source")
    where = {"source": SPOUTS, "bolt": BOLTS}
    ackers_at = iter((BOLTS, SPOUTS))
    return SeveralWorkers(
        builder.create_topology(),
        {"topology.max.spout.pending": 100, "topology.acker.executors": ackers},
        workers=2,
        faults=Faults(delay_secs=0.3),
        place=lambda component, _: where[component] if component in where else next(ackers_at),
    )


def run_until_done(one: SeveralWorkers, script: Script) -> int:
    """As its supervisor does, start the bolts' worker again each time, later and later; how often it died."""
    deaths = 0
    for _ in range(STEPS_MAX):
        one.run_for(STEP_SECS)
        if one.workers[BOLTS].failure is not None:
            deaths += 1
            if BOLTS not in killed:
                one.kill(BOLTS)
            one.run_for(0.5 + back_off_secs(deaths, 60.0))
            one.restart(BOLTS)
        if len(done(script)) == 2 * MESSAGES:
            return deaths
    raise AssertionError(f"only {len(done(script))} of {2 * MESSAGES} messages are acked or given up")


def done(script: Script) -> set[Any]:
    return {*script.made("ack"), *(message_id for message_id, _ in script.made("give_up"))}


def given_up(script: Script) -> dict[Any, Any]:
    return dict(script.made("give_up"))


def on_poison(act: Callable[[], None], after: Callable[[Any, Any], None] = ack_it) -> Callable[[Any, Any], None]:
    def execute(bolt: Any, tup: Any) -> None:
        if (tup.source, tup.number) == POISON:
            act()
        after(bolt, tup)

    return execute


def leave_it(bolt: Any, tup: Any) -> None:
    """Its class acks it."""


def drink() -> None:
    raise RuntimeError("poison was drunk")


@pytest.mark.parametrize("ackers", [1, 2])
@pytest.mark.parametrize("bolt", [ScriptedBolt, ScriptedBasicBolt, AsyncBolt])
def test_a_message_at_which_a_bolt_raises_is_the_only_one_that_is_given_up(bolt: Any, ackers: int) -> None:
    script = Script(execute=on_poison(drink, leave_it if bolt is ScriptedBasicBolt else ack_it))
    one = cluster(script, 5, bolt(script), ackers)
    deaths = run_until_done(one, script)
    assert {message_id: (why.kind, why.component) for message_id, why in given_up(script).items()} == {
        POISON: ("failed", "bolt")
    }
    assert deaths == 5
    one.stop()


def test_so_it_is_with_a_bolt_that_takes_batches_of_which_nobody_knows_what_it_was_at() -> None:
    script = Script(execute=on_poison(drink))
    one = cluster(script, 3, Batches(script))
    run_until_done(one, script)
    assert list(given_up(script)) == [POISON]
    one.stop()


@pytest.mark.parametrize(("attempts", "window_secs"), [(1, 1), (1, 20), (5, 1)])
def test_so_it_is_with_a_message_at_which_the_kernel_kills_the_worker(attempts: int, window_secs: int) -> None:
    """But for one of another spout task, which may happen to be alone there each time that this one is here."""
    script = Script(execute=on_poison(lambda: one.kill(BOLTS), leave_it))
    one = cluster(script, attempts, Windows(script, window_secs))
    run_until_done(one, script)
    others = given_up(script).keys() - {POISON}
    assert len(others) == len(given_up(script)) - 1
    assert len(others) <= 1
    assert all(source != POISON[0] for source, _ in others)
    one.stop()


def test_a_worker_that_dies_whatever_it_is_sent_costs_one_message_of_a_task_at_most_each_time() -> None:
    """All that was under way would be given up otherwise, and all that follows."""
    script = Script(execute=leave_it)
    one = cluster(script, 1, Windows(script, 5))
    for _ in range(20):
        one.run_for(3.0)
        one.kill(BOLTS)
        one.run_for(4.0)
        one.restart(BOLTS)
    run_until_done(one, script)
    assert len(given_up(script)) <= 2 * 20
    one.stop()
