"""Topologies whose components note all that they do, over a source that outlives their workers.

A spout's task takes items from the source, emits each under a message id of its own (an *attempt*), and does so again
when the attempt failed, or when it is opened anew. So no item may be lost, whatever happens; some come more than once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from storm.errors import StormError
from storm.testing.in_process import Shared
from storm.topology.builder import TopologyBuilder
from storm.topology.component import Bolt, Spout
from storm.topology.structure import GroupingKind

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from simulated_worker import WorkerProcess
    from weather import Weather

    from storm.ids import TaskId
    from storm.testing.simulated_clock import SimulatedClock
    from storm.topology.component import OutputCollector, SpoutOutputCollector
    from storm.topology.context import TopologyContext
    from storm.topology.structure import StormTopology
    from storm.tuples import Tuple

ITEMS_OPEN_MAX = 20  # of one spout task, before it takes new ones
BURSTS = 0.03  # the share of items that are followed by others at once


@dataclass(eq=False, slots=True)
class Execution:
    """One call of `execute`: what it emitted in turn, and whether it acked."""

    children: list[int] = field(default_factory=list)
    acked: bool = False


@dataclass(eq=False, slots=True)
class Item:
    """Something that a spout's task has to bring through. `done_at`: when it was acked first."""

    born_at: float
    done_at: float | None = None


@dataclass(eq=False, slots=True)
class Attempt:
    """An item's emission. `ended`: "acked" or "failed", when its spout was told."""

    item: Item
    emitted_at: float
    ended: str | None = None


@dataclass(eq=False, slots=True)
class SpoutLife:
    """A spout object from `open` on."""

    topology_id: str
    task: TaskId
    worker: WorkerProcess
    attempts: dict[int, Attempt] = field(default_factory=dict)


class Record(Shared):
    """What all components of one simulation did, in one place. `worker` is the process whose call is being made."""

    def __init__(self, clock: SimulatedClock, rng: random.Random, weather: Weather) -> None:
        super().__init__()
        self.clock = clock
        self.rng = rng
        self.weather = weather
        self.worker: WorkerProcess | None = None
        self.emits = 0
        self.targets: dict[int, list[TaskId]] = {}  # emit -> the tasks that it went to
        self.keys: dict[int, int] = {}  # emit -> what else it carries
        self.executions: dict[tuple[int, TaskId], list[Execution]] = {}
        self.items: dict[tuple[str, TaskId], list[Item]] = {}  # of a topology's spout task
        self.lives: list[SpoutLife] = []
        self.problems: list[str] = []
        self.acked = 0
        self.failed = 0

    def next_emit(self) -> list[int]:
        """The values of what is emitted now: its number, and a key."""
        self.emits += 1
        key = self.keys[self.emits] = self.rng.randrange(5)
        self.targets[self.emits] = []
        return [self.emits, key]

    def note_targets(self, emit: int, context: TopologyContext, wanted: dict[str, int], tasks: list[TaskId]) -> None:
        """An emit of the context's task went to these."""
        self.targets[emit] = tasks
        found: dict[str, int] = {}
        for task in set(tasks):
            component = context.component_of(task)
            found[component] = found.get(component, 0) + 1
        if found != wanted or len(tasks) != sum(wanted.values()):
            self.problems.append(f"emit {emit} of task {context.task_id} went to {tasks}, not to {wanted}")

    def note_execution(self, emit: int, key: int, task: TaskId) -> Execution:
        """A task executes a tuple."""
        if self.keys.get(emit) != key:
            self.problems.append(f"task {task} executed ({emit}, {key}), which nobody emitted")
        execution = Execution()
        self.executions.setdefault((emit, task), []).append(execution)
        return execution

    def is_complete(self, emit: int) -> bool:
        """Whether each tuple of this emit was acked by its bolt, and so was all that descends from it."""
        return all(
            any(
                execution.acked and all(self.is_complete(child) for child in execution.children)
                for execution in self.executions.get((emit, task), ())
            )
            for task in self.targets[emit]
        )


def wanted_targets(context: TopologyContext) -> dict[str, int]:
    """{who subscribes to the context's component: how many of its tasks each emit goes to}."""
    return {
        component: len(context.tasks_of(component)) if grouping.kind is GroupingKind.ALL else 1
        for component, grouping in context.targets().get("default", {}).items()
    }


