"""All executors of a worker, in lanes: what the worker talks to."""

from __future__ import annotations

import logging
import threading
import traceback
from typing import TYPE_CHECKING, Protocol

from storm.config.topology_conf import TopologyOptions, component_conf
from storm.executor import held_tuples
from storm.executor.acker_executor import AckerExecutor
from storm.executor.blocking import BlockingGauge
from storm.executor.bolt_executor import BoltExecutor
from storm.executor.component_loading import is_async, load_component
from storm.executor.error_report import ErrorThrottle
from storm.executor.executor import Surroundings
from storm.executor.inquiry import ANSWERS_WITHIN_SECS, Holding, Inquiry
from storm.executor.lane import Lane
from storm.executor.shown_tuples import shown_work
from storm.executor.spout_executor import SpoutExecutor
from storm.executor.user_traceback import user_traceback
from storm.ids import ACKER_COMPONENT, SYSTEM_COMPONENT
from storm.metrics.executor_stats import StatsWindows

AUTO, SHARED, THREAD, ASYNC = "auto", "shared", "thread", "async"  # `topology.executor.lane`

LOOKS_MAX, LOOKS_SECS = 10, 10.0  # for tuples that timed out: so many in so long, own ones and those for others each

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Sequence
    from random import Random

    from storm.clock import Clock
    from storm.executor.caution import Caution
    from storm.executor.executor import Executor
    from storm.executor.plan import WorkerPlan
    from storm.executor.transfer import Tracking, Transfer
    from storm.ids import ComponentId, ExecutorId, StreamId, TaskId
    from storm.metrics.stats_records import ExecutorStats
    from storm.tuples import Origin, Tuple


class Reports(Protocol):
    """Takes errors of components to where people see them."""

    def report_error(self, component_id: ComponentId, exception_text: str) -> None:
        """Called by any thread; must not block. Already throttled."""


