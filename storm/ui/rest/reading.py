"""What the REST API tells: all that is asked for by GET, from Nimbus's answers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from storm.diagnosis import topology as diagnosis
from storm.diagnosis.nimbus_pages import WINDOW, facts
from storm.http.problems import Problem
from storm.thrift.interface import storm_thrift
from storm.ui.rest import (
    cluster,
    component_page,
    insight,
    log_levels,
    log_search,
    samples,
    shapes,
    supervisors,
    topologies,
    topology_page,
    visualization,
    worker_calls,
)
from storm.ui.rest.calls import Endpoint
from storm.ui.rest.log_links import with_log_viewers
from storm.ui.rest.requests import search_text

if TYPE_CHECKING:
    from storm.ui.rest.calls import Call

WINDOW_AND_SYSTEM = ("window", "sys")


async def _cluster_configuration(call: Call) -> Any:
    return json.loads(await call.nimbus.read("getNimbusConf"))


async def _cluster_summary(call: Call) -> Any:
    return cluster.cluster_summary(await call.nimbus.read("getClusterInfo"), call.view)


async def _nimbus_summary(call: Call) -> Any:
    return cluster.nimbus_summary(await call.nimbus.read("getClusterInfo"), call.view)


async def _supervisor_summary(call: Call) -> Any:
    return supervisors.supervisor_summary((await call.nimbus.read("getClusterInfo")).supervisors, call.view)


async def _supervisor_page(call: Call) -> Any:
    supervisor_id, host = call.query.get("id"), call.query.get("host")
    if not supervisor_id and not host:
        raise Problem(400, "Give the id of a supervisor, or a host: ?id=... or ?host=...")
    # An empty one matches nothing at Nimbus, and a query that is absent must not match either.
    page = await call.nimbus.read("getSupervisorPageInfo", supervisor_id or "", host or "", call.view.include_system)
    if not page.supervisor_summaries:
        raise Problem(404, f"There is no supervisor {supervisor_id or ''}{host or ''}.")
    return supervisors.supervisor_page(page, call.view)


async def _topology_summary(call: Call) -> Any:
    return topologies.topology_summary((await call.nimbus.read("getClusterInfo")).topologies)


async def _history(call: Call) -> Any:
    return topologies.history(await call.nimbus.read("getTopologyHistory", ""))


async def _owners(call: Call) -> Any:
    return topologies.owner_summaries(await call.nimbus.read("getOwnerResourceSummaries", ""))


async def _owner(call: Call) -> Any:
    owner = call.path["owner"]
    if not owner:
        raise Problem(404, "Name an owner: /owner-resources/OWNER; /owner-resources has all.")
    found = await call.nimbus.read("getOwnerResourceSummaries", owner)
    summary = found[0] if found else storm_thrift().OwnerResourceSummary(owner=owner)
    return topologies.owner_page(summary, (await call.nimbus.read("getClusterInfo")).topologies)


async def _topology_page(call: Call) -> Any:
    page = await call.nimbus.read("getTopologyPageInfo", call.path["id"], call.view.window, call.view.include_system)
    return topology_page.topology_page(page, await with_log_viewers(call.view, call.nimbus))


async def _component_page(call: Call) -> Any:
    topology_id, component, view = call.path["id"], call.path["component"], call.view
    page, profiles = await asyncio.gather(
        call.nimbus.read("getComponentPageInfo", topology_id, component, view.window, view.include_system),
        worker_calls.profiles(call.nimbus, topology_id, component),
    )
    return component_page.component_page(page, await with_log_viewers(view, call.nimbus), profiles)


async def _topology_workers(call: Call) -> Any:
    return topologies.topology_workers(await _topology_info(call), call.view)


async def _visualization(call: Call) -> Any:
    topology = await call.nimbus.read("getTopology", call.path["id"])
    return visualization.visualization(topology, await _topology_info(call), call.view)


async def _visualization_init(call: Call) -> Any:
    return visualization.visualization_init(await _visualization(call))


async def _lag(call: Call) -> Any:
    """Storm asks Kafka for its spouts' lag; there are no spouts of Kafka here."""
    await call.nimbus.read("getTopologySummary", call.path["id"])
    return {}


async def _insight(call: Call) -> Any:
    page = await call.nimbus.read("getTopologyPageInfo", call.path["id"], call.view.window, call.view.include_system)
    return insight.insight(page, await _topology_info(call))


async def _troubles(call: Call) -> Any:
    page = await call.nimbus.read("getTopologyPageInfo", call.path["id"], WINDOW, False)
    return insight.troubles(diagnosis.troubles(facts(page, call.view.wall_secs)))


