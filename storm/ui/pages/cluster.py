"""The cluster's page: what is wrong first, then topologies, supervisors and Nimbuses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined
from storm.diagnosis import cluster as diagnosis
from storm.diagnosis.cluster import Cluster, Host
from storm.diagnosis.nimbus_pages import WINDOW, facts, summary_facts
from storm.errors import StormError
from storm.ui.pages import rounds, troubles
from storm.ui.pages.links import Links
from storm.ui.pages.topology_streams import figures_secs
from storm.ui.rest import cluster, supervisors, topologies
from storm.ui.rest.topology_page import topology_window

if TYPE_CHECKING:
    from storm.thrift.interface import Struct
    from storm.ui.pages.page import PageCall

RATES_AGE_SECS = 10.0  # how old they may be: Nimbus is asked for the page of each topology
RATES_WAIT_SECS = 1.0  # what has not come by then is shown the next time


async def context(call: PageCall) -> dict[str, Any]:
    summary = await call.nimbus.read("getClusterInfo")
    steady, turn = call.rounds.chosen(summary.topologies, call.view.wall_secs)
    pages = await _topology_pages(call, steady, turn)
    drained = {one.supervisor_id: one.since_secs for one in summary.drained or []}
    shown = {
        "summary": cluster.cluster_summary(summary, call.view),
        "nimbuses": cluster.nimbus_summary(summary, call.view)["nimbuses"],
        "supervisors": [supervisor(one, drained, call) for one in summary.supervisors],
        "topologies": [_topology(one, None if one.id in turn else pages.get(one.id)) for one in summary.topologies],
    }
    there = {one.supervisor_id for one in summary.supervisors}
    return {
        **shown,
        "drained_away": [
            {"host": one.host, "since": one.since_secs}
            for one in summary.drained or []
            if one.supervisor_id not in there
        ],
        "troubles": troubles.on_the_cluster(diagnosis.troubles(_facts(summary, shown, pages, call)), Links(WINDOW)),
    }


def _facts(summary: Struct, shown: dict[str, Any], pages: dict[str, Struct], call: PageCall) -> Cluster:
    """`pages`: {topology's id: TopologyPageInfo}, of those that are looked at; of others it counts that they were well
    when their turn was.
    """
    nimbuses, now = shown["nimbuses"], call.view.wall_secs
    told = {one.id: summary_facts(one) for one in summary.topologies}
    seen = {each: facts(page, now) for each, page in pages.items()}
    if len(told) > rounds.STEADY_MAX:
        for each, its in seen.items():
            found, known = ({one.what for one in diagnosis.of_topology(of)} for of in (its, told[each]))
            call.rounds.note(each, now, is_well=found <= known)
    return Cluster(
        has_leader=any(one["status"] == "Leader" for one in nimbuses),
        offline=tuple(joined(one["host"], one["port"]) for one in nimbuses if one["status"] == "Offline"),
        hosts=tuple(
            Host(one["id"], one["host"], one["illness"], one["drained_since"] is not None, one["blacklisted"])
            for one in shown["supervisors"]
        ),
        topologies=tuple({**told, **seen}.values()),
        unseen=sum(each not in seen and not call.rounds.is_well(each, now) for each in told),
    )


def supervisor(summary: Struct, drained: dict[str, int], call: PageCall) -> dict[str, Any]:
    """As the REST API has it, and what only Nimbus here tells: tags, health, whether it is drained.

    What workers use is None where they do not tell.
    """
    meta = dict(summary.scheduler_meta or {})
    return {
        **supervisors.supervisor(summary, call.view),
        **supervisors.used(summary),
        "illness": summary.illness or "",
        "drained_since": drained.get(summary.supervisor_id),
        "tags": tags(meta),
        "python": summary.python_version or "",
    }


def tags(meta: dict[str, str]) -> list[str]:
    """Of a supervisor's scheduler_meta, in words."""
    return [key if value in {"", "true"} else f"{key}={value}" for key, value in sorted(meta.items())]


async def _topology_pages(call: PageCall, steady: list[str], turn: list[str]) -> dict[str, Struct]:
    """{id: TopologyPageInfo} over WINDOW, of those that answer soon."""
    method, more = "getTopologyPageInfo", (WINDOW, False)
    asked = {each: call.nimbus.read_once(method, each, *more) for each in turn}  # first: their turn comes seldom
    asked |= {each: call.nimbus.read_lately(RATES_AGE_SECS, method, each, *more) for each in steady}
    reads = {each: asyncio.ensure_future(read) for each, read in asked.items()}
    if reads:
        await asyncio.wait(reads.values(), timeout=RATES_WAIT_SECS)
    found = {}
    for topology_id, read in reads.items():
        if not read.done():
            read.cancel()
        elif read.exception() is None:
            found[topology_id] = read.result()
        elif not isinstance(read.exception(), StormError):
            read.result()
    return found


def _topology(summary: Struct, page: Struct | None) -> dict[str, Any]:
    shown = topologies.topology(summary)
    secs = 0 if page is None else figures_secs(page)
    if page is None or not secs:
        return {**shown, "rates": None}
    figures = topology_window(page.topology_stats, WINDOW)
    rates = {
        "emitted": figures["emitted"] / secs,
        "acked": figures["acked"] / secs,
        "failed": figures["failed"],
        "latency": figures["completeLatency"] if figures["acked"] else None,
    }
    return {**shown, "rates": rates}