class SourceSpout(Spout):
    """Emits an item at a time: what is to be replayed first, then new ones."""

    outputs = {"default": ["emit", "key"]}

    def __init__(self, record: Record) -> None:
        self.record = record

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        super().open(conf, context, collector)
        record = self.record
        assert record.worker is not None
        self.life = SpoutLife(context.topology_id, context.task_id, record.worker)
        record.lives.append(self.life)
        self.wanted = wanted_targets(context)
        self.items = record.items.setdefault((context.topology_id, context.task_id), [])
        self.to_do: list[Item] = []  # failed, to be emitted again
        self.position = 0  # in `items`, as somebody has who reads a log
        self.under_way = 0
        self.quiet_until = 0.0
        self.burst = 0

    def next_item(self, now: float) -> Item | None:
        """What is to be emitted next; None: enough is under way."""
        if self.to_do:
            return self.to_do.pop(0)
        if self.under_way >= ITEMS_OPEN_MAX:
            return None
        while self.position < len(self.items):
            self.position += 1
            if self.items[self.position - 1].done_at is None:
                return self.items[self.position - 1]
        self.items.append(Item(now))
        self.position += 1
        return self.items[-1]

    def next_tuple(self) -> None:
        record = self.record
        now = record.clock.now()
        if now < self.quiet_until:
            return
        item = self.next_item(now)
        if item is None:
            return
        if record.rng.random() < BURSTS:
            self.burst = record.rng.randint(5, 15)
        self.burst -= 1
        if self.burst < 0:
            self.quiet_until = now + record.rng.uniform(0.5, 3.0)
        values = record.next_emit()
        number = values[0]
        self.life.attempts[number] = Attempt(item, now)
        self.under_way += 1
        tasks = self.collector.emit_and_get_tasks(values, number)
        record.note_targets(number, self.context, self.wanted, tasks)

    def ack(self, message_id: int) -> None:
        item = self.end(message_id, "acked")
        record = self.record
        record.acked += 1
        if not record.is_complete(message_id):
            record.problems.append(f"attempt {message_id} was acked, but not all of its tree was processed")
        if item is not None and item.done_at is None:
            item.done_at = record.clock.now()

    def fail(self, message_id: int) -> None:
        item = self.end(message_id, "failed")
        self.record.failed += 1
        if item is not None and item.done_at is None:
            self.to_do.append(item)

    def end(self, message_id: int, how: str) -> Item | None:
        attempt = self.life.attempts.get(message_id)
        if attempt is None:
            self.record.problems.append(f"task {self.life.task} was told of {message_id}, which it never emitted")
            return None
        if attempt.ended is not None:
            self.record.problems.append(f"attempt {message_id} ended twice: {attempt.ended}, then {how}")
        attempt.ended = how
        self.under_way -= 1
        return attempt.item


class NotingBolt(Bolt):
    """Emits `children` tuples for each, anchored, and acks; unless the weather wants something else."""

    outputs = {"default": ["emit", "key"]}

    def __init__(self, record: Record, children: int) -> None:
        self.record = record
        self.children = children

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        super().prepare(conf, context, collector)
        self.wanted = wanted_targets(context)
        self.held: list[tuple[Tuple, Execution]] = []

    def execute(self, tup: Tuple) -> None:
        record, weather = self.record, self.record.weather
        mine, self.held = self.held, []
        if not tup.is_tick():
            mine.append((tup, record.note_execution(tup.emit, tup.key, self.context.task_id)))
            if weather.strikes("tuple held"):
                self.held = mine
                return
        if not mine:
            return
        if weather.strikes("bolt slow") and record.worker is not None:
            record.worker.hang(record.rng.uniform(0.05, 1.0))
        if weather.strikes("bolt raises"):
            raise StormError("a bolt of the simulation raises")
        self.emit_from(mine)
        for each, execution in mine:
            if weather.strikes("tuple failed"):
                self.collector.fail(each)
            elif not weather.strikes("tuple forgotten"):
                execution.acked = True
                self.collector.ack(each)

    def emit_from(self, mine: list[tuple[Tuple, Execution]]) -> None:
        record = self.record
        for _ in range(self.children):
            values = record.next_emit()
            anchors = [tup for tup, _ in mine]
            tasks = self.collector.emit_and_get_tasks(values, anchors)
            record.note_targets(values[0], self.context, self.wanted, tasks)
            for _, execution in mine:
                execution.children.append(values[0])


def random_topology(record: Record, rng: random.Random) -> StormTopology:
    """One or two spouts, one to three layers of bolts."""
    builder = TopologyBuilder()
    above = []
    for i in range(rng.choice((1, 1, 2))):
        declared = builder.set_spout(f"source{i}", SourceSpout(record), rng.randint(1, 2))
        if rng.random() < 0.3:
            declared.set_num_tasks(2)
        above.append(f"source{i}")
    layers = rng.choice((1, 2, 2, 3))
    for i in range(layers):
        children = 0 if i == layers - 1 else rng.randint(1, 2)
        bolt = builder.set_bolt(f"layer{i}", NotingBolt(record, children), rng.randint(1, 3))
        bolt.set_num_tasks(4).configure({"topology.tick.tuple.freq.secs": 2})
        for source in above if i == 0 else [f"layer{i - 1}"]:
            kind = rng.choice(("shuffle", "fields", "local", "all" if i else "shuffle", "global"))
            if kind == "fields":
                bolt.fields_grouping(source, ["key"])
            elif kind == "local":
                bolt.local_or_shuffle_grouping(source)
            elif kind == "all":
                bolt.all_grouping(source)
            elif kind == "global":
                bolt.global_grouping(source)
            else:
                bolt.shuffle_grouping(source)
    return builder.create_topology()
