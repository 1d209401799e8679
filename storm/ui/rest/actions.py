"""What the REST API does: all that is asked for by POST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined
from storm.http.problems import Problem
from storm.metrics.stats_records import ALL_TIME
from storm.thrift.interface import storm_thrift
from storm.ui.rest import log_levels, requests, shapes
from storm.ui.rest.calls import Endpoint

if TYPE_CHECKING:
    from storm.ui.rest.calls import Call

LOG_CONFIG_EXAMPLE = {"namedLoggerLevels": {"ROOT": {"target_level": "DEBUG", "timeout": 60}}}
REBALANCE_EXAMPLE = {"rebalanceOptions": {"numWorkers": 2, "executors": {"split": 4}}}
NO_PROFILER = "Profiling is not enabled on this server"  # Storm's words where worker.profiler.enabled is false
STACKS = "dumpjstack"
PROFILING = ("stop", "dumpprofile", "dumpheap", "restartworker")


async def _activate(call: Call) -> Any:
    await call.nimbus.change("activate", await _name(call))
    return _done(call, "activate")


async def _deactivate(call: Call) -> Any:
    await call.nimbus.change("deactivate", await _name(call))
    return _done(call, "deactivate")


async def _rebalance(call: Call) -> Any:
    secs, wanted = requests.wait_secs(call.path["wait"]), requests.rebalance(call.body)
    options = storm_thrift().RebalanceOptions(
        wait_secs=secs, num_workers=wanted.num_workers, num_executors=dict(wanted.executors) or None
    )
    await call.nimbus.change("rebalance", await _name(call), options)
    return _done(call, "rebalance")


async def _kill(call: Call) -> Any:
    options = storm_thrift().KillOptions(wait_secs=requests.wait_secs(call.path["wait"]))
    await call.nimbus.change("killTopologyWithOpts", await _name(call), options)
    return _done(call, "kill")


async def _debug(call: Call) -> Any:
    """Of the whole topology, where the path names no component."""
    is_enabled, percent = requests.is_enabled(call.path["action"]), requests.percent(call.path["percent"])
    await call.nimbus.change("debug", await _name(call), call.path.get("component", ""), is_enabled, percent)
    return _done(call, f"debug/{call.path['action']}")


async def _set_log_config(call: Call) -> Any:
    change = log_levels.log_config_change(requests.log_levels(call.body))
    await call.nimbus.change("setLogConfig", call.path["id"], change)
    return log_levels.log_config(await call.nimbus.ask("getLogConfig", call.path["id"]))


async def _profile(call: Call) -> Any:
    """`storm profile` makes profiles, which take their time. Said as Storm says it, and by the status too."""
    if "minutes" in call.path:
        requests.minutes(call.path["minutes"])
    await _name(call)
    raise Problem(501, f"{NO_PROFILER}: `storm profile` makes one.", status="disabled", message=NO_PROFILER)


async def _dump_stacks(call: Call) -> Any:
    """The stacks are in the answer, where Storm writes a file on the worker's host."""
    topology_id, host_port = call.path["id"], call.path["host_port"]
    page = await call.nimbus.ask("getTopologyPageInfo", topology_id, ALL_TIME, True)
    found = [one for one in page.workers or [] if host_port in {f"{one.host}:{one.port}", joined(one.host, one.port)}]
    if not found:
        raise Problem(404, f"No worker of {topology_id} is on {host_port[:100]}.")
    worker = found[0]
    summaries = (await call.nimbus.read("getClusterInfo")).supervisors or []
    ports = [one.thrift_port for one in summaries if one.supervisor_id == worker.supervisor_id]
    if not ports or not ports[0]:
        raise Problem(503, f"The supervisor on {worker.host} is gone: nobody can ask the worker.")
    asked = (worker.host, ports[0], "getWorkerStacks", topology_id, worker.port)
    return {"status": "ok", "id": host_port, "stacks": await call.supervisors.ask(*asked)}


async def _name(call: Call) -> str:
    """Nimbus's calls take a topology's name, the API its id: not an earlier topology of the same name is meant."""
    summary = await call.nimbus.ask("getTopologySummary", call.path["id"])
    return str(summary.name)


def _done(call: Call, operation: str) -> dict[str, str]:
    return {"topologyOperation": operation, "topologyId": call.path["id"], "status": "success"}


def _post(path: str, summary: str, answer: Any, body: dict[str, Any] | None = None) -> Endpoint:
    return Endpoint("POST", f"/topology/{{id}}/{path}", summary, answer, shapes.DONE, body=body)


CHANGING = (
    _post("activate", "Let its spouts emit again.", _activate),
    _post("deactivate", "Stop its spouts; its bolts go on.", _deactivate),
    _post("rebalance/{wait}", "Spread it anew after so many seconds, with other numbers where the body has some.",
          _rebalance, REBALANCE_EXAMPLE),
    _post("kill/{wait}", "Stop and remove it after so many seconds.", _kill),
    _post("debug/{action}/{percent}", "Log a share of all its tuples: enable or disable.", _debug),
    _post("component/{component}/debug/{action}/{percent}", "Log a share of one component's tuples.", _debug),
    _post("logconfig", "Set log levels in its workers.", _set_log_config, LOG_CONFIG_EXAMPLE)._replace(
        shape=shapes.LOG_CONFIG
    ),
    _post("profiling/start/{host_port}/{minutes}", "Profile a worker. Not served yet.", _profile),
    _post(f"profiling/{STACKS}/{{host_port}}", "What each thread of a worker is doing.", _dump_stacks)._replace(
        shape=shapes.STACKS
    ),
    *(_post(f"profiling/{action}/{{host_port}}", "Not served yet.", _profile) for action in PROFILING),
)  # fmt: skip
