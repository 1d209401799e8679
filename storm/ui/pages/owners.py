"""The pages of owners: who owns topologies, and which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.ui.rest import topologies
from storm.ui.rest.problems import Problem

if TYPE_CHECKING:
    from storm.ui.pages.page import PageCall


async def all_owners(call: PageCall) -> dict[str, Any]:
    summaries = await call.nimbus.read("getOwnerResourceSummaries", "")
    return {"owners": topologies.owner_summaries(summaries)["owners"]}


async def one_owner(call: PageCall) -> dict[str, Any]:
    owner = call.path["owner"]
    found = await call.nimbus.read("getOwnerResourceSummaries", owner) if owner else []  # "" is everybody
    if not found:
        raise Problem(404, f"{owner[:100]} owns no topology.")
    return {"owner": topologies.owner_page(found[0], (await call.nimbus.read("getClusterInfo")).topologies)}
