"""What a worker is told when it is launched, and whether that still stands."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm.cluster import record_codec
from storm.cluster.records import Assignment, KnownTopology, TopologyStatus
from storm.errors import RecordError, StormError, WorkerStartError
from storm.host_paths import CONF, code_dir
from storm.ids import ExecutorId, WorkerSlot
from storm.log_lines import TEXT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import NodeId, TaskId, TopologyId

logger = logging.getLogger(__name__)

LAUNCH_FILE_BYTES_MAX = 16 << 20


@dataclass(frozen=True, slots=True)
class Launch:
    """The launch file that the supervisor wrote. `settings` are those that differ from the defaults.

    `code_dir`: where the topology's package was extracted, None: it runs in place. `work_dir`: the worker's own
    directory, where its blobs are. `stacks_file` and `heap_file`: where it tells of its
    threads and of its heap, None: the supervisor is of a release that does not ask. `deaths`: how often in a row what
    ran here before died. `known`: the topology as the supervisor last read of it; None: it did not yet.
    """

    topology_id: TopologyId
    node_id: NodeId
    host: str
    bind_host: str
    port: int
    worker_id: str
    epoch: int
    executors: tuple[ExecutorId, ...]
    supervisor_port: int
    dist_dir: Path
    log_dir: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    code_dir: Path | None = None
    work_dir: Path | None = None
    stacks_file: Path | None = None
    heap_file: Path | None = None
    deaths: int = 0
    known: KnownTopology | None = None

    @property
    def slot(self) -> WorkerSlot:
        return WorkerSlot(self.node_id, self.port)

    def tasks(self) -> frozenset[TaskId]:
        """The tasks of this worker's executors."""
        return frozenset(task for executor in self.executors for task in executor.tasks())


def read_launch(path: Path) -> Launch:
    """Raises WorkerStartError that names the file."""
    try:
        with path.open("rb") as file:
            record = json.loads(file.read(LAUNCH_FILE_BYTES_MAX))
        dist_dir = Path(_text(record, "dist_dir"))
        return Launch(
            topology_id=_text(record, "topology_id"),
            node_id=_text(record, "node_id"),
            host=_text(record, "host"),
            bind_host=_text(record, "bind_host"),
            port=_number(record, "port"),
            worker_id=_text(record, "worker_id"),
            epoch=_number(record, "epoch"),
            executors=tuple(ExecutorId(int(start), int(end)) for start, end in record["executors"]),
            supervisor_port=_number(record, "supervisor_port"),
            dist_dir=dist_dir,
            log_dir=Path(_text(record, "log_dir")),
            settings=dict(record.get("settings") or {}),
            code_dir=code_dir(dist_dir),
            work_dir=path.parent,
            stacks_file=Path(_text(record, "stacks_file")) if "stacks_file" in record else None,
            heap_file=Path(_text(record, "heap_file")) if "heap_file" in record else None,
            deaths=_number(record, "deaths") if "deaths" in record else 0,
            known=_known(record),
        )
    except OSError as error:
        raise WorkerStartError(f"the launch file {path} cannot be read: {error.strerror or error}") from error
    except KeyError as error:
        raise WorkerStartError(f"the launch file {path} lacks {error}") from error
    except (ValueError, TypeError) as error:
        raise WorkerStartError(f"{path} is not a launch file: {error}") from error


def module_roots(launch: Launch) -> list[Path]:
    """The directories that the topology's own modules are found in, as its package's manifest says.

    Raises WorkerStartError where it cannot be read, PackageError for one that no client of ours writes.
    """
    from storm.environment_spec import MANIFEST, MANIFEST_BYTES_MAX, read_source

    if launch.code_dir is None:
        return []
    try:
        with (launch.code_dir / MANIFEST).open("rb") as file:
            source = read_source(file.read(MANIFEST_BYTES_MAX))
    except FileNotFoundError:  # a package that another client made
        source = ""
    except OSError as error:
        raise WorkerStartError(f"{launch.code_dir / MANIFEST} cannot be read: {error.strerror}") from error
    return [launch.code_dir, launch.code_dir / source] if source else [launch.code_dir]


def log_format(launch: Launch) -> str:
    """`topology.worker.log.format` of its topology; where its conf cannot be read, which the start tells, text."""
    from storm.config.settings import Settings
    from storm.config.topology_conf import effective_conf

    try:
        own = json.loads((launch.dist_dir / CONF).read_bytes())
        conf = effective_conf(Settings.of(launch.settings, "the launch file"), own)
    except (OSError, ValueError, StormError):
        return TEXT
    return str(conf["topology.worker.log.format"])


def why_replaced(launch: Launch, assignment: Assignment) -> str | None:
    """Why this worker has to end by what the assignment says; None: it stands.

    An assignment older than the launch says nothing: it comes from a ZooKeeper server that lags behind.
    """
    if assignment.version < launch.epoch:
        return None
    executors = assignment.slot_executors().get(launch.slot)
    if executors is None:
        return f"assignment {assignment.version} has no worker on port {launch.port} of this node any more"
    epoch = assignment.slot_epochs.get(launch.slot, assignment.version)
    if epoch > launch.epoch:
        return f"assignment {assignment.version} gives port {launch.port} other executors (epoch {epoch})"
    return None


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} is {value!r} where a text should be")
    return value


def _known(record: Mapping[str, Any]) -> KnownTopology | None:
    """None also where it cannot be read, or is of a release that knows more: the worker reads it in ZooKeeper then."""
    if "assignment_file" not in record:
        return None
    path = _text(record, "assignment_file")
    try:
        assignment = record_codec.decode(Assignment, Path(path).read_bytes(), path)
        return KnownTopology(assignment, TopologyStatus(_text(record, "status")))
    except (OSError, RecordError, ValueError) as error:
        logger.warning("What the supervisor knew of the topology cannot be read: %s", error)
        return None


def _number(record: Mapping[str, Any], key: str) -> int:
    value = record[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{key} is {value!r} where a number should be")
    return value
