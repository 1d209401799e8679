"""What daemons tell each other through ZooKeeper, as frozen records; `record_codec` makes bytes of them."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - `record_codec` checks bytes against these annotations
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from storm.config.addresses import joined
from storm.ids import ComponentId, ExecutorId, NodeId, TopologyId, WorkerSlot  # noqa: TC001 - so it needs them


class TopologyStatus(Enum):
    """Where a topology is in its life; spouts emit only when it is ACTIVE."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    REBALANCING = "REBALANCING"
    KILLED = "KILLED"


@dataclass(frozen=True, slots=True)
class RebalanceRequest:
    """What a pending rebalance will change: None or absent keeps what is.

    `spread`: the workers are shared out evenly over the nodes; without it nothing moves but what must.
    """

    num_workers: int | None = None
    component_executors: Mapping[ComponentId, int] = field(default_factory=dict)
    conf_overrides: Mapping[str, Any] = field(default_factory=dict)
    spread: bool = True


@dataclass(frozen=True, slots=True)
class DebugOptions:
    """Event logging of a component (or of the whole topology): a share of its tuples, in percent."""

    enabled: bool = False
    sampling_percent: float = 10.0


@dataclass(frozen=True, slots=True)
class StormBase:
    """What is wanted of a topology; written by the leading Nimbus only.

    While the status is KILLED or REBALANCING, the pending action waits for `wait_secs`, which the leader counts
    by its own monotonic clock; `due_wall_secs` is about when that is over, for people to read. `blob_hashes` is
    {blob key: sha256 in hex} of code, conf and package. `submission_id` is what the client called its submission.
    """

    topology_id: TopologyId
    name: str
    status: TopologyStatus
    num_workers: int
    component_executors: Mapping[ComponentId, int]
    launch_wall_secs: int
    owner: str = ""
    previous_status: TopologyStatus | None = None
    wait_secs: int = 0
    due_wall_secs: int = 0
    rebalance: RebalanceRequest | None = None
    component_debug: Mapping[ComponentId, DebugOptions] = field(default_factory=dict)
    blob_hashes: Mapping[str, str] = field(default_factory=dict)
    topology_version: str | None = None
    submission_id: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which executors of a topology run where; written by the leading Nimbus only.

    `version` grows by one with every change. `slot_epochs` says, for each slot, the version at which its
    present set of executors was decided: a worker is launched with that number and puts it into its frames,
    so that frames of a worker that was replaced are told apart and dropped.
    """

    topology_id: TopologyId
    version: int
    executor_slots: Mapping[ExecutorId, WorkerSlot]
    executor_start_wall_secs: Mapping[ExecutorId, int]
    node_hosts: Mapping[NodeId, str]
    slot_epochs: Mapping[WorkerSlot, int]
    blob_hashes: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""

    def slot_executors(self) -> dict[WorkerSlot, tuple[ExecutorId, ...]]:
        """{slot: its executors, sorted}."""
        found: dict[WorkerSlot, list[ExecutorId]] = {}
        for executor, slot in self.executor_slots.items():
            found.setdefault(slot, []).append(executor)
        return {slot: tuple(sorted(executors)) for slot, executors in found.items()}


class KnownTopology(NamedTuple):
    """A topology as its records said when they were last read."""

    assignment: Assignment
    status: TopologyStatus


BUILDING_ENVIRONMENT, FETCHING = "building-environment", "fetching"


@dataclass(frozen=True, slots=True)
class SlotFailure:
    """A slot whose worker died lately, `deaths` times in a row; or, with 0, one that waits for what takes long.

    `state` is the slot's, in the supervisor's words ("backing-off"), BUILDING_ENVIRONMENT, or FETCHING while code or
    blobs come; `reason` says how the worker ended the last time, at `wall_secs`, or what it has been waiting for since
    then; `last_lines` are the end of its log. `retry_wall_secs`: when it is tried again; None: it runs again, or is
    about to. Both by the supervisor's clock. `lacks_environment`: there was no worker, since its environment could not
    be built.
    """

    port: int
    topology_id: TopologyId
    state: str
    deaths: int
    reason: str
    last_lines: str
    wall_secs: int
    retry_wall_secs: int | None = None
    lacks_environment: bool = False


@dataclass(frozen=True, slots=True)
class UnheardWorker:
    """A worker whose beats its supervisor cannot bring to Nimbus. `epoch` is that of its assignment; `beat_secs` says
    when it last beat, by the supervisor's own clock: only a change of it means anything.
    """

    port: int
    topology_id: TopologyId
    epoch: int
    beat_secs: int


@dataclass(frozen=True, slots=True)
class Recording:
    """A profile that is being recorded of a worker; it ends at about `until_wall_secs`, by its supervisor's clock."""

    port: int
    topology_id: TopologyId
    until_wall_secs: int


