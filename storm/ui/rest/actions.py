"""What the REST API does: all that is asked for by POST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.thrift.interface import storm_thrift
from storm.ui.rest import log_levels, requests, shapes
from storm.ui.rest.calls import Endpoint
from storm.ui.rest.log_links import with_log_viewers
from storm.ui.rest.worker_calls import WorkerCalls, found_worker

if TYPE_CHECKING:
    from storm.thrift.interface import Struct
    from storm.ui.rest.calls import Call
    from storm.ui.rest.shapes import Shape

LOG_CONFIG_EXAMPLE = {"namedLoggerLevels": {"ROOT": {"target_level": "DEBUG", "timeout": 60}}}
REBALANCE_EXAMPLE = {"rebalanceOptions": {"numWorkers": 2, "executors": {"split": 4}}}


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


async def _start_profile(call: Call) -> Any:
    """Its end comes by itself after so many minutes."""
    minutes = requests.minutes(call.path["minutes"])
    worker = await _worker(call)
    await _calls(call, worker).ask("startProfile", minutes * 60)
    return {**_ok(call), "timeout": call.path["minutes"], "dumplink": await _dump_link(call, worker)}


def _profile_part(method: str) -> Any:
    """Answers with the name of the flame graph, too, which Storm's does not tell."""

    async def profile_part(call: Call) -> Any:
        worker = await _worker(call)
        file = await _calls(call, worker).ask(method)
        return {**_ok(call), "file": file, "dumplink": await _dump_link(call, worker)}

    return profile_part


def _telling(key: str, method: str) -> Any:
    """What the worker says is in the answer, too, where Storm only writes a file on its host."""

    async def tell(call: Call) -> Any:
        worker = await _worker(call)
        return {**_ok(call), key: await _calls(call, worker).ask(method), "dumplink": await _dump_link(call, worker)}

    return tell


async def _restart_worker(call: Call) -> Any:
    await _calls(call, await _worker(call)).ask("restartWorker")
    return _ok(call)


async def _worker(call: Call) -> Struct:
    return await found_worker(call.nimbus, call.path["id"], call.path["host_port"])


def _calls(call: Call, worker: Struct) -> WorkerCalls:
    return WorkerCalls(call.nimbus, call.supervisors, call.path["id"], worker)


def _ok(call: Call) -> dict[str, str]:
    return {"status": "ok", "id": call.path["host_port"]}


async def _dump_link(call: Call, worker: Struct) -> str:
    view = await with_log_viewers(call.view, call.nimbus)
    return view.links.dumps(worker.host, call.path["id"], worker.port)


async def _name(call: Call) -> str:
    """Nimbus's calls take a topology's name, the API its id: not an earlier topology of the same name is meant."""
    summary = await call.nimbus.ask("getTopologySummary", call.path["id"])
    return str(summary.name)


def _done(call: Call, operation: str) -> dict[str, str]:
    return {"topologyOperation": operation, "topologyId": call.path["id"], "status": "success"}


def _post(path: str, summary: str, answer: Any, body: dict[str, Any] | None = None) -> Endpoint:
    return Endpoint("POST", f"/topology/{{id}}/{path}", summary, answer, shapes.DONE, body=body)


def _profiling(path: str, summary: str, answer: Any, shape: Shape) -> Endpoint:
    return Endpoint("POST", f"/topology/{{id}}/profiling/{path}", summary, answer, shape)


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
    _profiling("start/{host_port}/{minutes}", "Record where a worker's time goes, for so many minutes at most.",
               _start_profile, shapes.PROFILING_STARTED),
    _profiling("dumpprofile/{host_port}", "Write a flame graph of what was recorded since the last one; go on.",
               _profile_part("dumpProfile"), shapes.PROFILE),
    _profiling("stop/{host_port}", "End the recording, and write its last flame graph.",
               _profile_part("stopProfile"), shapes.PROFILE),
    _profiling("dumpjstack/{host_port}", "What each thread of a worker is doing.",
               _telling("stacks", "getWorkerStacks"), shapes.STACKS),
    _profiling("dumpheap/{host_port}", "What is on a worker's heap, by type.",
               _telling("heap", "getWorkerHeap"), shapes.HEAP),
    _profiling("restartworker/{host_port}", "End a worker in order, and start it again.",
               _restart_worker, shapes.PROFILING_DONE),
)  # fmt: skip
