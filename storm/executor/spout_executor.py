"""The tasks of a spout: acks and fails first, then `next_tuple` while it may emit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.errors import SerializationError
from storm.executor.collectors import SpoutCollector
from storm.executor.component_loading import load_component, load_grouping
from storm.executor.executor import Executor
from storm.executor.pending import Pending, root_base
from storm.executor.task import wire_streams
from storm.metrics.executor_stats import Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storm.config.topology_conf import TopologyOptions
    from storm.executor.executor import Surroundings
    from storm.executor.lane import Lane
    from storm.ids import ExecutorId, TaskId


IDLE_PAUSES = 500  # in a row: after so many the lane may make them longer


class SpoutTask:
    """One task: the user's spout, its collector, its tuples under way."""

    __slots__ = ("collector", "id", "pending", "spout")

    def __init__(self, task_id: TaskId, spout: Any, collector: SpoutCollector) -> None:
        self.id = task_id
        self.spout = spout
        self.collector = collector
        self.pending = collector.pending


class SpoutExecutor(Executor):
    """Calls `next_tuple` only while the topology is active, nothing downstream is full, and fewer than
    `topology.max.spout.pending` tuples a task are under way."""

    __slots__ = (
        "activated",
        "active",
        "changing",
        "fail_pending",
        "idle_pauses",
        "idle_secs",
        "idle_until",
        "rotate_due",
        "tasks",
        "timeout_secs",
    )

    def __init__(self, executor_id: ExecutorId, options: TopologyOptions, surroundings: Surroundings) -> None:
        super().__init__(executor_id, options, surroundings)
        self.tasks = [self._task(task) for task in executor_id.tasks()]
        self.active = False
        self.activated = False
        self.changing = False  # true only where `open`, `activate` or `deactivate` is awaited
        self.idle_secs = options.sleep_spout_wait_strategy_time_ms / 1000
        self.idle_until = 0.0
        self.idle_pauses = 0
        self.timeout_secs = options.message_timeout_secs if options.enable_message_timeouts else None
        self.rotate_due: float | None = None
        self.fail_pending = False

    def _task(self, task_id: TaskId) -> SpoutTask:
        plan, rng = self.surroundings.plan, self.surroundings.rng
        spout = load_component(self.component, plan.topology.spouts[self.component].component)
        streams = self.streams[task_id] = wire_streams(plan, task_id, rng, load_grouping)
        collector = SpoutCollector(self.component, streams, Pending(), self.tracking, self.report)
        holder = plan.holder(task_id)
        if holder is not None:
            init_sent = holder != task_id
            collector.track(root_base(holder, task_id), rng.getrandbits(32), rng.getrandbits(64) | 1, init_sent)
        return SpoutTask(task_id, spout, collector)

    def enter(self, lane: Lane) -> None:
        super().enter(lane)
        for task in self.tasks:
            lane.pendings[task.id] = task.pending
            if task.collector.tracked and not task.collector.init_sent:
                lane.ledgers[task.collector.base >> 32] = task.pending

    def set_active(self, active: bool) -> None:
        self.active = active

    def turn(self, now: float) -> bool:
        if not self.started:
            if not self.active:
                return False
            self.open(now)
        if self.changing:
            return False
        did = self.settle(now)
        if self.rotate_due is not None and now >= self.rotate_due:
            self.rotate(now)
            did = self.settle(now) or did
        if self.fail_pending:
            self.fail_pending = False
            for task in self.tasks:
                task.pending.rotate()
                task.pending.rotate()  # twice: whatever the age
            did = self.settle(now) or did
        if self.active is not self.activated:
            self.activate(self.active)
            did = True
        may_emit = self.activated and not self.changing and not self.held
        if may_emit and now >= self.idle_until and self.room() > 0:
            began = self.clock.now()
            if self.emit(began):
                did = True
                self.idle_pauses = 0
                self.adapt(self.clock.now() - began)
            else:
                self.pause(now)
        if did:
            self.flush()
        return did

    def next_due(self) -> float | None:
        dues = [] if self.rotate_due is None else [self.rotate_due]
        if self.active is not self.activated:
            dues.append(0.0)
        elif self.activated and not self.held and self.room() > 0:
            dues.append(self.idle_until)
        return min(dues, default=None)

    def open(self, now: float) -> None:
        self.started = True
        for task in self.tasks:
            task.collector.now = now
            context = self.context(task.id)
            task.spout.open(context.conf, context, task.collector)
        self.rotate_due = self.open_due(now)

    def open_due(self, now: float) -> float | None:
        """When trees are to age for the first time after `open`; None: they do not."""
        return None if self.timeout_secs is None or not self.surroundings.plan.ackers else now + self.timeout_secs

    def activate(self, active: bool) -> None:
        self.activated = active
        for task in self.tasks:
            (task.spout.activate if active else task.spout.deactivate)()

    def endings(self) -> Iterator[Any]:
        if self.started:
            for task in self.tasks:
                if self.activated:
                    yield task.spout.deactivate()
                yield task.spout.close()

    def pause(self, now: float) -> None:
        """Nothing was emitted: wait a little. Spouts of a lane wait for the same instants: it wakes once for all."""
        self.idle_pauses += 1
        secs = self.idle_secs
        if self.idle_pauses > IDLE_PAUSES:
            secs = max(secs, self.lane.poll_pause_secs)
        self.idle_until = ((now + 0.5 * secs) // secs + 1) * secs if secs > 0 else now

    def room(self) -> int:
        """How many more tuples may be under way; the limit is per task and shared by the executor's tasks."""
        limit = self.options.max_spout_pending
        if limit is None:
            return 1 << 62
        return limit * len(self.tasks) - sum([task.pending.count for task in self.tasks])

    def emit(self, now: float) -> bool:
        """Let each task emit a batch; False: none had anything."""
        emitted = False
        quota = max(1, self.quota // len(self.tasks))
        for task in self.tasks:
            room = self.room()
            if room <= 0:
                break
            collector = task.collector
            collector.now = now
            if self.emit_of(task, quota, task.pending.count + room):
                emitted = True
        return emitted

    def emit_of(self, task: SpoutTask, quota: int, pending_max: int) -> bool:
        """Let a task emit until it has no more, has used up its quota or has as many under way; False: it had none."""
        collector, pending, next_tuple = task.collector, task.pending, task.spout.next_tuple
        first = emits = collector.emits
        enough = first + quota
        try:
            while emits < enough:
                next_tuple()
                if collector.emits == emits:
                    break
                emits = collector.emits
                if pending.count >= pending_max:
                    break
        except SerializationError as error:  # a value cannot travel: data is at fault, not the code
            self.report(error)
        return collector.emits != first

    def settle(self, now: float) -> bool:
        """Tell the spouts which of their tuples ended; False: none did."""
        did = False
        for task in self.tasks:
            pending = task.pending
            task.collector.now = now
            if pending.acked:
                did = True
                acked, pending.acked = pending.acked, []
                for out in task.collector.streams.values():
                    out.told(now)
                self.tell(task.spout.ack, acked)
            if pending.failed:
                did = True
                failed, pending.failed = pending.failed, []
                self.tell(task.spout.fail, failed)
        return did

    def tell(self, call: Callable[[Any], Any], message_ids: list[Any]) -> None:
        for message_id in message_ids:
            call(message_id)

    def rotate(self, now: float) -> None:
        assert self.timeout_secs is not None
        self.rotate_due = now + self.timeout_secs
        for task in self.tasks:
            task.pending.rotate()

    def totals(self) -> Totals:
        totals = Totals()
        for streams in self.streams.values():
            for name, out in streams.items():
                totals.count_output(name, out.emitted, out.transferred())
                totals.count_spout(name, out.acked, out.failed, out.complete_secs)
        return totals
