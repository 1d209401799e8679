"""Draining hosts, as people ask for it: what is written down. What follows from it is in `departures`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from storm.cluster.records import Drain
from storm.errors import BadVersionError, NotLeaderError, StormError
from storm.nimbus.submission import unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import NodeId
    from storm.nimbus.core import NimbusCore

log = logging.getLogger(__name__)


def drain(core: NimbusCore, host: str, wait_secs: int | None = None) -> list[NodeId]:
    """Drain the supervisors of a host, or the one of this id; their ids, also of those that were drained before.

    `wait_secs`: how long spouts stand still before their workers move; None: the message timeout.
    Raises StormError if there is none, NotLeaderError.
    """
    core.require_leadership()
    known, drained = core.snapshot.supervisors, core.cluster_state.drains()
    found = sorted(node_id for node_id, info in known.items() if host in (node_id, info.host))
    found += [node_id for node_id in _of_host(core, drained, host) if node_id not in found]
    if not found:
        raise StormError(unknown("supervisor or host of one", host, {info.host for info in known.values()}))
    if wait_secs is not None and wait_secs < 0:
        raise StormError(f"A wait cannot be negative: {wait_secs} s.")
    for node_id in found:
        before = drained.get(node_id)
        name = known[node_id].host if node_id in known else before.host if before is not None else host
        since = before.since_wall_secs if before is not None else core.clock.wall_secs()
        _write(core, Drain(node_id, name, since, wait_secs))
    log.info("Host %s is drained: nothing is assigned to it any more, and what it has leaves.", host)
    core.wake()
    return found


def undrain(core: NimbusCore, host: str) -> list[NodeId]:
    """Let the supervisors of a host, or the one of this id, be used again; their ids.

    Raises StormError if none of it is drained, NotLeaderError.
    """
    core.require_leadership()
    drained = core.cluster_state.drains()
    found = _of_host(core, drained, host)
    if not found:
        names = {each.host for each in drained.values()}
        raise StormError(unknown("drained supervisor or host of one", host, names))
    for node_id in found:
        _write(core, None, node_id)
    log.info("Host %s is drained no more.", host)
    core.wake()
    return found


def _of_host(core: NimbusCore, drained: Mapping[NodeId, Drain], host: str) -> list[NodeId]:
    """Those of the drained that are meant: also ones that live no more, or live under another name now."""
    known = core.snapshot.supervisors
    return sorted(
        node_id
        for node_id, each in drained.items()
        if host in (node_id, each.host) or (node_id in known and known[node_id].host == host)
    )


def _write(core: NimbusCore, new: Drain | None, node_id: NodeId = "") -> None:
    try:
        if new is None:
            core.cluster_state.remove_drain(node_id)
        else:
            core.cluster_state.put_drain(new)
    except BadVersionError:  # the fence does not hold: another leads
        core.wake()
        raise NotLeaderError("This Nimbus does not lead any more: ask the one that does.") from None
