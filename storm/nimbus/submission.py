"""What a submission and a rebalance must be like, and what Nimbus makes of them; no I/O.

A client checks most of this too. Nimbus checks it again, because it cannot know who calls.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storm.cluster.records import Assignment, DebugOptions, RebalanceRequest, StormBase, TopologyStatus
from storm.config import conf_origins
from storm.errors import InvalidTopologyError
from storm.ids import WorkerSlot
from storm.nimbus.cluster_snapshot import TopologyPlan, plan_of
from storm.topology.consumer_registration import REGISTER_KEY, with_consumers
from storm.topology.parallelism import component_executors, normalise, normalise_conf
from storm.topology.validation import validate, validate_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storm.ids import ComponentId, TopologyId
    from storm.topology.structure import StormTopology

NAME_BYTES_MAX = 200  # the keys of its blobs are names of directories, which have at most 255 bytes
CONF_BYTES_MAX = 1 << 20
SUBMISSION_ID_KEY = "topology.submission.id"  # what its client calls a submission, so that it can repeat it
DEBUG_KEY = "topology.debug"
NODE_ID_CHARS = 60  # of a supervisor's id, at most: a UUID and a host

_BLOB_NAME = re.compile(r"[\w -]+\Z")  # what the keys of its blobs can hold

#: Settings that decide which tasks there are: they hold for a topology's life.
FIXED_KEYS = (
    "topology.tasks",
    "topology.acker.executors",
    "topology.max.task.parallelism",
    REGISTER_KEY,
    "topology.name",
    "storm.id",
    SUBMISSION_ID_KEY,
    conf_origins.KEY,
)


@dataclass(frozen=True, slots=True)
class TopologyLimits:
    """The most workers and executors that one topology may have; None: no limit."""

    workers_max: int | None = None
    executors_max: int | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A topology that may run: its plan, and its record but for the hashes of its blobs."""

    base: StormBase
    plan: TopologyPlan


def checked_name(name: str) -> str:
    """The name, if a topology can have it. Raises InvalidTopologyError."""
    validate_name(name)
    if not _BLOB_NAME.match(name) or len(name.encode()) > NAME_BYTES_MAX:
        raise InvalidTopologyError(
            f"a topology's name has letters, digits, spaces, _ and -, at most {NAME_BYTES_MAX} bytes, not so {name!r}"
        )
    return name


def new_topology_id(name: str, counter: int, wall_secs: int) -> TopologyId:
    """Storm's form; `counter` counts this Nimbus's submissions from 1."""
    return f"{name}-{counter}-{wall_secs}"


