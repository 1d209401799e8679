from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from one_worker import OneWorker
from scripted_components import OUTPUTS, Script, ScriptedBolt, ScriptedSpout, ack_it

from storm.executor.caution import CAREFUL_SECS, DEATHS_LEAST, SUSPECTS_WAIT_SECS, Caution, Suspect
from storm.topology.builder import TopologyBuilder
from storm.topology.component import Spout
from storm.topology.failures import Retries

if TYPE_CHECKING:
    from collections.abc import Callable

POISON = 3
NUMBERS = range(1, 7)
LIVES_MAX = 10


class Giving(ScriptedSpout):
    outputs = {**OUTPUTS, "dead-letter": ["message_id", "attempts", "reason"]}  # type: ignore[assignment]
    retries = Retries(first_secs=0.0, max_secs=0.0, attempts=5)

    def failed(self, message_id: Any, failure: Any) -> None:
        self.script.call(self, "failed", (message_id, failure))

    def give_up(self, message_id: Any, failure: Any) -> None:
        self.script.call(self, "give_up", (message_id, failure))


def one_by_one(spout: Any, left: list[int]) -> None:
    spout.collector.emit([left[0]], left[0])


def all_at_once(spout: Any, left: list[int]) -> None:
    for number in left:
        spout.collector.emit([number], number)


def in_rows(spout: Any, left: list[int]) -> None:
    spout.collector.emit_many([[number] for number in left], left)


def with_tasks(spout: Any, left: list[int]) -> None:
    assert len(spout.collector.emit_and_get_tasks([left[0]], left[0])) in {0, 1}


class Story:
    """A source that keeps what is not acked or given up, a worker that dies of POISON, and its lives."""

    def __init__(self, emit: Callable[[Any, list[int]], None]) -> None:
        self.left = list(NUMBERS)
        self.emit = emit
        self.saved: dict[Suspect, int] = {}
        self.under_way: set[int] = set()
        self.most_under_way = 0
        self.conf: dict[str, Any] = {"topology.sleep.spout.wait.strategy.time.ms": 20}
        self.script = Script(
            open=lambda spout, _: setattr(spout, "asked", []),
            next_tuple=self.next_tuple,
            ack=lambda spout, number: self.end(number),
            give_up=lambda spout, told: self.end(told[0]),
        )
        self.script.on["bolt", "execute"] = self.execute

    def next_tuple(self, spout: Any, _: Any) -> None:
        new = [number for number in self.left if number not in spout.asked]
        if new:
            before = len(spout.asked)
            self.emit(spout, new)
            spout.asked += new[:1] if self.emit in {one_by_one, with_tasks} else new
            assert len(spout.asked) > before

    def execute(self, bolt: Any, tup: Any) -> None:
        self.under_way.add(tup.value)
        self.most_under_way = max(self.most_under_way, len(self.under_way))
        if tup.value == POISON:
            raise RuntimeError("dies of it")
        ack_it(bolt, tup)

    def end(self, number: int) -> None:
        self.left.remove(number)
        self.under_way.discard(number)

    def live(self, deaths: int, secs: float = CAREFUL_SECS - 1) -> OneWorker:
        """A life of the worker after so many deaths in a row, until it dies or so long."""
        self.under_way = set()
        self.most_under_way = 0
        builder = TopologyBuilder()
        builder.set_spout("spout", Giving(self.script))
        builder.set_bolt("bolt", ScriptedBolt(self.script)).shuffle_grouping("spout")
        builder.set_bolt("letters", ScriptedBolt(self.script)).shuffle_grouping("spout", stream="dead-letter")
        caution = Caution(deaths, self.saved, self.save) if deaths >= DEATHS_LEAST else None
        worker = OneWorker(builder.create_topology(), self.conf, caution=caution)
        end = worker.clock.now() + secs
        worker.run(lambda: worker.clock.now() >= end)
        return worker

    def save(self, seen: Any) -> None:
        self.saved = dict(seen)


@pytest.mark.parametrize("emit", [one_by_one, all_at_once, in_rows, with_tasks])
def test_a_tuple_that_ends_its_worker_each_time_is_given_up_and_no_other_is_lost(emit: Any) -> None:
    story = Story(emit)
    deaths = 0
    while deaths < LIVES_MAX:
        try:
            worker = story.live(deaths)
        except RuntimeError:
            deaths += 1
            if deaths > DEATHS_LEAST:
                assert story.most_under_way == 1
                assert story.saved == {("spout", str(POISON)): deaths - DEATHS_LEAST}
        else:
            break
    assert deaths == Giving.retries.attempts
    assert story.left == []
    [(number, failure)] = story.script.made("give_up")
    why = "the worker of its spout died 5 times in a row, 3 times with nothing else of its spouts under way"
    assert (number, failure.kind, failure.component, failure.text) == (POISON, "worker-died", None, why)
    assert story.script.made("execute", "letters") == [[POISON, 5, why]]
    assert story.script.made("failed") == []
    assert worker.errors == [
        ("spout", f"The message {POISON} may be what ends the worker: {why}"),
        ("spout", f"The message {POISON} is given up: {why}"),
    ]
    [spout] = [executor for executor in worker.lanes.executors if executor.component == "spout"]
    assert [(each.message_id, each.failure) for each in spout.last_failures] == [(str(POISON), failure)]
    assert story.saved == {}


def test_what_is_under_way_when_the_careful_while_is_over_is_no_suspect() -> None:
    story = Story(all_at_once)
    story.script.on["bolt", "execute"] = lambda bolt, tup: None  # never acked
    story.live(2, CAREFUL_SECS + 1)
    assert story.saved == {}


