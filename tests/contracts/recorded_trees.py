"""Spouts and bolts that note every emit, ack and fail, so that a test can ask whether acks were right."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

from storm.testing.in_process import Shared
from storm.topology.component import Bolt, Spout
from storm.topology.output_fields import DirectStream
from storm.topology.structure import GroupingKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import TaskId
    from storm.topology.component import OutputCollector, SpoutOutputCollector
    from storm.topology.context import TopologyContext
    from storm.tuples import Tuple

KEYS = ["a", "b", 3, 4.0, None]
STREAMS = ("default", "second", "direct")


def goes_to_one(context: TopologyContext, stream: str) -> bool:
    """Whether each tuple of this stream goes to exactly one task: what collectors do the shortest way."""
    kinds = [grouping.kind for grouping in context.targets().get(stream, {}).values()]
    return len(kinds) == 1 and kinds[0] is not GroupingKind.ALL


class Execution:
    """One call of `execute`: which emit it was, what it emitted in turn, how it ended."""

    def __init__(self, emit: int, task: TaskId) -> None:
        self.emit = emit
        self.task = task
        self.children: list[int] = []
        self.acked = False
        self.failed = False


class Record(Shared):
    """All that happened in a topology. `problems` are broken laws seen on the spot."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count(1)
        self.targets: dict[int, list[TaskId] | None] = {}  # emit -> the tasks that it went to; None: one, unknown
        self.executions: dict[int, list[Execution]] = {}  # of each emit
        self.emitted: dict[int, TaskId] = {}  # message id -> the spout's task
        self.acked: dict[int, TaskId] = {}
        self.failed: dict[int, TaskId] = {}
        self.under_way: dict[int, str] = {}  # message id -> the spout
        self.most_under_way: dict[str, int] = {}
        self.problems: list[str] = []

    def complete(self, emit: int, seen: frozenset[int] = frozenset()) -> bool:
        """Whether each tuple of this emit was acked, and so was all that descends from it."""
        assert emit not in seen
        targets = self.targets[emit]
        executions = self.executions.get(emit, [])
        if targets is None:
            targets = [execution.task for execution in executions][:1] or [-1]
        return all(
            any(
                execution.acked and all(self.complete(child, seen | {emit}) for child in execution.children)
                for execution in executions
                if execution.task == task
            )
            for task in targets
        )


class RecordingSpout(Spout):
    """Emits `count` tuples a task, the emit's number as message id; every third goes to the stream `second`."""

    outputs = {"default": ["emit", "key"], "second": ["emit", "key"]}

    def __init__(self, record: Record, count: int) -> None:
        self.record = record
        self.count = count

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        super().open(conf, context, collector)
        self.left = self.count
        self.rng = random.Random(context.task_id)

    def next_tuple(self) -> None:
        if not self.left:
            return
        self.left -= 1
        record, component = self.record, self.context.component_id
        number = next(record.numbers)
        record.emitted[number] = self.context.task_id
        values = [number, self.rng.choice(KEYS)]
        stream = "second" if number % 3 == 0 else "default"
        record.targets[number] = None
        if goes_to_one(self.context, stream):
            self.collector.emit(values, number, stream)
        else:
            record.targets[number] = self.collector.emit_and_get_tasks(values, number, stream)
        if record.targets[number] != []:
            record.under_way[number] = component
            most = list(record.under_way.values()).count(component)
            record.most_under_way[component] = max(most, record.most_under_way.get(component, 0))

    def ack(self, message_id: int) -> None:
        self.note(message_id, self.record.acked)
        if not self.record.complete(message_id):
            self.record.problems.append(f"{message_id} acked, but its tree is not complete")

    def fail(self, message_id: int) -> None:
        self.note(message_id, self.record.failed)

    def note(self, message_id: int, ended: dict[int, TaskId]) -> None:
        record = self.record
        if record.emitted.get(message_id) != self.context.task_id:
            record.problems.append(f"task {self.context.task_id} was told of {message_id}, which it never emitted")
        if message_id in record.acked or message_id in record.failed:
            record.problems.append(f"{message_id} ended twice")
        ended[message_id] = self.context.task_id
        record.under_way.pop(message_id, None)


class RecordingBolt(Bolt):
    """Emits, acks at once or later, fails or forgets, by chance. `moods`: shares of (fail, forget, hold back)."""

    outputs = {"default": ["emit", "key"], "second": ["emit", "key"], "direct": DirectStream(["emit", "key"])}

    def __init__(self, record: Record, seed: int, moods: tuple[float, float, float], emits_max: int = 2) -> None:
        self.record = record
        self.seed = seed
        self.moods = moods
        self.emits_max = emits_max

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        super().prepare(conf, context, collector)
        self.rng = random.Random(self.seed * 1000 + context.task_id)
        self.held: list[tuple[Tuple, Execution]] = []
        self.direct_tasks = [
            task for component in context.targets().get("direct", {}) for task in context.tasks_of(component)
        ]

    def execute(self, tup: Tuple) -> None:
        if tup.is_tick():
            self.let_go()
            return
        execution = Execution(tup.emit, self.context.task_id)
        self.record.executions.setdefault(tup.emit, []).append(execution)
        mine = [(tup, execution)]
        fail, forget, hold = self.moods
        mood = self.rng.random()
        if mood < hold:
            self.held.append((tup, execution))
            return
        if self.held and self.rng.random() < 0.5:
            mine += self.held
            self.held = []
        for _ in range(self.rng.randint(0, self.emits_max)):
            self.emit_from(mine)
        for each, execution in mine:
            self.end(each, execution, self.rng.random() < fail, self.rng.random() < forget)

    def emit_from(self, mine: list[tuple[Tuple, Execution]]) -> None:
        number = next(self.record.numbers)
        values = [number, self.rng.choice(KEYS)]
        anchors: Any = [tup for tup, _ in mine]
        if len(anchors) == 1 and self.rng.random() < 0.8:
            anchors = anchors[0]
        unanchored = self.rng.random() < 0.1
        if self.direct_tasks and self.rng.random() < 0.3:
            task = self.rng.choice(self.direct_tasks)
            self.record.targets[number] = [task]
            self.collector.emit_direct(task, values, None if unanchored else anchors, "direct")
        else:
            stream = self.rng.choice(["default", "second"])
            self.record.targets[number] = None
            if goes_to_one(self.context, stream):
                self.collector.emit(values, None if unanchored else anchors, stream)
            else:
                tasks = self.collector.emit_and_get_tasks(values, None if unanchored else anchors, stream)
                self.record.targets[number] = tasks
        if not unanchored:
            for _, execution in mine:
                execution.children.append(number)

    def end(self, tup: Tuple, execution: Execution, fails: bool, forgets: bool) -> None:
        if fails:
            execution.failed = True
            self.collector.fail(tup)
        elif not forgets:
            execution.acked = True
            self.collector.ack(tup)
            if self.rng.random() < 0.1:
                self.collector.ack(tup)  # twice is once

    def let_go(self) -> None:
        for tup, execution in self.held:
            self.end(tup, execution, False, False)
        self.held = []
