"""The pages of owners: who owns topologies, and which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.http.problems import Problem
from storm.ui.rest import topologies

if TYPE_CHECKING:
    from storm.thrift.interface import Struct
    from storm.ui.pages.page import PageCall


async def all_owners(call: PageCall) -> dict[str, Any]:
    summaries = await call.nimbus.read("getOwnerResourceSummaries", "")
    rows = topologies.owner_summaries(summaries)["owners"]
    return {"owners": [{**row, **used(summary)} for row, summary in zip(rows, summaries, strict=True)]}


async def one_owner(call: PageCall) -> dict[str, Any]:
    owner = call.path["owner"]
    found = await call.nimbus.read("getOwnerResourceSummaries", owner) if owner else []  # "" is everybody
    if not found:
        raise Problem(404, f"{owner[:100]} owns no topology.")
    page = topologies.owner_page(found[0], (await call.nimbus.read("getClusterInfo")).topologies)
    return {"owner": {**page, **used(found[0])}}


def used(summary: Struct) -> dict[str, float | None]:
    """What the workers of an owner's topologies take: MB, percent of a core; None: they do not tell."""
    return {"usedMem": summary.memory_usage, "usedCpu": summary.cpu_usage}