def parsed_conf(text: str) -> dict[str, Any]:
    """The conf that came as JSON. Raises InvalidTopologyError."""
    if len(text) > CONF_BYTES_MAX:
        raise InvalidTopologyError(f"The topology's conf has {len(text):,} characters; the most is {CONF_BYTES_MAX:,}.")
    try:
        conf = json.loads(text or "{}", parse_constant=_refused_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidTopologyError(f"The topology's conf is not JSON: {error}.") from None
    if not isinstance(conf, dict):
        raise InvalidTopologyError(f"The topology's conf is not a JSON object but {type(conf).__name__}.")
    return conf


def prepared(base: StormBase, conf: Mapping[str, Any], topology: StormTopology, limits: TopologyLimits) -> Submission:
    """`topology` and `conf` (with the cluster's defaults) as they will run.

    `base` says id, name, status, owner and launch time; numbers of workers and executors are filled in.
    Raises InvalidTopologyError.
    """
    validate(topology, conf)
    topology = with_consumers(topology, conf)
    settled = normalise_conf({**conf, "topology.name": base.name, "storm.id": base.topology_id})
    plan = plan_of(normalise(topology, settled), settled)
    executors = component_executors(plan.system, settled)
    num_workers = int(settled["topology.workers"])
    _check_limits(num_workers, sum(executors.values()), limits)
    version = settled.get("topology.version")
    complete = StormBase(
        base.topology_id,
        base.name,
        base.status,
        num_workers,
        executors,
        base.launch_wall_secs,
        base.owner,
        component_debug=_sampled(base.topology_id, plan),
        topology_version=None if version is None else str(version),
        submission_id=str(settled.get(SUBMISSION_ID_KEY) or ""),
    )
    return Submission(complete, plan)


def debug_options(is_on: object) -> DebugOptions:
    """What a value of `topology.debug` stands for: all tuples are sampled, or none."""
    return DebugOptions(bool(is_on), 100.0)


def initial_base(topology_id: TopologyId, name: str, owner: str, wall_secs: int, active: bool) -> StormBase:
    """What is known of a topology before its parts are looked at."""
    status = TopologyStatus.ACTIVE if active else TopologyStatus.INACTIVE
    return StormBase(topology_id, name, status, 1, {}, wall_secs, owner)


def largest_assignment(submission: Submission) -> Assignment:
    """About the largest assignment that this topology can get: each executor on a slot of its own."""
    base = submission.base
    node = "n" * NODE_ID_CHARS
    executors = [
        executor for executors in submission.plan.executors(base.component_executors).values() for executor in executors
    ]
    slots = {executor: WorkerSlot(node, 10_000 + turn) for turn, executor in enumerate(executors)}
    used = list(slots.values())[: base.num_workers]
    return Assignment(
        base.topology_id,
        1,
        slots,
        dict.fromkeys(executors, base.launch_wall_secs),
        {node: node},
        dict.fromkeys(used, base.launch_wall_secs),
        base.blob_hashes,
        base.owner,
    )


def checked_rebalance(
    request: RebalanceRequest, base: StormBase, plan: TopologyPlan, limits: TopologyLimits
) -> RebalanceRequest:
    """The request, if the topology can follow it; an override of topology.workers counts as a number of
    workers.

    Raises InvalidTopologyError.
    """
    overrides = dict(request.conf_overrides)
    for key in FIXED_KEYS:
        if key in overrides:
            raise InvalidTopologyError(f"{key} cannot change while a topology lives: submit it anew.")
    num_workers = request.num_workers
    if num_workers is None:
        num_workers = overrides.get("topology.workers")
    if num_workers is not None and num_workers < 1:
        raise InvalidTopologyError(f"A topology runs in at least one worker, not {num_workers}.")
    for component_id, count in request.component_executors.items():
        tasks = plan.component_tasks.get(component_id)
        if tasks is None:
            raise InvalidTopologyError(unknown("component", component_id, plan.component_tasks, f" in {base.name!r}"))
        if not 1 <= count <= len(tasks):
            raise InvalidTopologyError(
                f"Component {component_id!r} can have 1 to {len(tasks)} executors, not {count}: it has that many"
                " tasks, whose number was fixed when the topology was submitted (set_num_tasks)."
            )
    after = {**base.component_executors, **request.component_executors}
    _check_limits(base.num_workers if num_workers is None else num_workers, sum(after.values()), limits)
    return RebalanceRequest(num_workers, dict(request.component_executors), overrides)


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> str:
    """A sentence that says which ones there are, and which was perhaps meant."""
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, 1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    listed = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
    there = f"There is: {listed}." if names else f"There is no {kind} at all."
    return f"No {kind} {name[:128]!r}{where}.{hint} {there}"


def _sampled(topology_id: TopologyId, plan: TopologyPlan) -> dict[ComponentId, DebugOptions]:
    """`component_debug` as `topology.debug` says it, of the topology and of components that say it themselves."""
    found = {topology_id: debug_options(True)} if plan.conf.get(DEBUG_KEY) else {}
    for component_id, spec in plan.topology.components().items():
        if DEBUG_KEY in spec.conf:
            found[component_id] = debug_options(spec.conf[DEBUG_KEY])
    return found


def _check_limits(num_workers: int, num_executors: int, limits: TopologyLimits) -> None:
    if limits.workers_max is not None and num_workers > limits.workers_max:
        raise InvalidTopologyError(
            f"The topology asks for {num_workers} workers; nimbus.slots.perTopology allows {limits.workers_max}."
        )
    if limits.executors_max is not None and num_executors > limits.executors_max:
        raise InvalidTopologyError(
            f"The topology has {num_executors} executors; nimbus.executors.perTopology allows {limits.executors_max}."
        )


def _refused_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")