async def _failures(call: Call) -> Any:
    topology_id, view = call.path["id"], call.view
    page = await call.nimbus.read("getTopologyPageInfo", topology_id, view.window, False)
    spouts = sorted(page.id_to_spout_agg_stats or {})
    pages = await asyncio.gather(
        *(
            call.nimbus.read("getComponentPageInfo", topology_id, one, view.window, False)
            for one in spouts[: insight.SPOUTS_MAX]
        )
    )
    return {"spoutsLeftOut": len(spouts[insight.SPOUTS_MAX :]), **insight.failures(pages)}


async def _samples(call: Call) -> Any:
    of = samples.Of(call.query.get("component", ""), call.query.get("stream", ""))
    return samples.as_json(await samples.find(call.nimbus, call.samples, call.path["id"], of))


async def _log_search(call: Call) -> Any:
    text = search_text(call.query)
    if not text:
        raise Problem(400, "Give a text to look for: ?text=...")
    return log_search.as_json(await log_search.find(call.nimbus, call.logs, call.path["id"], text))


async def _log_config(call: Call) -> Any:
    return log_levels.log_config(await call.nimbus.read("getLogConfig", call.path["id"]))


async def _topology_info(call: Call) -> Any:
    t = storm_thrift()
    options = t.GetInfoOptions(num_err_choice=t.NumErrorsChoice.NONE)
    return await call.nimbus.read("getTopologyInfoWithOpts", call.path["id"], options)


READING = (
    Endpoint("GET", "/cluster/configuration", "Nimbus's settings; secrets are masked.", _cluster_configuration,
             shapes.CLUSTER_CONFIGURATION),
    Endpoint("GET", "/cluster/summary", "The whole cluster in figures.", _cluster_summary, shapes.CLUSTER_SUMMARY),
    Endpoint("GET", "/nimbus/summary", "Nimbuses, and which leads.", _nimbus_summary, shapes.NIMBUS_SUMMARY),
    Endpoint("GET", "/supervisor/summary", "All supervisors.", _supervisor_summary, shapes.SUPERVISOR_SUMMARY),
    Endpoint("GET", "/supervisor", "One supervisor, or those of a host, with their workers.", _supervisor_page,
             shapes.SUPERVISOR_PAGE, ("id", "host", "sys")),
    Endpoint("GET", "/topology/summary", "All topologies.", _topology_summary, shapes.TOPOLOGY_SUMMARY),
    Endpoint("GET", "/history/summary", "Ids of topologies.", _history, shapes.HISTORY),
    Endpoint("GET", "/owner-resources", "Everybody who owns a topology.", _owners, shapes.OWNERS),
    Endpoint("GET", "/owner-resources/{owner}", "One owner, with their topologies.", _owner, shapes.OWNER_PAGE),
    Endpoint("GET", "/topology/{id}", "One topology: components, workers, figures, settings.", _topology_page,
             shapes.TOPOLOGY_PAGE, WINDOW_AND_SYSTEM),
    Endpoint("GET", "/topology/{id}/metrics", "The same as /topology/{id}, as in Storm 2.", _topology_page,
             shapes.TOPOLOGY_PAGE, WINDOW_AND_SYSTEM),
    Endpoint("GET", "/topology-workers/{id}", "Where a topology's workers run.", _topology_workers,
             shapes.TOPOLOGY_WORKERS),
    Endpoint("GET", "/topology/{id}/lag", "Lag of Kafka spouts; there are none here.", _lag, shapes.LAG),
    Endpoint("GET", "/topology/{id}/visualization-init", "The streams of a topology.", _visualization_init,
             shapes.VISUALIZATION_INIT, WINDOW_AND_SYSTEM),
    Endpoint("GET", "/topology/{id}/visualization", "The graph, with what flows on it.", _visualization,
             shapes.VISUALIZATION, WINDOW_AND_SYSTEM),
    Endpoint("GET", "/topology/{id}/component/{component}", "One component: streams, executors, errors.",
             _component_page, (shapes.SPOUT_PAGE, shapes.BOLT_PAGE), WINDOW_AND_SYSTEM),
    Endpoint("GET", "/topology/{id}/insight", "What executors and workers do at the moment; Storm has no such path.",
             _insight, shapes.INSIGHT, ("sys",)),
    Endpoint("GET", "/topology/{id}/troubles", "What is wrong with it, the worst first; Storm has no such path.",
             _troubles, shapes.TROUBLES),
    Endpoint("GET", "/topology/{id}/failures", "The tuples that failed last, and why; Storm has no such path.",
             _failures, shapes.FAILURES),
    Endpoint("GET", "/topology/{id}/samples", "The tuples that were sampled last; Storm has no such path.", _samples,
             shapes.SAMPLES, ("component", "stream")),
    Endpoint("GET", "/topology/{id}/logs/search", "The newest records of its logs with a text; Storm has no such path.",
             _log_search, shapes.LOG_SEARCH, ("text",), does="search logs"),
    Endpoint("GET", "/topology/{id}/logconfig", "Log levels that were set.", _log_config, shapes.LOG_CONFIG),
)  # fmt: skip
