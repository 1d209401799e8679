"""The tasks of a spout: acks and fails first, then `next_tuple` while it may emit."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from storm.errors import SerializationError
from storm.executor.collectors import SpoutCollector
from storm.executor.component_loading import load_component, load_grouping, refuse_coroutine
from storm.executor.executor import Executor
from storm.executor.inquiry import Inquiry, LastFailure, failure_of, summary
from storm.executor.pending import Pending, root_base
from storm.executor.retries import RetrySchedule
from storm.executor.shown_values import shown
from storm.executor.task import wire_streams
from storm.metrics.executor_stats import Totals
from storm.metrics.insight_records import BACK_PRESSURE, INACTIVE, MAX_PENDING
from storm.topology.component import Spout
from storm.topology.failures import DEAD_LETTER_STREAM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storm.config.topology_conf import TopologyOptions
    from storm.executor.executor import Surroundings
    from storm.executor.hook_calls import HookCalls
    from storm.executor.lane import Lane
    from storm.executor.pending import FailedTree
    from storm.executor.retries import Told
    from storm.ids import ExecutorId, TaskId
    from storm.topology.failures import Failure, Retries


IDLE_PAUSES = 500  # in a row: after so many the lane may make them longer
FAILURES_KEPT = 10  # for people, of each executor: they go to Nimbus with its figures
LETTER_ID_CHARS_MAX = 1000  # of one that goes as text


class SpoutTask:
    """One task: the user's spout, its collector, its tuples under way.

    `schedule`: of its failures that wait, where the spout asks for delays (`retries`). `calls` tells hooks; None where
    there are none.
    """

    __slots__ = ("calls", "collector", "id", "pending", "schedule", "spout")

    def __init__(self, task_id: TaskId, spout: Any, collector: SpoutCollector) -> None:
        self.id = task_id
        self.spout = spout
        self.collector = collector
        self.pending = collector.pending
        self.schedule: RetrySchedule | None = None
        self.calls: HookCalls | None = None

    def hear(self, calls: HookCalls) -> None:
        """Tell hooks of what the spout is told from now on."""
        self.calls = calls

    def tell_ack(self, message_id: Any) -> Any:
        """Where there are hooks."""
        return self.calls.acked(message_id, self.spout.ack(message_id))  # type: ignore[union-attr]

    def tell_failure(self, message_id: Any, failure: Failure) -> Any:
        """`failed`, or where the spout's class says nothing of that, `fail`: many an object has a list of that name."""
        failed = getattr(type(self.spout), "failed", Spout.failed)
        done = self.spout.fail(message_id) if failed is Spout.failed else failed(self.spout, message_id, failure)
        return done if self.calls is None else self.calls.failed(message_id, failure, done)

    def tell_given_up(self, message_id: Any, failure: Failure) -> Any:
        """`give_up`, or `ack`."""
        give_up = getattr(type(self.spout), "give_up", Spout.give_up)
        done = self.spout.ack(message_id) if give_up is Spout.give_up else give_up(self.spout, message_id, failure)
        return done if self.calls is None else self.calls.failed(message_id, failure, done)


