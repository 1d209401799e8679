"""Which topologies' remains may go: what is left of those that no longer exist.

A removal deletes everything itself. This is for what a crash in its middle left, what a worker wrote after
its topology's end, what a failed submission began, and what a Nimbus holds of topologies that ended while it was
away. Remains must have been seen for a while before they go, so that nothing is deleted that somebody is just creating.

Topologies that nobody ended, and of which ZooKeeper knows nothing all the same, are another matter: then ZooKeeper has
lost its data, and what is left may be all that there is. Those remains are kept for KEEP_LOST_SECS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from storm.ids import TopologyId

KEEP_LOST_SECS = 7 * 24 * 3600.0


def orphans(
    first_seen: Mapping[TopologyId, float],
    remains: Iterable[TopologyId],
    delay_secs: float,
    is_lost: Callable[[TopologyId], bool],
    now: float,
) -> tuple[dict[TopologyId, float], list[TopologyId]]:
    """When each of the `remains` was first seen, and those that may go: they have been there for `delay_secs`.

    Those that `is_lost` answers True for, which is asked when that time is over, must have been there for
    KEEP_LOST_SECS.
    """
    seen = {topology_id: first_seen.get(topology_id, now) for topology_id in remains}
    due = sorted(
        topology_id
        for topology_id, since in seen.items()
        if now - since >= delay_secs and (not is_lost(topology_id) or now - since >= KEEP_LOST_SECS)
    )
    return {topology_id: since for topology_id, since in seen.items() if topology_id not in due}, due
