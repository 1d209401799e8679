"""What all executors have in common: the tasks of one component, run in turn by the lane that they are in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from storm.executor.error_report import ErrorThrottle
from storm.executor.hook_calls import HOOKS_KEY, HookCalls, hooks_of
from storm.executor.shown_tuples import shown_work
from storm.executor.tracking import TrackingOut
from storm.executor.user_traceback import user_traceback
from storm.ids import is_system_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from random import Random

    from storm.clock import Clock
    from storm.config.topology_conf import TopologyOptions
    from storm.executor.blocking import BlockingGauge
    from storm.executor.lane import Lane
    from storm.executor.lanes import Reports
    from storm.executor.plan import WorkerPlan
    from storm.executor.task import OutputStream, Port
    from storm.ids import ComponentId, ExecutorId, StreamId, TaskId
    from storm.metrics.executor_stats import Totals
    from storm.topology.task_hooks import TaskHook
    from storm.tuples import Tuple

QUOTA_MAX = 512  # tuples that are executed, or emitted, before somebody else has a turn: they stay in the cache
QUOTA_START = 16  # until it is known how long they take
TURN_SECS = 0.005  # a turn that takes more gets fewer tuples next time: others in the lane wait for its end


class Surroundings:
    """What a worker gives each of its executors."""

    def __init__(self, plan: WorkerPlan, clock: Clock, reports: Reports, rng: Random) -> None:
        self.plan = plan
        self.clock = clock
        self.reports = reports
        self.rng = rng


class Executor:
    """Called by one thread at a time. `held`: it feeds a task that has too much to do, and stops for now.

    `unfinished`: its turn ended because it had emitted QUOTA_MAX tuples, which are to be executed before it goes on.
    """

    is_async = False
    is_source = False

    __slots__ = (
        "clock",
        "component",
        "gauge",
        "held",
        "hooks",
        "id",
        "lane",
        "options",
        "outgoing",
        "prepared",
        "quota",
        "started",
        "streams",
        "surroundings",
        "throttle",
        "tracking",
        "unfinished",
    )  # fmt: skip

    def __init__(self, executor_id: ExecutorId, options: TopologyOptions, surroundings: Surroundings) -> None:
        self.id = executor_id
        self.component: ComponentId = surroundings.plan.task_components[executor_id.start_task]
        self.options = options
        self.surroundings = surroundings
        self.clock = surroundings.clock
        self.tracking = TrackingOut()
        self.throttle = ErrorThrottle(options.max_error_report_per_interval, options.error_throttle_interval_secs)
        self.streams: dict[TaskId, dict[StreamId, OutputStream]] = {}
        self.hooks: dict[TaskId, list[TaskHook]] = {}  # that tasks have from their beginning
        self.lane: Lane
        self.gauge: BlockingGauge | None = None  # set where the lane is to be chosen by what is measured
        self.outgoing: list[Port] = []
        self.held = False
        self.started = False
        self.prepared = False  # `prepare` or `open` is over, of all tasks
        self.unfinished = False
        self.quota = QUOTA_START

    def enter(self, lane: Lane) -> None:
        """Run in this lane from now on: emit to its ports."""
        self.lane = lane
        ports: dict[TaskId, Port] = {}
        for streams in self.streams.values():
            for out in streams.values():
                out.connect(lane.port, lane.near_port)
                ports.update((port.task, port) for port in out.every_port() if port.task not in lane.tasks)
        self.outgoing = list(ports.values())

    def turn(self, now: float) -> bool:
        """Do some of what there is to do; False: there was nothing."""
        raise NotImplementedError

    def next_due(self) -> float | None:
        """When there will be something to do even if nothing arrives; None: never."""
        raise NotImplementedError

    def set_active(self, active: bool) -> None:
        """Whether the topology is active; heeded at the next turn."""

    def endings(self) -> Iterator[Any]:
        """Orderly end: what the user's `deactivate`, `close` or `cleanup` answers, call by call."""
        return iter(())

    def totals(self) -> Totals | None:
        """What was counted since the start; None: counts nothing. May be called by any thread."""
        return None

    def components(self) -> list[tuple[TaskId, Any]]:
        """The users' objects, and whose tasks they are."""
        return []

    def task_to_call(self, task: TaskId) -> Callable[[Tuple], None] | None:
        """What executes a tuple for a task at once, for emitters of the same lane; None: it must be queued."""
        return None

    def flush(self) -> bool:
        """Hand over what waits for other lanes and workers; False: nothing did."""
        lane = self.lane
        did = False
        for port in self.outgoing:
            if port.items:
                items = port.items
                port.items = []
                lane.send(port.task, items)
                did = True
        return self.tracking.flush(self.id.start_task, lane.send_tracking) or did

    def adapt(self, secs: float) -> None:
        """Set the next turn's number of tuples by how long this one took."""
        if secs > 2 * TURN_SECS:
            self.quota = max(1, self.quota // 2)
        elif secs < TURN_SECS and self.quota < QUOTA_MAX:
            self.quota *= 2

    def report(self, error: BaseException, tuples: Sequence[Tuple] = ()) -> None:
        """An error of the component, which executed these; a few in an interval get through."""
        if self.throttle.allows(self.clock.now()):
            self.surroundings.reports.report_error(self.component, user_traceback(error, shown_work(tuples)))

    def raised_at(self, error: BaseException) -> Sequence[Tuple]:
        """The tuples that a task was given when its code raised this."""
        return ()

    def context(self, task: TaskId) -> Any:
        """What `open` or `prepare` of a task is given; the task's hooks are prepared."""
        context = self.surroundings.plan.context(task)
        context.on_first_hook = partial(self.begin_hooks, task)
        for hook in self.hooks.get(task, ()):
            context.add_task_hook(hook)
        return context

    def load_hooks(self, task: TaskId, component: Any) -> None:
        """Raises WorkerStartError."""
        names = () if is_system_id(self.component) else self.surroundings.plan.conf.get(HOOKS_KEY) or ()
        self.hooks[task] = hooks_of(component, self.component, names)

    def begin_hooks(self, task: TaskId, hooks: list[TaskHook]) -> None:
        """From now on these hear of all that a task does; the list may grow."""
        calls = HookCalls(task, hooks, self.clock)
        for out in self.streams[task].values():
            out.tell([*out.watchers, partial(calls.emitted, out.name)])
        self.hear(task, calls)

    def hear(self, task: TaskId, calls: HookCalls) -> None:
        """Tell of what is done with tuples."""