class SpoutExecutor(Executor):
    """Calls `next_tuple` only while the topology is active, nothing downstream is full, and fewer than
    `topology.max.spout.pending` tuples a task are under way."""

    is_source = True

    __slots__ = (
        "activated",
        "active",
        "changing",
        "died",
        "fail_pending",
        "idle_pauses",
        "idle_secs",
        "idle_until",
        "inquiry",
        "last_failures",
        "rotate_due",
        "skipped",
        "tasks",
        "timeout_secs",
        "waiting",
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
        self.died = ""  # which worker did last, for people
        self.inquiry: Inquiry | None = None  # until it is answered nothing that failed is told
        self.waiting = 0  # failures that wait for their time, of all tasks
        self.last_failures: deque[LastFailure] = deque(maxlen=FAILURES_KEPT)
        # {why it was not asked for tuples: for how long}, why it is not now ("": it is), and since when.
        self.skipped: tuple[dict[str, float], str, float] = ({}, INACTIVE, self.clock.now())

    def _task(self, task_id: TaskId) -> SpoutTask:
        plan, rng = self.surroundings.plan, self.surroundings.rng
        spout = load_component(self.component, plan.topology.spouts[self.component].component)
        self.load_hooks(task_id, spout)
        streams = self.streams[task_id] = wire_streams(plan, task_id, rng, load_grouping)
        collector = SpoutCollector(self.component, streams, Pending(), self.tracking, self.report)
        holder = plan.holder(task_id)
        if holder is not None:
            init_sent = holder != task_id
            collector.track(root_base(holder, task_id), rng.getrandbits(32), rng.getrandbits(64) | 1, init_sent)
        task = SpoutTask(task_id, spout, collector)
        retries: Retries | None = getattr(spout, "retries", None)
        if retries is not None:
            task.schedule = RetrySchedule(retries, rng.random)
        return task

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
        active = self.active  # before a look at what has failed: what is emitted now is not under way yet
        did = self.settle(now)
        if self.rotate_due is not None and now >= self.rotate_due:
            self.rotate(now)
            did = self.settle(now) or did
        if self.fail_pending:
            self.fail_pending = False
            for task in self.tasks:
                task.pending.fail_all()
            did = self.settle(now) or did
        if self.waiting and self.tell_waiting(now):
            did = True
        if active is not self.activated:
            self.activate(active)
            did = True
        if self.ask(now):
            did = True
        if did:
            self.flush()
        return did

    def ask(self, now: float) -> bool:
        """Ask for tuples, or note why not; False: none came."""
        why_not = ""
        if not self.activated:
            why_not = INACTIVE
        elif self.held:
            why_not = BACK_PRESSURE
        elif now < self.idle_until or self.changing:
            return False
        elif self.room() <= 0:
            why_not = MAX_PENDING
        if why_not != self.skipped[1]:
            self.skipped = self.skipped_until(now), why_not, now
        if why_not:
            return False
        began = self.clock.now()
        if not self.emit(began):
            self.pause(now)
            return False
        self.idle_pauses = 0
        self.adapt(self.clock.now() - began)
        return True

    def skipped_until(self, now: float) -> dict[str, float]:
        """{why it was not asked for tuples: for how many seconds}; any thread may call it."""
        secs, reason, since = self.skipped
        return {**secs, reason: secs.get(reason, 0.0) + max(0.0, now - since)} if reason else secs

    def next_due(self) -> float | None:
        dues = [] if self.rotate_due is None else [self.rotate_due]
        if self.inquiry is not None:
            dues.append(self.inquiry.due)
        if self.waiting:
            schedules = [task.schedule for task in self.tasks if task.schedule is not None]
            dues += [due for due in [schedule.next_due() for schedule in schedules] if due is not None]
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
        self.prepared = True
        self.rotate_due = self.open_due(now)

    def open_due(self, now: float) -> float | None:
        """When trees are to age for the first time after `open`; None: they do not."""
        return None if self.timeout_secs is None or not self.surroundings.plan.ackers else now + self.timeout_secs

    def activate(self, active: bool) -> None:
        self.activated = active
        for task in self.tasks:
            (task.spout.activate if active else task.spout.deactivate)()

    def hear(self, task: TaskId, calls: HookCalls) -> None:
        for each in self.tasks:
            if each.id == task:
                each.hear(calls)

    def components(self) -> list[tuple[TaskId, Any]]:
        return [(task.id, task.spout) for task in self.tasks]

    def endings(self) -> Iterator[Any]:
        if self.started:
            for task in self.tasks:
                if self.activated:
                    yield task.spout.deactivate()
                yield task.spout.close()
                if task.calls is not None:
                    task.calls.cleanup()

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
        return limit * len(self.tasks) - sum([task.pending.count for task in self.tasks]) - self.waiting

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
                answer = next_tuple()
                if answer is not None:
                    refuse_coroutine(answer, task.spout, "next_tuple")
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
        if self.inquiry is not None and self.inquiry.is_over(now):
            self.tell_failures(self.inquiry, now)
            self.inquiry = None
            did = True
        for task in self.tasks:
            pending = task.pending
            task.collector.now = now
            if pending.acked:
                did = True
                acked, pending.acked = pending.acked, []
                for out in task.collector.streams.values():
                    out.told(now)
                if task.schedule is not None:
                    task.schedule.acked(acked)
                self.tell(task.spout.ack if task.calls is None else task.tell_ack, acked)
            if pending.failed and self.inquiry is None:
                did = True
                self.tell_failures(None, now)
        return did

    def tell(self, call: Callable[[Any], Any], message_ids: list[Any]) -> None:
        for message_id in message_ids:
            call(message_id)

    def tell_failures(self, inquiry: Inquiry | None, now: float) -> None:
        """Tell the spouts what failed, and why; or have it wait, where they want that."""
        components = self.surroundings.plan.task_components
        for task in self.tasks:
            trees: list[FailedTree] = task.pending.failed
            if not trees:
                continue
            task.pending.failed = []
            failures = [
                (tree.message_id, failure_of(tree, inquiry, components, self.died, self.timeout_secs)) for tree in trees
            ]
            kept = max(0, len(trees) - FAILURES_KEPT)
            for tree, (_, failure) in zip(trees[kept:], failures[kept:], strict=True):
                self.last_failures.append(LastFailure(task.id, shown(tree.message_id), failure, tree.since, now))
            if inquiry is not None:
                for component, text in summary(failures, self.component).items():
                    if self.throttle.allows(now):
                        self.surroundings.reports.report_error(component, text)
            if task.schedule is None:
                self.tell_each([(task.tell_failure, message_id, failure) for message_id, failure in failures])
                continue
            for message_id, failure in failures:
                task.schedule.failed(message_id, failure, now)
            self.waiting += len(failures)

    def tell_waiting(self, now: float) -> bool:
        """Tell the failures that have waited long enough; False: none has."""
        told: list[tuple[Callable[[Any, Failure], Any], Any, Failure]] = []
        for task in self.tasks:
            for each in [] if task.schedule is None else task.schedule.due(now):
                if each.given_up:
                    self.emit_dead_letter(task, each)
                told.append((task.tell_given_up if each.given_up else task.tell_failure, each.message_id, each.failure))
        self.waiting -= len(told)
        self.tell_each(told)
        return bool(told)

    def emit_dead_letter(self, task: SpoutTask, told: Told) -> None:
        """Where the stream is declared; an id that cannot travel goes as text."""
        if DEAD_LETTER_STREAM not in task.collector.streams:
            return
        rest = [told.attempts, told.failure.text]
        try:
            task.collector.emit([told.message_id, *rest], None, DEAD_LETTER_STREAM)
        except SerializationError:
            task.collector.emit([letter_id(told.message_id), *rest], None, DEAD_LETTER_STREAM)

    def tell_each(self, calls: list[tuple[Callable[[Any, Failure], Any], Any, Failure]]) -> None:
        for call, message_id, failure in calls:
            call(message_id, failure)

    def rotate(self, now: float) -> None:
        assert self.timeout_secs is not None
        self.rotate_due = now + self.timeout_secs
        for task in self.tasks:
            task.pending.rotate()
        roots = [tree.root for task in self.tasks for tree in task.pending.failed if tree.kind == "timeout"]
        if roots and self.inquiry is None:
            self.inquiry = self.lane.lanes.inquire(roots)

    def totals(self) -> Totals:
        totals = Totals()
        for streams in self.streams.values():
            for name, out in streams.items():
                totals.count_latencies("complete", name, out.latencies.read())
                totals.count_failures(name, dict(out.failures))
                totals.count_output(name, out.emitted, out.transferred())
                totals.count_spout(name, out.acked, out.failed, out.complete_secs)
        totals.skipped_secs = self.skipped_until(self.clock.now())
        return totals


def letter_id(message_id: Any) -> str:
    """An id that cannot travel, as text that tells it from others: not cut within, as what people are shown is."""
    try:
        text = repr(message_id)
    except Exception:  # noqa: BLE001 - of the user's own `__repr__`
        text = shown(message_id)
    return text.encode(errors="backslashreplace").decode()[:LETTER_ID_CHARS_MAX]