class Lanes:
    """Executors of one worker. Either `start` gives every lane a thread, or the caller steps them all by `step`.

    `deliver`, `deliver_tracking`, `set_active`, `throttle`, `queue_lengths`, `stats` and `stop` may be called by any
    thread. An exception in a component ends everything: it is reported, and `failure` is set.
    """

    def __init__(
        self,
        plan: WorkerPlan,
        transfer: Transfer,
        clock: Clock,
        reports: Reports,
        rng: Random,
        caution: Caution | None = None,
    ) -> None:
        """Loads the components; `caution` is for spouts. Raises WorkerStartError naming one that cannot be loaded."""
        self.plan = plan
        self._caution = caution
        self.transfer = transfer
        self.clock = clock
        self.reports = reports
        options = TopologyOptions.from_conf(plan.conf)
        self.high_mark = options.executor_receive_buffer_size
        self.low_mark = self.high_mark // 2
        self.checks_all = options.testing_always_try_serialize
        self.failure: BaseException | None = None
        self.stopping = False
        self.full: set[TaskId] = set()
        self.throttled: frozenset[TaskId] = frozenset()
        self.lane_of: dict[TaskId, Lane] = {}
        # (number, roots) -> names of the workers asked. None: nobody looks for tuples that time out, here or elsewhere.
        self.ask_peers: Callable[[int, Sequence[int]], Sequence[str]] | None = None
        self._inquiries: dict[int, Inquiry] = {}
        self._inquiry_number = 0
        self._own_looks = ErrorThrottle(LOOKS_MAX, LOOKS_SECS)
        self._peers_looks = ErrorThrottle(LOOKS_MAX, LOOKS_SECS)
        self._failed = threading.Event()
        self._lock = threading.Lock()
        self._started = False
        self._origins: dict[tuple[TaskId, StreamId], Origin] = {}
        self._async: dict[ComponentId, bool] = {}
        self._options: dict[ComponentId, TopologyOptions] = {}
        surroundings = Surroundings(plan, clock, reports, rng)
        self.executors = [self._executor(executor_id, surroundings) for executor_id in plan.in_flow_order()]
        self._bolt_tasks = frozenset(
            task for executor in self.executors if isinstance(executor, BoltExecutor) for task in executor.id.tasks()
        )
        self.lanes = self._arrange()
        self._windows = {executor.id: StatsWindows(isinstance(executor, SpoutExecutor)) for executor in self.executors}

    def _executor(self, executor_id: ExecutorId, surroundings: Surroundings) -> Executor:
        component_id = self.plan.task_components[executor_id.start_task]
        spec = self.plan.topology.component(component_id)
        options = self._options.get(component_id)
        if options is None:
            options = TopologyOptions.from_conf(component_conf(self.plan.conf, spec.conf))
            self._options[component_id] = options
        if component_id == ACKER_COMPONENT:
            return AckerExecutor(executor_id, options, surroundings)
        is_spout = component_id in self.plan.topology.spouts
        if component_id not in self._async:
            self._async[component_id] = is_async(load_component(component_id, spec.component))
        if options.executor_lane == ASYNC or self._async[component_id]:
            from storm.executor.async_executors import AsyncBoltExecutor, AsyncSpoutExecutor

            if is_spout and self._caution is not None:
                self._caution.call_off()
            return (AsyncSpoutExecutor if is_spout else AsyncBoltExecutor)(executor_id, options, surroundings)
        if is_spout and self._caution is not None:
            from storm.executor.careful_spouts import CarefulSpoutExecutor

            return CarefulSpoutExecutor(executor_id, options, surroundings, self._caution)
        return (SpoutExecutor if is_spout else BoltExecutor)(executor_id, options, surroundings)

    def _arrange(self) -> list[Lane]:
        """Put every executor into its lane, fused ones into that of their source, and connect them."""
        lanes = {SHARED: Lane(SHARED, self)}
        for executor in self.executors:
            name = self._lane_name(executor)
            if name not in lanes:
                lanes[name] = self._new_lane(name)
            lanes[name].take_in([executor])
        for lane in lanes.values():
            self.lane_of.update(dict.fromkeys(lane.tasks, lane))
        for lane in lanes.values():
            for executor in lane.executors:
                executor.enter(lane)
        return list(lanes.values())

    def _lane_name(self, executor: Executor) -> str:
        if executor.is_async:
            return ASYNC
        leader = self._leader(executor)
        if leader.is_async or leader.options.executor_lane != THREAD:
            return SHARED
        return lane_name(leader)

    def _new_lane(self, name: str) -> Lane:
        if name != ASYNC:
            return Lane(name, self)
        from storm.executor.async_lane import AsyncLane

        return AsyncLane(name, self)

    def _leader(self, executor: Executor) -> Executor:
        """Whose lane this executor shares: its own, or, for a none grouping, of the component that it subscribes to."""
        seen = {executor.component}
        while True:
            sources = [source for source in self.plan.fused_sources(executor.component) if source not in seen]
            above = [e for e in self.executors if sources and e.component == sources[0] and not e.is_async]
            if not above:
                return executor
            mine = [e for e in self.executors if e.component == executor.component]
            executor = above[mine.index(executor) % len(above)]
            seen.add(executor.component)

    def move(self, executor: Executor, blocked_share: float) -> None:
        """Give an executor (and those fused with it) a lane of its own. Called by the thread of its lane."""
        leader = self._leader(executor)
        old = executor.lane
        group = [each for each in old.executors if self._leader(each) is leader]
        if leader not in group:
            return
        if len(group) == len(old.executors):
            for each in group:
                each.gauge = None
            return
        new = old.move_out(group, lane_name(leader))
        logger.info(
            "%s moves to a thread of its own: it blocked for %.0f %% of its time (topology.executor.lane)",
            new.name,
            100 * blocked_share,
        )
        with self._lock:
            self.lanes = [*self.lanes, new]
        self._start(new)

    # Life

    def start(self) -> None:
        """Give every lane a thread."""
        self._started = True
        for executor in self.lanes[0].executors:
            if executor.options.executor_lane == AUTO and not isinstance(executor, AckerExecutor):
                executor.gauge = BlockingGauge()
        for lane in self.lanes:
            self._start(lane)

    def _start(self, lane: Lane) -> None:
        lane.thread = threading.Thread(target=lane.run, name=f"lane-{lane.name}", daemon=True)
        lane.thread.start()

    def stop(self, timeout_secs: float) -> bool:
        """Deactivate, then `close` and `cleanup` all components; False: some thread had not ended in time."""
        self.stopping = True
        if not self._started:
            for lane in self.lanes:
                lane.shut_down()
            return True
        for lane in self.lanes:
            lane.wake()
        deadline = self.clock.now() + timeout_secs
        for lane in self.lanes:
            if lane.thread is not None:
                lane.thread.join(max(0.0, deadline - self.clock.now()))
        return not any(lane.thread is not None and lane.thread.is_alive() for lane in self.lanes)

    def step(self, now: float) -> bool:
        """Without threads: one turn of every lane. False: nothing to do before `next_due` or the next delivery."""
        if self.failure is not None or self.stopping:
            return False
        did = False
        for lane in self.lanes:
            if self.failure is None and lane.stepped(now):
                did = True
        return did

    def next_due(self) -> float | None:
        """When `step` has something to do even if nothing is delivered; None: never. In the past: at once."""
        if self.failure is not None or self.stopping:
            return None
        return min([due for due in [lane.next_due() for lane in self.lanes] if due is not None], default=None)

    def wait_failed(self, timeout_secs: float | None) -> bool:
        """Wait until an exception in a component ended everything; False: not within the time."""
        return self._failed.wait(timeout_secs)

    # From the worker

    def deliver(self, target: TaskId, tuples: list[Tuple]) -> bool:
        """Queue tuples for a bolt's task; the list is no longer the caller's. False: there is no such task here."""
        if target not in self._bolt_tasks:
            return False
        while (lane := self.lane_of.get(target)) is not None:
            if lane.post(target, tuples):
                return True
        return False

    def deliver_tracking(self, kind: Tracking, target: TaskId, source: TaskId, pairs: array[int] | memoryview) -> bool:
        """Queue tracking for an acker's or spout's task of this worker. False: no such task here."""
        while (lane := self.lane_of.get(target)) is not None:
            if lane.post_tracking(kind, target, pairs):  # type: ignore[arg-type]
                return True
        return False

    def set_active(self, active: bool) -> None:
        """Whether the topology is active: spouts are opened and emit only then."""
        for executor in self.executors:
            executor.set_active(active)
        self._wake_all()

    def throttle(self, tasks: frozenset[TaskId]) -> None:
        """The tasks of other workers that have too much to do: what leads to them stops."""
        with self._lock:
            if tasks == self.throttled:
                return
            self.throttled = tasks
            self._hold()
        self._wake_all()

    def fail_pending(self, why: str) -> None:
        """Another worker died with what it had: fail all trees under way, so that spouts replay them now and not after
        the message timeout. Those that were complete all the same are emitted twice. `why` is for people."""
        for executor in self.executors:
            if isinstance(executor, SpoutExecutor):
                executor.died = why
                executor.fail_pending = True
        self._wake_all()

    def is_emitting(self) -> bool:
        """Whether a spout here may emit."""
        return any(executor.active for executor in self.executors if isinstance(executor, SpoutExecutor))

    def held(self, roots: Sequence[int]) -> list[Holding] | None:
        """What this worker holds of these trees; None: others have asked too often lately."""
        if not self._peers_looks.allows(self.clock.now()):
            return None
        return held_tuples.find(self, roots)

    def answered(self, number: int, worker: str, holdings: Sequence[Holding]) -> None:
        """What another worker holds of the trees of an inquiry."""
        inquiry = self._inquiries.get(number)
        if inquiry is not None:
            inquiry.answer(worker, holdings)
            if not inquiry.silent():
                self._wake_all()

    def opening(self) -> list[ComponentId]:
        """The components of which `open` or `prepare` is not over here."""
        return sorted({executor.component for executor in self.executors if not executor.prepared})

    def queue_lengths(self) -> dict[TaskId, int]:
        """{task of this worker: tuples that wait for it}."""
        return {task: lane.queue_length(task) for task, lane in list(self.lane_of.items())}

    def between_turns(self, executor: Executor, errand: Callable[[], None]) -> None:
        """Have the thread of an executor's lane call this when none of its code runs, wherever it moves meanwhile."""
        lane = executor.lane

        def run() -> None:
            if executor.lane is not lane:
                self.between_turns(executor, errand)
                return
            try:
                errand()
            except Exception:
                logger.exception("What should be done between the turns of %s failed.", lane_name(executor))

        lane.post_errand(run)

    def full_tasks(self) -> frozenset[TaskId]:
        """The tasks of this worker that have too much to do: what leads to them stops, here and elsewhere."""
        with self._lock:
            return frozenset(self.full)

    def stats(self) -> dict[ExecutorId, ExecutorStats]:
        """What every executor of user components counted, up to now."""
        found = {}
        with self._lock:
            now = self.clock.now()
            for executor in self.executors:
                totals = executor.totals()
                if totals is not None:
                    windows = self._windows[executor.id]
                    windows.update(now, totals)
                    found[executor.id] = windows.snapshot(now)
        return found

    def origin(self, task: TaskId, stream: StreamId) -> Origin:
        """Shared by all tuples of that task and stream that are decoded. Raises KeyError if there is none."""
        found = self._origins.get((task, stream))
        if found is None:
            found = self._origins[task, stream] = self.plan.origin(task, stream)
        return found

    def origins(self) -> list[Origin]:
        """Those of tuples that came from other workers."""
        return list(self._origins.values())

    # From lanes

    def fail(self, executor: Executor | None, error: BaseException) -> None:
        """User code raised (None: the lane itself did): the worker ends, by Storm's rule. The first failure counts."""
        with self._lock:
            if self.failure is not None:
                return
            self.failure = error
        self.report_failure(executor, error)
        self._failed.set()
        self._wake_all()

    def report_failure(self, executor: Executor | None, error: BaseException) -> None:
        if executor is not None:
            text = user_traceback(error, shown_work(executor.raised_at(error)))
            self.reports.report_error(executor.component, text)
        else:
            self.reports.report_error(SYSTEM_COMPONENT, "".join(traceback.format_exception(error)))

    def inquire(self, roots: Sequence[int]) -> Inquiry | None:
        """Ask all workers who holds these trees; None: nobody asks, or it was asked too often lately."""
        now = self.clock.now()
        with self._lock:
            if self.ask_peers is None or not self._own_looks.allows(now):
                return None
            self._inquiry_number += 1
            number = self._inquiry_number
            self._inquiries = {key: each for key, each in self._inquiries.items() if now < each.due}
        inquiry = Inquiry(held_tuples.find(self, roots), self.clock.now() + ANSWERS_WITHIN_SECS)
        with self._lock:
            self._inquiries[number] = inquiry
        inquiry.asked(self.ask_peers(number, roots))
        return inquiry

    def note_full(self, task: TaskId) -> None:
        """A local task has too much to do: what leads to it stops."""
        with self._lock:
            if task not in self.full:
                self.full.add(task)
                self._hold()

    def note_eased(self, task: TaskId) -> None:
        with self._lock:
            self.full.discard(task)
            self._hold()
        self._wake_all()

    def _hold(self) -> None:
        full = self.full | self.throttled
        for executor in self.executors:
            executor.held = bool(full) and self.plan.must_wait(executor.component, full)

    def _wake_all(self) -> None:
        for lane in list(self.lanes):
            lane.wake()


def lane_name(executor: Executor) -> str:
    """Of a lane that belongs to this executor: `component[first task-last task]`."""
    return f"{executor.component}[{executor.id.start_task}-{executor.id.end_task}]"
