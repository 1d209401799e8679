"""Names of things, as Storm names them, and the ids that are fixed."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

TopologyId: TypeAlias = str  # "<name>-<counter>-<epoch secs>"
NodeId: TypeAlias = str  # a supervisor's id
ComponentId: TypeAlias = str
StreamId: TypeAlias = str
TaskId: TypeAlias = int  # 1.. within a topology; SYSTEM_TASK for the worker itself


def topology_name(topology_id: TopologyId) -> str:
    """The name in an id; a text that is none is its own."""
    return topology_id.rsplit("-", 2)[0]


class ExecutorId(NamedTuple):
    """The tasks `start_task`..`end_task`, both included, all of one component."""

    start_task: int
    end_task: int

    def tasks(self) -> range:
        return range(self.start_task, self.end_task + 1)


class WorkerSlot(NamedTuple):
    """A place for one worker process: a supervisor and one of its ports."""

    node_id: str
    port: int


class GlobalStreamId(NamedTuple):
    """A stream of a component."""

    component_id: str
    stream_id: str


DEFAULT_STREAM: StreamId = "default"

ACKER_COMPONENT: ComponentId = "__acker"
SYSTEM_COMPONENT: ComponentId = "__system"
SYSTEM_TASK: TaskId = -1
SYSTEM_EXECUTOR = ExecutorId(SYSTEM_TASK, SYSTEM_TASK)

TICK_STREAM: StreamId = "__tick"
METRICS_STREAM: StreamId = "__metrics"
SYSTEM_STREAM: StreamId = "__system"
ACKER_INIT_STREAM: StreamId = "__ack_init"
ACKER_ACK_STREAM: StreamId = "__ack_ack"
ACKER_FAIL_STREAM: StreamId = "__ack_fail"
ACKER_RESET_TIMEOUT_STREAM: StreamId = "__ack_reset_timeout"


def is_system_id(name: str) -> bool:
    """Whether a component or stream id is reserved for the system (Storm's rule: it begins with `__`)."""
    return name.startswith("__")
