"""What a task may know of its worker and topology."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm.clock import SystemClock
from storm.config.topology_conf import component_conf
from storm.ids import DEFAULT_STREAM, SYSTEM_COMPONENT, SYSTEM_TASK
from storm.metrics.instruments import TaskMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from storm.ids import ComponentId, GlobalStreamId, StreamId, TaskId, TopologyId
    from storm.topology.structure import Grouping, StormTopology, StreamInfo
    from storm.topology.task_hooks import TaskHook


@dataclass
class WorkerContext:
    """What all tasks of a worker share.

    `topology` is the system topology and `conf` the topology's effective conf; `worker_tasks` are this worker's own.
    `code_dir` is where the user's code was unpacked, None where it runs in place; `work_dir` the worker's own
    directory, None for the current one. `data` is for the user's
    components: a connection pool, a model; tasks of one worker may run on several threads. `now`: seconds of a
    monotonic clock; `metrics`: of the tasks that have any.
    """

    topology: StormTopology
    conf: Mapping[str, Any]
    topology_id: TopologyId
    task_components: Mapping[TaskId, ComponentId]
    worker_tasks: Sequence[TaskId] = ()
    port: int = 0
    code_dir: Path | None = None
    work_dir: Path | None = None
    data: dict[str, Any] = field(default_factory=dict)
    now: Callable[[], float] = field(default_factory=lambda: SystemClock().now)
    metrics: dict[TaskId, TaskMetrics] = field(default_factory=dict)

    @cached_property
    def component_tasks(self) -> dict[ComponentId, tuple[TaskId, ...]]:
        """{component: its tasks in the whole topology, sorted}."""
        found: dict[ComponentId, list[TaskId]] = {}
        for task, component_id in self.task_components.items():
            found.setdefault(component_id, []).append(task)
        return {component_id: tuple(sorted(tasks)) for component_id, tasks in found.items()}


class TopologyContext:
    """One task's view: given to `open` and `prepare`. `data` is the task's own, `worker_data` its worker's."""

    def __init__(self, worker: WorkerContext, task_id: TaskId) -> None:
        self._worker = worker
        self.task_id = task_id
        self.component_id = self.component_of(task_id)
        self.hooks: list[TaskHook] = []
        self.on_first_hook: Callable[[list[TaskHook]], None] | None = None  # None: the task is not run by a worker
        self.data: dict[str, Any] = {}

    @property
    def topology_id(self) -> TopologyId:
        return self._worker.topology_id

    @property
    def topology_name(self) -> str:
        """The name that it was submitted under."""
        return str(self._worker.conf.get("topology.name") or self._worker.topology_id)

    @cached_property
    def conf(self) -> dict[str, Any]:
        """The topology's settings overlaid by the component's own."""
        if self.component_id == SYSTEM_COMPONENT:
            return dict(self._worker.conf)
        return component_conf(self._worker.conf, self._worker.topology.component(self.component_id).conf)

    @cached_property
    def task_index(self) -> int:
        """The place of this task among its component's, from 0."""
        return self.tasks_of(self.component_id).index(self.task_id)

    @property
    def worker_port(self) -> int:
        """The port of this worker on its host; 0 where everything is one process."""
        return self._worker.port

    @property
    def worker_tasks(self) -> tuple[TaskId, ...]:
        """The tasks that run in this worker."""
        return tuple(self._worker.worker_tasks)

    @property
    def worker_data(self) -> dict[str, Any]:
        """Shared by all tasks of this worker, which may run on several threads."""
        return self._worker.data

    @property
    def metrics(self) -> TaskMetrics:
        """What this task counts and measures by itself: `context.metrics.counter("lines").inc()`."""
        found = self._worker.metrics.get(self.task_id)
        if found is None:
            found = self._worker.metrics[self.task_id] = TaskMetrics(self.component_id, self.task_id, self._worker.now)
        return found

    def add_task_hook(self, hook: TaskHook) -> None:
        """Tell this hook, too, of all that the task does from now on; to be called in `prepare` or `open`.

        Raises ValueError for the context of a grouping: only the task's own one can do it.
        """
        if self.on_first_hook is None:
            raise ValueError(
                f"component {self.component_id!r}, task {self.task_id}: a hook is added through the context that "
                "`open` or `prepare` was given, and this is another one"
            )
        hook.prepare(self.conf, self)
        if not self.hooks:
            self.on_first_hook(self.hooks)
        self.hooks.append(hook)

    @property
    def code_dir(self) -> Path | None:
        """Where the topology's package was unpacked: its data files are there. None where it runs in place."""
        return self._worker.code_dir

    def blob(self, local_name: str) -> Path:
        """Where the blob is that `topology.blobstore.map` gives this local name: open it anew to see its newest
        version. Where nobody puts blobs there (`storm local`), a file of that name in the current directory.
        """
        return (self._worker.work_dir or Path()) / local_name

    def component_ids(self) -> list[ComponentId]:
        """All components, the system's too, sorted."""
        return sorted(self._worker.topology.components())

    def tasks_of(self, component_id: ComponentId) -> list[TaskId]:
        """All tasks of a component, sorted; none where there is no such component."""
        return list(self._worker.component_tasks.get(component_id, ()))

    def component_of(self, task_id: TaskId) -> ComponentId:
        """Raises KeyError."""
        return SYSTEM_COMPONENT if task_id == SYSTEM_TASK else self._worker.task_components[task_id]

    def streams_of(self, component_id: ComponentId | None = None) -> dict[StreamId, StreamInfo]:
        """The streams of a component (None: this one). Raises KeyError."""
        return dict(self._worker.topology.component(component_id or self.component_id).streams)

    def fields_of(self, component_id: ComponentId | None = None, stream: StreamId = DEFAULT_STREAM) -> tuple[str, ...]:
        """The fields of a component's stream (None: this component). Raises KeyError."""
        return self.streams_of(component_id)[stream].fields

    def sources(self, component_id: ComponentId | None = None) -> dict[GlobalStreamId, Grouping]:
        """What a component (None: this one) subscribes to. Raises KeyError."""
        return dict(self._worker.topology.component(component_id or self.component_id).inputs)

    def targets(self, component_id: ComponentId | None = None) -> dict[StreamId, dict[ComponentId, Grouping]]:
        """Who subscribes to each stream of a component (None: this one). Streams without subscribers are not there."""
        wanted = component_id or self.component_id
        found: dict[StreamId, dict[ComponentId, Grouping]] = {}
        for subscriber, spec in sorted(self._worker.topology.components().items()):
            for source, grouping in spec.inputs.items():
                if source.component_id == wanted:
                    found.setdefault(source.stream_id, {})[subscriber] = grouping
        return found
