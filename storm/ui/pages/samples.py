"""The tuples of a topology that were sampled last, of all of it or of one stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined
from storm.ui.rest.samples import Of, find
from storm.ui.rest.topology_page import topology_page

if TYPE_CHECKING:
    from storm.ui.pages.page import PageCall


async def context(call: PageCall) -> dict[str, Any]:
    of = Of(call.query.get("component", ""), call.query.get("stream", ""))
    found = await find(call.nimbus, call.samples, call.path["id"], of)
    return {
        "topology": topology_page(found.topology, call.view),
        "of": of,
        "sampling": found.sampling,
        "samples": found.samples,
        "problems": [f"{joined(*worker)}: {text}" for worker, text in found.problems],
        "left_out": found.left_out,
        "dropped": found.dropped,
    }
