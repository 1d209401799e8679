"""The tuples that failed last: of all spouts of a topology, with who failed or held them, and why."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from storm.metrics.stats_records import ALL_TIME
from storm.ui.rest import insight

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.ui.pages.page import PageCall

SHOWN = 200


async def context(call: PageCall) -> dict[str, Any]:
    topology_id = call.path["id"]
    page = await call.nimbus.read("getTopologyPageInfo", topology_id, ALL_TIME, False)
    spouts = sorted(page.id_to_spout_agg_stats or {})
    pages = await asyncio.gather(
        *(
            call.nimbus.read("getComponentPageInfo", topology_id, spout, ALL_TIME, False)
            for spout in spouts[: insight.SPOUTS_MAX]
        )
    )
    found = insight.failures(pages)["failures"]
    failed = page.topology_stats.window_to_failed if page.topology_stats else None
    return {
        "id": topology_id,
        "name": page.name,
        "failed": (failed or {}).get(ALL_TIME, 0),
        "causes": causes(found),
        "failures": found[:SHOWN],
        "left_out": len(found[SHOWN:]),
        "spouts_left_out": len(spouts[insight.SPOUTS_MAX :]),
    }


def causes(failures: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many of `failures` each component failed or held (None: that is not known), and how; the most first."""
    counts = Counter((one["component"] or "", one["kind"]) for one in failures)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"component": component, "kind": kind, "count": count} for (component, kind), count in ordered]
