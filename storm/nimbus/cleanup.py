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

CODE_SUFFIX = "-stormcode.ser"
CONF_SUFFIX = "-stormconf.ser"
PACKAGE_SUFFIX = "-stormjar.jar"
BLOB_SUFFIXES = (CODE_SUFFIX, CONF_SUFFIX, PACKAGE_SUFFIX)


def blob_keys(topology_id: TopologyId) -> tuple[str, str, str]:
    """The keys of its code, conf and package."""
    return topology_id + CODE_SUFFIX, topology_id + CONF_SUFFIX, topology_id + PACKAGE_SUFFIX


def blob_owners(keys: Iterable[str]) -> set[TopologyId]:
    """The topologies that blobs with these keys belong to; other blobs are users' own."""
    return {key.removesuffix(suffix) for key in keys for suffix in BLOB_SUFFIXES if key.endswith(suffix)}


def orphans(
    first_seen: Mapping[TopologyId, float], remains: Iterable[TopologyId], delay_secs: float, now: float
) -> tuple[dict[TopologyId, float], list[TopologyId]]:
    """When each of the `remains` was first seen, and those that have been there for `delay_secs`: they may
    go.
    """
    seen = {topology_id: first_seen.get(topology_id, now) for topology_id in remains}
    due = sorted(topology_id for topology_id, since in seen.items() if now - since >= delay_secs)
    return {topology_id: since for topology_id, since in seen.items() if topology_id not in due}, due
