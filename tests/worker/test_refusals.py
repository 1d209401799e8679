from __future__ import annotations

from typing import TYPE_CHECKING, Any

from one_worker import NoOtherWorker, OneWorker
from scripted_components import Script, ScriptedBolt, ScriptedSpout, emit_up_to

from storm.executor.pending import root_base
from storm.executor.transfer import Tracking
from storm.topology.builder import TopologyBuilder
from storm.tuples import Tuple
from storm.worker.refusals import Refusals

if TYPE_CHECKING:
    from array import array

ELSEWHERE = root_base(70, 71) | 5  # a tree that the task 70 of another worker holds


class NotingTransfer(NoOtherWorker):
    def __init__(self) -> None:
        self.tracking: list[tuple[Tracking, int, int, list[int]]] = []

    def send_tracking(self, kind: Tracking, target: int, source: int, pairs: array[int]) -> None:
        self.tracking.append((kind, target, source, list(pairs)))


class Story:
    """A spout's tuples of which `taken`, given to the bolt, are not settled."""

    def __init__(self, count: int) -> None:
        self.script = Script(next_tuple=emit_up_to(count))
        builder = TopologyBuilder()
        builder.set_spout("spout", ScriptedSpout(self.script))
        builder.set_bolt("bolt", ScriptedBolt(self.script)).shuffle_grouping("spout")
        self.worker = OneWorker(builder.create_topology())
        self.worker.run(lambda: len(self.script.made("execute")) == count)
        self.transfer = NotingTransfer()
        self.worker.lanes.transfer = self.transfer
        [self.bolt] = self.worker.lanes.plan.tasks_of("bolt")
        self.taken: list[Any] = [given for _, _, called, given in self.script.calls if called == "execute"]
        self.refusals = Refusals(self.worker.lanes)


def test_all_trees_of_what_is_refused_fail_by_the_task_that_it_was_for() -> None:
    story = Story(2)
    refused, kept = story.taken
    refused.more = {ELSEWHERE: 9}
    story.refusals.refuse(story.bolt, [(refused, "no such type")])
    story.worker.run(lambda: len(story.script.made("fail")) == 1)
    assert [number for _, number in story.script.made("fail")] == list(refused.values)
    assert kept.root
    assert story.transfer.tracking == [(Tracking.FAIL, 70, story.bolt, [ELSEWHERE, story.bolt])]
    assert story.worker.errors == [("bolt", "storm.errors.SerializationError: no such type")]


def test_what_nobody_tracks_is_only_told() -> None:
    story = Story(1)
    story.refusals.refuse(story.bolt, [(Tuple([1], story.taken[0].origin), "no such type")])
    assert story.transfer.tracking == []
    assert len(story.worker.errors) == 1


def test_of_many_some_are_told_and_all_fail() -> None:
    story = Story(100)
    story.refusals.refuse(story.bolt, [(tup, f"no {number}") for number, tup in enumerate(story.taken)])
    story.worker.run(lambda: len(story.script.made("fail")) == 100)
    assert [text.rpartition(" ")[2] for _, text in story.worker.errors] == ["0", "1", "2", "3", "4"]
