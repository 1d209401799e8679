"""A worker's log, part by part from its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined, split
from storm.errors import TopologyNotAliveError
from storm.http.problems import Problem
from storm.log_names import WORKER_LOG
from storm.metrics.stats_records import ALL_TIME
from storm.ui.pages import log_part
from storm.ui.rest.log_links import with_log_viewers

if TYPE_CHECKING:
    from storm.thrift.interface import Struct
    from storm.ui.pages.log_part import Part, Wanted
    from storm.ui.pages.log_reader import Supervisor
    from storm.ui.pages.page import PageCall

SUPERVISORS_MAX = 8  # of one host that are asked about a worker that is not there any more


async def context(call: PageCall) -> dict[str, Any]:
    """Raises Problem, and StormError where the log cannot be read."""
    topology_id, wanted = call.path["id"], log_part.wanted(call.query)
    host, port = _address(call.path["host_port"])
    page, cluster = await asyncio.gather(
        call.nimbus.read("getTopologyPageInfo", topology_id, ALL_TIME, False), call.nimbus.read("getClusterInfo")
    )
    part = await _read(call, candidates(page, cluster, host, port), port, wanted)
    links = (await with_log_viewers(call.view, call.nimbus)).links
    return {
        "id": topology_id,
        "name": page.name,
        "host": host,
        "port": port,
        "at": joined(host, port),
        "is_there": any((one.host, one.port) == (host, port) for one in page.workers or []),
        "file": wanted.file,
        "is_put_aside": wanted.file != WORKER_LOG,
        "part": part,
        "text": wanted.text,
        "is_gone": wanted.is_behind(part.size),
        "log_viewer": links.worker(host, port, topology_id, wanted.file),
        "all_files": links.of_worker(host, port, topology_id),
    }


def candidates(page: Struct, cluster: Struct, host: str, port: int) -> list[Supervisor]:
    """Who may have the log: the worker's supervisor; where the topology has none there any more, those of the host.

    Raises Problem 404 where there is no such host, 503 where its supervisor is gone.
    """
    supervisors = [one for one in cluster.supervisors or [] if one.thrift_port]
    worker = next((one for one in page.workers or [] if (one.host, one.port) == (host, port)), None)
    if worker is not None:
        found = [one for one in supervisors if one.supervisor_id == worker.supervisor_id]
        if not found:
            raise Problem(503, f"The supervisor on {host} is gone: nobody can read its logs.")
    else:
        there = [one for one in supervisors if one.host == host]
        found = [one for one in there if port in (one.slot_ports or ())] or there
        if not found:
            raise Problem(404, f"{page.name} has no worker at {joined(host, port)[:100]}, and there is no such host.")
    return [(one.host, one.thrift_port) for one in found[:SUPERVISORS_MAX]]


async def _read(call: PageCall, supervisors: list[Supervisor], port: int, wanted: Wanted) -> Part:
    for at in supervisors[:-1]:
        try:
            return await call.logs.read(at, call.path["id"], port, wanted)
        except TopologyNotAliveError:
            continue  # another one of this host may have it
    return await call.logs.read(supervisors[-1], call.path["id"], port, wanted)


def _address(host_port: str) -> tuple[str, int]:
    """Raises Problem 404 for what is none."""
    try:
        host, port = split(host_port)
    except ValueError:
        host, port = "", 0
    if not host or not 0 < port < 65_536:
        raise Problem(404, f"{host_port[:100]} is no worker: give HOST:PORT.")
    return host, port
