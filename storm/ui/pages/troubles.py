"""Troubles as pages show them, for the macro `diagnosis` of the templates; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.config.addresses import split
from storm.diagnosis.facts import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storm.diagnosis.facts import Trouble
    from storm.ui.pages.links import Links

LEVELS = {Severity.CRITICAL: "bad", Severity.WARNING: "warn", Severity.NOTE: "info"}
SHOWN_MAX = 15


def rows(found: Sequence[Trouble], link: Links, here: str | None = None) -> list[dict[str, Any]]:
    """The first SHOWN_MAX, and how many more there are. `here`: the component on whose page they stand."""
    shown = [_row(one, link, here) for one in found[:SHOWN_MAX]]
    more = len(found) - SHOWN_MAX
    if more > 0:
        shown.append({"level": "info", "text": f"And {more} more like these.", "advice": "", "links": []})
    return shown


def of_component(found: Sequence[Trouble], component: str) -> list[Trouble]:
    """Those that its page tells of."""
    return [one for one in found if component in (one.component, *one.concerns)]


def of_worker(found: Sequence[Trouble], worker: str) -> list[Trouble]:
    """`worker`: host:port."""
    return [one for one in found if one.worker == worker]


def on_the_cluster(found: Sequence[Trouble], link: Links) -> list[dict[str, Any]]:
    """As `rows`, where the topology of each is not on the page itself."""
    shown = rows(found, link)
    for one, row in zip(found[:SHOWN_MAX], shown, strict=False):
        if one.topology and not row["links"]:
            row["links"] = [(link.topology(one.topology), "its page")]
    return shown


def _row(one: Trouble, link: Links, here: str | None) -> dict[str, Any]:
    links = [(link.failures(one.topology), "failed tuples")] if one.is_of_failures else []
    if one.supervisor:
        links.append((link.supervisor(one.supervisor), "the host"))
    elif one.component and one.component != here:
        links.append((link.component(one.topology, one.component), one.component))
    elif one.worker:
        links.append((link.worker(one.topology, *split(one.worker)), f"worker {one.worker}"))
    return {"level": LEVELS[one.severity], "text": one.what, "advice": one.advice, "links": links}