def test_a_worker_that_ends_in_order_suspects_nobody_of_it() -> None:
    story = Story(all_at_once)
    story.saved = {("spout", "2"): 1}
    story.script.on["bolt", "execute"] = lambda bolt, tup: None  # never acked
    worker = story.live(2, SUSPECTS_WAIT_SECS - 1)
    assert story.saved == {("spout", "1"): 1, ("spout", "2"): 1}
    worker.close()
    assert story.saved == {("spout", "2"): 1}


def test_what_has_no_id_waits_too_while_something_is_under_way() -> None:
    def emit(spout: Any, left: list[int]) -> None:
        spout.collector.emit([1], 1)
        spout.collector.emit([10])
        spout.collector.emit_many([[11], [12]])

    for is_acked, expected in ((False, [1]), (True, [1, 10, 11, 12])):
        story = Story(emit)
        executed: list[int] = []

        def execute(bolt: Any, tup: Any, executed: list[int] = executed, is_acked: bool = is_acked) -> None:
            executed.append(tup.value)
            if is_acked:
                ack_it(bolt, tup)

        story.script.on["bolt", "execute"] = execute
        story.live(2, 5.0)
        assert executed == expected


class AsyncSpout(Spout):
    outputs = OUTPUTS

    async def next_tuple(self) -> None:
        raise AssertionError("nobody asks")


def test_nobody_is_careful_beside_a_spout_that_cannot_be() -> None:
    for others, is_on in (([], True), ([AsyncSpout()], False)):
        caution = Caution(2, {}, lambda seen: None)
        builder = TopologyBuilder()
        builder.set_spout("giving", Giving(Script()))
        for other in others:
            builder.set_spout("other", other)
        worker = OneWorker(builder.create_topology(), caution=caution)
        assert caution.is_on(0.0) is is_on
        worker.close()


def test_after_a_while_it_is_a_spout_as_any_and_what_waited_goes_first() -> None:
    story = Story(all_at_once)
    executed: list[int] = []
    story.script.on["bolt", "execute"] = lambda bolt, tup: executed.append(tup.value)  # never acked
    story.live(2)
    assert executed == [1]
    executed.clear()
    story.live(2, CAREFUL_SECS + 1)
    assert executed == [2, 1, 3, 4, 5, 6], "1 was under way when the worker before this one ended"


def test_what_fails_is_told_as_ever_and_suspects_nobody() -> None:
    story = Story(one_by_one)
    story.script.on["bolt", "execute"] = lambda bolt, tup: bolt.collector.fail(tup)
    story.live(2, 5.0)
    assert {number for number, _ in story.script.made("failed")} == {*NUMBERS}
    assert story.saved == {}


def test_a_suspect_waits_a_little_and_so_does_nobody_else() -> None:
    story = Story(all_at_once)
    story.saved = {("spout", "1"): 1, ("spout", "4"): 1}
    executed: list[int] = []

    def execute(bolt: Any, tup: Any) -> None:
        executed.append(tup.value)
        ack_it(bolt, tup)

    story.script.on["bolt", "execute"] = execute
    story.live(2, SUSPECTS_WAIT_SECS - 0.1)
    assert executed == [2, 3, 5, 6]
    executed.clear()
    story.live(2, SUSPECTS_WAIT_SECS + 0.1)
    assert executed == [1, 4]
    assert (story.left, story.saved) == ([], {})


def test_spouts_of_a_worker_take_turns_also_where_one_never_gives_up_and_in_what_they_do_when_told() -> None:
    failed: list[Any] = []

    def emit(spout: Any, number: int) -> None:
        spout.collector.emit([number], number)

    def next_tuple(spout: Any, _: Any) -> None:
        if spout.emitted < 20:
            spout.emitted += 1
            emit(spout, spout.emitted)

    def execute(bolt: Any, tup: Any) -> None:
        if len(failed) < 5:
            failed.append(tup.value)
            bolt.collector.fail(tup)
        else:
            ack_it(bolt, tup)

    script = Script(next_tuple=next_tuple, fail=emit, failed=lambda spout, told: emit(spout, told[0]))
    script.on["bolt", "execute"] = execute
    builder = TopologyBuilder()
    for name, spout in (("giving", Giving(script)), ("plain", ScriptedSpout(script))):
        builder.set_spout(name, spout, 2)
    bolt = builder.set_bolt("bolt", ScriptedBolt(script), 2)
    bolt.shuffle_grouping("giving").shuffle_grouping("plain")
    worker = OneWorker(builder.create_topology(), caution=Caution(2, {}, lambda seen: None))
    spouts = [executor for executor in worker.lanes.executors if executor.component in {"giving", "plain"}]

    def is_done() -> bool:
        assert sum(task.pending.count for executor in spouts for task in executor.tasks) <= 1
        return len(script.made("ack")) == 80

    worker.run(is_done)
    assert worker.clock.now() < CAREFUL_SECS
    assert len(failed) == 5


def test_a_value_that_cannot_travel_is_reported_and_suspects_nobody() -> None:
    def one_is_bad(spout: Any, left: list[int]) -> None:
        for number in left:
            spout.collector.emit([print if number == 2 else number], number)

    story = Story(one_is_bad)
    story.conf["topology.testing.always.try.serialize"] = True
    story.script.on["bolt", "execute"] = ack_it
    worker = story.live(2)
    assert story.left == [2]
    assert story.saved == {}
    [(component, text)] = worker.errors
    assert component == "spout"
    assert "cannot travel between workers" in text
