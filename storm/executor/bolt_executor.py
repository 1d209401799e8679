"""The tasks of a bolt: takes what is queued for each, calls `execute`, then sends acks, fails and tuples on."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from storm.errors import FailedError, ReportedFailedError, SerializationError
from storm.executor.collectors import BasicCollector, BoltCollector
from storm.executor.component_loading import load_component, load_grouping, refuse_coroutine
from storm.executor.executor import QUOTA_MAX, TURN_SECS, Executor
from storm.executor.latencies import Latencies
from storm.executor.task import wire_streams
from storm.executor.transfer import Tracking
from storm.ids import SYSTEM_TASK, TICK_STREAM, GlobalStreamId
from storm.metrics.executor_stats import Totals
from storm.topology.component import BasicBolt, Bolt
from storm.tuples import Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from storm.config.topology_conf import TopologyOptions
    from storm.executor.executor import Surroundings
    from storm.executor.hook_calls import HookCalls
    from storm.executor.lane import Lane
    from storm.executor.task import Port
    from storm.ids import ExecutorId, TaskId

CALLS_TIMED = 64  # of tuples that are executed one by one within emit, one in so many is timed
SAMPLES_MAX = 16  # tuples whose time from receipt to ack is being taken


class BoltTask:
    """One task: the user's bolt, its collector, its queue. `execute_batch`: None where the bolt has none.

    `basic` is a `BasicBolt`'s collector; None for other bolts. `calls` tells hooks; None where there are none.
    `raised`: the error that ends the worker, and the tuples that the bolt was given then.
    """

    __slots__ = (
        "basic", "bolt", "calls", "collector", "execute", "execute_batch", "id", "port", "raised", "user_collector",
    )  # fmt: skip

    def __init__(self, task_id: TaskId, bolt: Any, collector: BoltCollector) -> None:
        self.id = task_id
        self.bolt = bolt
        self.collector = collector
        self.port: Port
        self.user_collector: Any = collector
        self.basic: BasicCollector | None = None
        self.calls: HookCalls | None = None
        self.raised: tuple[BaseException, list[Tuple]] | None = None
        self.execute: Callable[[Tuple], Any] = bolt.execute
        self.execute_batch: Callable[[list[Tuple]], Any] | None = None
        if isinstance(bolt, BasicBolt):
            self.user_collector = self.basic = BasicCollector(collector)
        elif getattr(type(bolt), "execute_batch", Bolt.execute_batch) is not Bolt.execute_batch:
            self.execute_batch = bolt.execute_batch

    def hear(self, calls: HookCalls) -> None:
        """Tell hooks of what it executes, acks and fails from now on."""
        self.calls = calls
        self.collector.hear(calls.settled)
        self.execute = calls.executing(self.execute)
        if self.execute_batch is not None:
            self.execute_batch = calls.executing(self.execute_batch)

    def emitted(self) -> int:
        """How many tuples it has emitted so far, on all streams."""
        return sum([out.emitted for out in self.collector.streams.values()])

    def execute_all(self, batch: list[Tuple]) -> None:
        """Execute these, whatever data that fails some of them hold."""
        if self.execute_batch is not None:
            try:
                answer = self.execute_batch(list(batch))
                if answer is not None:
                    refuse_coroutine(answer, self.bolt, "execute_batch")
            except (FailedError, SerializationError) as error:
                self.refused(error, batch)
            except BaseException as error:
                self.raised = error, batch
                raise
            return
        execute, basic = self.execute, self.basic
        done, count = 0, len(batch)
        while done < count:
            try:
                while done < count:
                    tup = batch[done]
                    done += 1
                    if basic is None:
                        answer = execute(tup)
                        if answer is not None:
                            refuse_coroutine(answer, self.bolt, "execute")
                    else:
                        self.execute_basic(tup)
            except (FailedError, SerializationError) as error:
                self.refused(error, [tup])
            except BaseException as error:
                self.raised = error, [tup]
                raise

    def refused(self, error: Exception, tuples: list[Tuple]) -> None:
        """Data is at fault, not the code, so these fail and the worker lives: FailedError says so, or an emit was
        refused and the bolt did not catch it."""
        if not isinstance(error, FailedError) or isinstance(error, ReportedFailedError):
            self.collector.report(error, tuples)
        for tup in tuples:
            if not tup.settled:
                self.collector.fail(tup)

    def execute_basic(self, tup: Tuple) -> None:
        """`BasicBolt`: ack after `execute`."""
        self.basic.input = tup  # type: ignore[union-attr]
        answer = self.execute(tup)
        if answer is not None:
            refuse_coroutine(answer, self.bolt, "execute")
        self.collector.ack(tup)


class BoltExecutor(Executor):
    """Prepared when the topology is first active, or when its first tuple comes."""

    __slots__ = (
        "acked", "active", "called", "execute_latencies", "execute_secs", "executed", "failed", "fan_out", "only_input",
        "process_latencies", "process_secs", "running", "samples", "tasks", "tick_due", "tick_secs", "timed",
    )  # fmt: skip

    def __init__(self, executor_id: ExecutorId, options: TopologyOptions, surroundings: Surroundings) -> None:
        super().__init__(executor_id, options, surroundings)
        inputs = surroundings.plan.user_inputs(self.component)
        self.only_input = inputs[0] if len(inputs) == 1 else None
        tick = GlobalStreamId("__system", TICK_STREAM)
        self.executed = dict.fromkeys([*inputs, tick], 0)
        self.acked = dict.fromkeys([*inputs, tick], 0)
        self.failed = dict.fromkeys([*inputs, tick], 0)
        self.execute_secs = dict.fromkeys((*inputs, tick), (0.0, 0))
        self.process_secs = dict.fromkeys((*inputs, tick), (0.0, 0))
        self.execute_latencies: dict[GlobalStreamId, Latencies] = {}
        self.process_latencies: dict[GlobalStreamId, Latencies] = {}
        self.samples: list[tuple[Tuple, float]] = []
        self.called: list[Tuple] = []
        self.timed = 0  # batches
        self.active = False
        self.fan_out = 1  # tuples that it emitted for each of the last batch, at least 1
        self.running = False
        self.tick_secs = options.tick_tuple_freq_secs
        self.tick_due: float | None = None
        self.tasks = [self._task(task) for task in executor_id.tasks()]

    def _task(self, task_id: TaskId) -> BoltTask:
        plan, rng = self.surroundings.plan, self.surroundings.rng
        bolt = load_component(self.component, plan.topology.bolts[self.component].component)
        self.load_hooks(task_id, bolt)
        streams = self.streams[task_id] = wire_streams(plan, task_id, rng, load_grouping)
        return BoltTask(
            task_id, bolt, BoltCollector(self.component, task_id, streams, rng.getrandbits(64) | 1, self.report)
        )

    def enter(self, lane: Lane) -> None:
        super().enter(lane)
        for task in self.tasks:
            task.port = lane.port(task.id)

    def set_active(self, active: bool) -> None:
        self.active = active

    def turn(self, now: float) -> bool:
        if not self.started:
            if not self.active and not self.has_input():
                return False
            self.prepare(now)
        did = self.unfinished = False
        if self.called:
            self.count_called()
        if self.tick_due is not None and now >= self.tick_due:
            self.tick(now)
            did = True
        for task in self.tasks:
            if task.port.items and not self.held and self.work(task):
                did = True
            collector = task.collector
            if collector.acks or collector.fails or collector.resets:
                self.settle(collector)
                did = True
        return self.flush() or did  # also what was emitted in `prepare`, or by a tuple that was executed within emit

    def work(self, task: BoltTask) -> bool:
        """Execute what is queued for a task by now, in batches, while its turn lasts; False: not now.

        Each batch is settled and sent on before the next, and a turn ends when enough was emitted: tuples are executed
        and freed while they are still in the cache.
        """
        left = len(task.port.items)
        ends = self.clock.now() + TURN_SECS
        first = before = task.emitted()
        did = False
        while left > 0 and not self.held:
            number = self.run(task)
            if not number:
                break
            did = True
            left -= number
            emitted = task.emitted()
            self.fan_out = max(1, (emitted - before) // number)
            before = emitted
            if left > 0:
                self.settle(task.collector)
                self.flush()
                if emitted - first >= QUOTA_MAX:
                    self.unfinished = True
                    break
                if self.clock.now() > ends:
                    break
        return did

    def has_input(self) -> bool:
        return any(task.port.items for task in self.tasks)

    def next_due(self) -> float | None:
        return 0.0 if self.active and not self.started else self.tick_due

    def prepare(self, now: float) -> None:
        self.started = True
        for task in self.tasks:
            context = self.context(task.id)
            task.bolt.prepare(context.conf, context, task.user_collector)
        self.prepared = True
        if self.tick_secs is not None:
            self.tick_due = now + self.tick_secs

    def hear(self, task: TaskId, calls: HookCalls) -> None:
        for each in self.tasks:
            if each.id == task:
                each.hear(calls)

    def components(self) -> list[tuple[TaskId, Any]]:
        return [(task.id, task.bolt) for task in self.tasks]

    def endings(self) -> Iterator[Any]:
        if self.started:
            for task in self.tasks:
                yield task.bolt.cleanup()
                if task.calls is not None:
                    task.calls.cleanup()

    def tick(self, now: float) -> None:
        """A tick goes before what is queued: a bolt that is behind still hears of time."""
        assert self.tick_secs is not None
        self.tick_due = now + self.tick_secs
        origin = self.surroundings.plan.origin(SYSTEM_TASK, TICK_STREAM)
        for task in self.tasks:
            tick = Tuple((self.tick_secs,), origin)
            tick.target = task.id
            self.execute_one(task, tick)

    def execute_one(self, task: BoltTask, tup: Tuple) -> None:
        """Execute a tuple that comes by another way than the queue."""
        began = self.clock.now()
        task.execute_all([tup])
        self.count_executed([tup], began, self.clock.now())

    def run(self, task: BoltTask) -> int:
        """Execute what is queued for a task, at most a quota of it; how many tuples, 0: not now."""
        port = task.port
        batch = port.items
        quota = max(1, min(self.quota, QUOTA_MAX // self.fan_out))
        if len(batch) <= quota:
            port.items = []
        else:
            batch = batch[:quota]
            del port.items[:quota]
        self.running = True
        began = self.clock.now()
        task.execute_all(batch)
        ended = self.clock.now()
        self.running = False
        self.count_executed(batch, began, ended)
        self.adapt(ended - began)
        return len(batch)

    def task_to_call(self, task: TaskId) -> Callable[[Tuple], None] | None:
        for each in self.tasks:
            if each.id == task:
                return partial(self.execute_now, each)
        return None

    def execute_now(self, task: BoltTask, tup: Tuple) -> None:
        """Called by the emitting executor of this lane (none grouping): execute at once unless in the midst of it."""
        if self.running or self.held:
            task.port.items.append(tup)
            return
        self.running = True
        try:
            if not self.started:
                self.prepare(self.clock.now())
            if self.called:
                task.execute_all([tup])
            else:
                self.execute_one(task, tup)
            self.note_called(tup)
        except Exception as error:
            raise self.lane.failed_within(self, error) from error
        finally:
            self.running = False

    def note_called(self, tup: Tuple) -> None:
        """Executed within emit; the first of each CALLS_TIMED is counted already."""
        self.called.append(tup)
        if len(self.called) == CALLS_TIMED:
            self.count_called()

    def count_called(self) -> None:
        called, self.called = self.called, []
        if len(called) > 1:
            self.count(self.executed, called[1:])

    def settle(self, collector: BoltCollector) -> None:
        """Bring acks, fails and resets to their trees' ledgers."""
        acks = collector.acks
        if acks:
            self.count(self.acked, acks)  # first: who looks from another thread must not miss them (`held_tuples`)
        collector.acks = []
        ledgers, tracking = self.lane.ledgers, self.tracking
        pending = None
        upper = 0
        for tup in acks:
            root = tup.root
            if root:
                if root >> 32 != upper:
                    upper = root >> 32
                    pending = ledgers.get(upper)
                if pending is not None:
                    pending.fold(root, tup.edge)
                else:
                    tracking.ack(root, tup.edge)
                if tup.more is not None:
                    self.settle_more(tup.more)
        if collector.fails:
            fails = collector.fails
            self.count(self.failed, fails)
            collector.fails = []
            for tup in fails:
                self.note(Tracking.FAIL, tup)
        if collector.resets:
            resets, collector.resets = collector.resets, []
            for tup in resets:
                self.note(Tracking.RESET, tup)

    def settle_more(self, more: dict[int, int]) -> None:
        for root, edge in more.items():
            pending = self.lane.ledgers.get(root >> 32)
            if pending is not None:
                pending.fold(root, edge)
            else:
                self.tracking.ack(root, edge)

    def note(self, kind: Tracking, tup: Tuple) -> None:
        """FAIL or RESET of every tree of a tuple."""
        for root in (tup.root, *(tup.more or ())):
            if root:
                pending = self.lane.ledgers.get(root >> 32)
                if pending is None:
                    self.tracking.note(kind, root, tup.target if kind is Tracking.FAIL else 0)
                elif kind is Tracking.FAIL:
                    pending.settle(root, False, tup.target)
                else:
                    pending.reset(root)

    def count(self, counts: dict[GlobalStreamId, int], tuples: list[Tuple]) -> None:
        if self.only_input is not None and not self.tick_secs:
            counts[self.only_input] += len(tuples)
            return
        for origin, number in Counter([tup.origin for tup in tuples]).items():
            source = GlobalStreamId(origin.component, origin.stream)
            counts[source] = counts.get(source, 0) + number

    def count_executed(self, batch: list[Tuple], began: float, ended: float) -> None:
        """Counts are exact. Times: a batch's average, and from receipt to ack of one tuple in a batch.

        They count for that tuple's stream, whose place in the batch is another each time: streams whose tuples come in
        turn would have theirs at the same places of all batches.
        """
        self.count(self.executed, batch)
        self.timed += 1
        one = batch[self.timed % len(batch)]
        source = GlobalStreamId(one.origin.component, one.origin.stream)
        secs, number = self.execute_secs.get(source, (0.0, 0))
        self.execute_secs[source] = (secs + ended - began, number + len(batch))
        latencies_of(self.execute_latencies, source).add((ended - began) / len(batch), len(batch))
        if one.settled:
            self.add_process_secs(source, (ended - began) / len(batch))
        elif len(self.samples) < SAMPLES_MAX:
            self.samples.append((one, began))
        if self.samples:
            waiting = []
            for tup, since in self.samples:
                if tup.settled:
                    self.add_process_secs(GlobalStreamId(tup.origin.component, tup.origin.stream), ended - since)
                elif ended - since < 2 * self.options.message_timeout_secs:
                    waiting.append((tup, since))
            self.samples = waiting

    def add_process_secs(self, source: GlobalStreamId, secs: float) -> None:
        before, number = self.process_secs.get(source, (0.0, 0))
        self.process_secs[source] = (before + secs, number + 1)
        latencies_of(self.process_latencies, source).add(secs, 1)

    def raised_at(self, error: BaseException) -> Sequence[Tuple]:
        for task in self.tasks:
            if task.raised is not None and task.raised[0] is error:
                return task.raised[1]
        return ()

    # Any thread may ask. Ticks do not count: they need not be settled.

    def executions(self) -> int:
        """How many tuples were executed, or are awaited."""
        return all_but_ticks(self.executed)

    def settled(self) -> int:
        """How many tuples have been acked or failed."""
        return all_but_ticks(self.acked) + all_but_ticks(self.failed)

    def unsettled(self) -> int:
        """How many of the tuples that were executed, or are awaited, have been neither acked nor failed."""
        return max(0, self.executions() - self.settled())

    def totals(self) -> Totals:
        totals = Totals()
        for streams in self.streams.values():
            for name, out in streams.items():
                totals.count_output(name, out.emitted, out.transferred())
        for what, latencies in (("execute", self.execute_latencies), ("process", self.process_latencies)):
            for source in list(latencies):
                totals.count_latencies(what, source, latencies[source].read())
        totals.count_bolt(self.executed, self.acked, self.failed, self.execute_secs, self.process_secs)
        return totals


def all_but_ticks(counts: dict[GlobalStreamId, int]) -> int:
    return sum([counts[source] for source in list(counts) if source.stream_id != TICK_STREAM])


def latencies_of(found: dict[GlobalStreamId, Latencies], source: GlobalStreamId) -> Latencies:
    latencies = found.get(source)
    if latencies is None:
        latencies = found[source] = Latencies()
    return latencies
