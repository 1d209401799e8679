"""From Nimbus's TopologyPageInfo over the last 10 minutes to what the graph is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.diagnosis.nimbus_pages import WINDOW_SECS
from storm.ui.pages.graph import Stream

if TYPE_CHECKING:
    from storm.thrift.interface import Struct


def figures_secs(page: Struct) -> int:
    """How long the window's counts have been counted: a worker that is younger than the window begins at 0."""
    return min(WINDOW_SECS, max((worker.uptime_secs or 0 for worker in page.workers or []), default=0))


def streams(page: Struct) -> list[Stream]:
    """The edges of the graph; none where Nimbus is of a release that does not tell them."""
    secs = figures_secs(page)
    return [
        Stream(
            one.stream.componentId,
            one.component,
            one.stream.streamId,
            f"{one.grouping} ({', '.join(one.fields)})" if one.fields else one.grouping.replace("_", " "),
            (one.executed or 0) / secs if secs else 0.0,
            one.failed or 0,
        )
        for one in getattr(page, "inputs", None) or []
    ]