@dataclass(frozen=True, slots=True)
class SupervisorInfo:
    """A live supervisor: an ephemeral node, rewritten on each heartbeat.

    `slot_ports` are all its ports; `used_ports` those with a worker; `thrift_port` its Supervisor service. `home`
    tells its local directory from every other one, also from a copy; `incarnation` this run of it from others.
    `illness`: what its health scripts complain of; then it offers no ports, and has ended its workers. `python` is the
    version that its workers run on, "3.11"; empty: it does not say. `resources`: what the host
    offers, under Storm's names. `unheard`: its workers, while no Nimbus takes their beats. `logviewer_port`: of the log
    viewer beside it, 0: there is none, None: it does not say; `daemon_logs`: names of daemons' logs that this has.
    `architecture`: its kind of processor as Linux names it, "x86_64"; empty: it does not say. `taken_ports`: those of
    its ports that somebody else had when a worker wanted to listen there, lately and the last time, and those whose
    worker cannot be ended. `left`: {topology that has left this host lately: how often in a row its worker had died}.
    """

    node_id: NodeId
    host: str
    slot_ports: tuple[int, ...]
    used_ports: tuple[int, ...]
    thrift_port: int
    start_wall_secs: int
    version: str
    meta: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)
    failures: tuple[SlotFailure, ...] = ()
    local_dir: str = ""
    home: str = ""
    incarnation: str = ""
    illness: str = ""
    python: str = ""
    unheard: tuple[UnheardWorker, ...] = ()
    logviewer_port: int | None = None
    daemon_logs: tuple[str, ...] = ()
    architecture: str = ""
    recordings: tuple[Recording, ...] = ()
    taken_ports: tuple[int, ...] = ()
    left: Mapping[TopologyId, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Drain:
    """That a supervisor is drained: nothing new is assigned to it, and what is there leaves. It outlives sessions.

    Written by the leading Nimbus only. `host` is what the supervisor called itself then. `wait_secs`: how long spouts
    stand still before their workers move; None: for each topology its message timeout.
    """

    node_id: NodeId
    host: str
    since_wall_secs: int
    wait_secs: int | None = None


@dataclass(frozen=True, slots=True)
class NimbusInfo:
    """A live Nimbus: an ephemeral node. `is_leader` is filled in by whoever reads."""

    host: str
    port: int
    start_wall_secs: int
    version: str
    is_leader: bool = False

    @property
    def address(self) -> str:
        """`host:port`, `[host]:port` for an address of IPv6."""
        return joined(self.host, self.port)


class BlobReplica(NamedTuple):
    """That a Nimbus holds a blob, with this content."""

    nimbus_address: str  # host:port
    sha256: str


@dataclass(frozen=True, slots=True)
class UserBlob:
    """A blob that people made, with the content that it has now; written by the leading Nimbus only.

    `version` counts its contents from 1; `sha256`, in hex, is that of the present one. `replication`: how many of the
    Nimbuses that live must hold a content before it becomes the present one.
    """

    key: str
    version: int
    sha256: str
    size_bytes: int
    updated_wall_secs: int
    replication: int = 1


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error that a component reported, or (component `__system`) one of a worker that could not run.

    `reason`: how that worker ended, as the rest of a sentence about it; empty: not told. `lacks_environment`: its
    environment could not be built.
    """

    text: str
    wall_secs: int
    host: str
    port: int
    reason: str = ""
    lacks_environment: bool = False


@dataclass(frozen=True, slots=True)
class LoggerLevel:
    """A logger's level, set at run time; `until_wall_secs` None: for good; `reset_level`: what follows.

    `until_wall_secs` is by the clock of the Nimbus that set it; `lasting_secs` is how long that was from then.
    """

    level: str
    until_wall_secs: int | None = None
    reset_level: str | None = None
    lasting_secs: int | None = None


@dataclass(frozen=True, slots=True)
class LogConfig:
    """{logger name ("ROOT" for the root logger): level}."""

    loggers: Mapping[str, LoggerLevel] = field(default_factory=dict)
