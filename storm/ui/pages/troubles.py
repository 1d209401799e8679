"""What is wrong, in sentences, the worst first; pure. Each is for the macro `trouble` of the templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.ui.pages.figures import duration, percent
from storm.ui.pages.links import Links
from storm.ui.rest.formats import headline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from storm.thrift.interface import Struct

BAD, WARN, INFO = "bad", "warn", "info"
LEVELS = (BAD, WARN, INFO)
ERROR_SECS = 30 * 60  # an error is trouble for so long, as in Storm's UI
BUSY = 0.9  # the capacity from which a bolt is what holds the topology up
SHOWN_MAX = 20
LATELY = "600"  # the window that all figures here are of

Trouble = dict[str, str]


def trouble(level: str, text: str, href: str = "", to: str = "") -> Trouble:
    """`to`: the words of the link to `href`."""
    return {"level": level, "text": text, "href": href, "to": to}


def in_order(found: list[Trouble]) -> list[Trouble]:
    """The worst first; of very many the first SHOWN_MAX, and how many more there are."""
    ordered = sorted(found, key=_level)
    more = len(ordered) - SHOWN_MAX
    return [*ordered[:SHOWN_MAX], trouble(INFO, f"And {more} more like these.")] if more > 0 else ordered


def of_cluster(shown: Mapping[str, Any], pages: Mapping[str, Struct], wall_secs: int) -> list[Trouble]:
    """`shown`: what the cluster's page shows. `pages`: {topology's id: TopologyPageInfo}."""
    found = [*_of_nimbuses(shown["nimbuses"]), *_of_supervisors(shown["supervisors"], shown["topologies"])]
    for topology in shown["topologies"]:
        found += _of_topology(topology, pages.get(topology["id"]), wall_secs)
    return in_order(found)


def _of_nimbuses(nimbuses: list[dict[str, Any]]) -> Iterator[Trouble]:
    if not any(one["status"] == "Leader" for one in nimbuses):
        yield trouble(BAD, "No Nimbus leads: nothing can be submitted or changed. One is elected within seconds.")
    for one in nimbuses:
        if one["status"] == "Offline":
            yield trouble(WARN, f"The Nimbus {one['host']}:{one['port']} of nimbus.seeds is not there.")


def _of_supervisors(supervisors: list[dict[str, Any]], topologies: list[dict[str, Any]]) -> Iterator[Trouble]:
    link = Links()
    if not supervisors:
        yield trouble(BAD if topologies else WARN, "No supervisor is there: nothing can run.")
    for one in supervisors:
        at = (link.supervisor(one["id"]), f"See {one['host']}")
        if one["illness"]:
            yield trouble(BAD, f"The host {one['host']} is ill, and takes no workers: {one['illness']}", *at)
        elif one["drained_since"] is not None:
            yield trouble(INFO, f"The host {one['host']} is drained: nothing new is assigned to it.", *at)
        elif one["blacklisted"]:
            yield trouble(WARN, f"The host {one['host']} is blacklisted.", *at)


def _of_topology(topology: Mapping[str, Any], page: Struct | None, wall_secs: int) -> Iterator[Trouble]:
    name = topology["name"]
    at = (Links(LATELY).topology(topology["id"]), f"See {name}")
    if topology["schedulerInfo"] and topology["status"] != "KILLED":
        yield trouble(BAD, f"{name}: {topology['schedulerInfo']}", *at)
    if page is None:
        return
    failed = (topology["rates"] or {}).get("failed", 0)
    if failed:
        yield trouble(WARN, f"{name}: {failed:,} tuples failed in the last 10 minutes.", *at)
    for notice in page.notices or []:
        yield trouble(BAD, f"{name}: {notice}", *at)
    yield from _of_components(topology["id"], name, page, wall_secs)


def _of_components(topology_id: str, name: str, page: Struct, wall_secs: int) -> Iterator[Trouble]:
    components = {**(page.id_to_spout_agg_stats or {}), **(page.id_to_bolt_agg_stats or {})}
    for component, stats in sorted(components.items()):
        error = stats.last_error
        if error is not None and wall_secs - error.error_time_secs < ERROR_SECS:
            ago = duration(max(0, wall_secs - error.error_time_secs))
            text = f"{name}: {component} had an error {ago} ago: {headline(error.error)}"
            yield trouble(BAD, text, Links(LATELY).component(topology_id, component), f"See {component}")
    for component, stats in sorted((page.id_to_bolt_agg_stats or {}).items()):
        specific = stats.specific_stats
        capacity = (specific and specific.bolt and specific.bolt.capacity) or 0.0
        if capacity >= BUSY:
            text = f"{name}: {component} is busy {percent(capacity)} of the time: more executors would let more flow."
            yield trouble(WARN, text, Links(LATELY).component(topology_id, component), f"See {component}")


def _level(one: Trouble) -> int:
    return LEVELS.index(one["level"])
