"""A pending rebalance: the new conf, if it has one, goes to other Nimbuses before the topology runs with it.

It is written in three steps: the record that says what the topology will be (`half_done`), its assignment, the record
without the rebalance. A leader that takes over between two of them goes on from there; it neither moves the topology
back to what it was, nor waits once more. The new conf is named last, so that who has not got it makes it anew.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from storm.cluster.records import RebalanceRequest
from storm.config import conf_origins
from storm.errors import BlobCorruptError, BlobNotFoundError, BlobStoreError, InvalidTopologyError
from storm.nimbus.pending_submissions import ReplicationWait
from storm.nimbus.submission import DEBUG_KEY, debug_options
from storm.nimbus.topology_status import Action, Delay, transition

if TYPE_CHECKING:
    from storm.cluster.records import StormBase
    from storm.nimbus.blob_replication import BlobReplication
    from storm.nimbus.cluster_snapshot import TopologyPlan
    from storm.nimbus.topology_blobs import TopologyBlobs

log = logging.getLogger(__name__)


def require_room(base: StormBase, plan: TopologyPlan, request: RebalanceRequest, blobs: TopologyBlobs) -> None:
    """Put the conf that this rebalance leads to beside the present one, before spouts stand still for it.

    Raises InvalidTopologyError where this disk does not take it.
    """
    try:
        blobs.settle(base)  # else the conf that it has may be where the next one goes
        _staged(base, plan, request, blobs)
    except BlobStoreError as error:
        raise InvalidTopologyError(
            f"The new conf of {base.name!r} cannot be stored on this Nimbus; the topology runs on as it was. {error}"
        ) from None


def rebalanced_base(
    base: StormBase, plan: TopologyPlan | None, blobs: TopologyBlobs, replication: BlobReplication, left_secs: float
) -> StormBase | None:
    """The record after the rebalance that `base` holds, its new conf in place; None: not yet.

    It waits until `left_secs` are over; while the topology's code is not here (`plan` None); for Nimbuses that fetch
    the new conf, as a submission does, counted from the end of the wait; and for a disk that fails.
    """
    if plan is None:
        return None
    try:
        return _rebalanced_base(base, plan, blobs, replication, left_secs)
    except (BlobStoreError, BlobNotFoundError, BlobCorruptError) as error:
        log.error("Topology %s cannot be rebalanced yet: %s", base.topology_id, error)
        return None


class Rebalanced(NamedTuple):
    """`done`: the record that finishes a rebalance. `version`: of the `half_done` one that it follows. `is_spread`:
    whether the workers are shared out anew over the nodes.
    """

    done: StormBase
    version: int
    is_spread: bool


def half_done(base: StormBase, done: StormBase) -> StormBase:
    """The record between `base` and `done`: wanted is what will be, and spouts stand still until it is assigned."""
    asked = base.rebalance or RebalanceRequest()
    request = RebalanceRequest(conf_overrides=asked.conf_overrides, spread=asked.spread)
    return replace(
        done, status=base.status, previous_status=done.status, rebalance=request, blob_hashes=base.blob_hashes
    )


def _is_half_done(base: StormBase) -> bool:
    return base.due_wall_secs == 0  # which a request never sets


def _rebalanced_base(
    base: StormBase, plan: TopologyPlan, blobs: TopologyBlobs, replication: BlobReplication, left_secs: float
) -> StormBase | None:
    request = base.rebalance or RebalanceRequest()
    overrides = request.conf_overrides
    staged = _staged(base, plan, request, blobs)
    replication.announce(staged)
    if left_secs > 0:
        return None
    done = transition(base, Action.DO_REBALANCE, Delay(0))
    assert done is not None
    if DEBUG_KEY in overrides:
        debug = {**done.component_debug, done.topology_id: debug_options(overrides[DEBUG_KEY])}
        done = replace(done, component_debug=debug)
    if not staged:
        return done
    wait = ReplicationWait.from_conf(plan.conf)
    holders = replication.count(staged)
    if holders < wait.count and -left_secs < wait.secs_max and not _is_half_done(base):
        return None
    if holders < wait.count:
        log.warning("Topology %s: its new conf is on %d of %d Nimbuses.", base.topology_id, holders, wait.count)
    return replace(done, blob_hashes=blobs.replace_conf(base))


def _staged(base: StormBase, plan: TopologyPlan, request: RebalanceRequest, blobs: TopologyBlobs) -> dict[str, str]:
    overrides = request.conf_overrides
    return blobs.stage_conf(base, conf_origins.rebalanced(plan.conf, overrides)) if overrides else {}
