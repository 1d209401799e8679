"""Which topologies' remains may go: what is left of those that no longer exist.

A removal deletes everything itself. This is for what a crash in its middle left, what a worker wrote after
its topology's end, and what a failed submission began. Remains must have been seen for a while before they
go, so that nothing is deleted that somebody is just creating.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storm.ids import TopologyId


def orphans(
    first_seen: Mapping[TopologyId, float], remains: Iterable[TopologyId], delay_secs: float, now: float
) -> tuple[dict[TopologyId, float], list[TopologyId]]:
    """When each of the `remains` was first seen, and those that have been there for `delay_secs`: they may
    go.
    """
    seen = {topology_id: first_seen.get(topology_id, now) for topology_id in remains}
    due = sorted(topology_id for topology_id, since in seen.items() if now - since >= delay_secs)
    return {topology_id: since for topology_id, since in seen.items() if topology_id not in due}, due
