"""`/cluster/summary` and `/nimbus/summary`, from Nimbus's ClusterSummary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.config.addresses import is_loopback, split, with_port
from storm.diagnosis.wording import pretty_secs
from storm.ui.rest.formats import decimals
from storm.ui.rest.log_links import linked
from storm.ui.rest.supervisors import resources
from storm.ui.rest.view import NO_RESOURCES_SHOWN

if TYPE_CHECKING:
    from storm.thrift.interface import Struct
    from storm.ui.rest.view import View

NOT_THERE = "Not applicable"  # Storm's word for what an offline Nimbus cannot tell


def cluster_summary(summary: Struct, view: View) -> dict[str, Any]:
    """Sums over supervisors and topologies; memory in MB, CPU in percent of a core."""
    supervisors, topologies = summary.supervisors, summary.topologies
    slots, used = sum(one.num_workers for one in supervisors), sum(one.num_used_workers for one in supervisors)
    of_each = [resources(one) for one in supervisors]
    total_mem, used_mem = sum(one.total_mem for one in of_each), sum(one.used_mem for one in of_each)
    total_cpu, used_cpu = sum(one.total_cpu for one in of_each), sum(one.used_cpu for one in of_each)
    return {
        "user": None,
        "stormVersion": view.version,
        "stormVersionInfo": version_info(view.version),
        "supervisors": len(supervisors),
        "topologies": len(topologies),
        "slotsTotal": slots,
        "slotsUsed": used,
        "slotsFree": max(0, slots - used),
        "executorsTotal": sum(one.num_executors for one in topologies),
        "tasksTotal": sum(one.num_tasks for one in topologies),
        "totalMem": float(total_mem),
        "availMem": float(sum(one.avail_mem for one in of_each)),
        "totalCpu": float(total_cpu),
        "availCpu": float(sum(one.avail_cpu for one in of_each)),
        "totalGenerics": "",
        "availGenerics": "",
        "fragmentedMem": float(sum(one.fragmented_mem or 0.0 for one in supervisors)),
        "fragmentedCpu": float(sum(one.fragmented_cpu or 0.0 for one in supervisors)),
        "memAssignedPercentUtil": decimals(100 * used_mem / total_mem if total_mem else 0.0),
        "cpuAssignedPercentUtil": decimals(100 * used_cpu / total_cpu if total_cpu else 0.0),
        "bugtracker-url": None,
        "central-log-url": None,
        **NO_RESOURCES_SHOWN,
    }


def version_info(version: str) -> dict[str, str]:
    """What a release of Storm knows of its build; ours knows its version."""
    unknown = dict.fromkeys(("revision", "branch", "date", "srcChecksum"), "Unknown")
    return {"version": version, **unknown}


def nimbus_summary(summary: Struct, view: View) -> dict[str, Any]:
    """The Nimbuses that are there, and those of `nimbus.seeds` that are not, which Storm calls offline."""
    view = linked(view, summary.supervisors)
    there = [
        {
            "host": one.host,
            "port": one.port,
            "status": "Leader" if one.isLeader else "Not a Leader",
            "version": one.version,
            "nimbusUpTime": pretty_secs(one.uptime_secs),
            "nimbusUpTimeSeconds": one.uptime_secs,
            "nimbusLogLink": view.links.daemon(one.host, "nimbus"),
        }
        for one in summary.nimbuses
    ]
    addresses = {(one.host, one.port) for one in summary.nimbuses}
    return {"nimbuses": there + [_offline(*at, view) for at in _seeds(view) if at not in addresses]}


def _seeds(view: View) -> list[tuple[str, int]]:
    """Without those on loopback: whoever listens there is called by another name."""
    found = [split(with_port(seed, view.nimbus_port)) for seed in view.seeds]
    return [(host, port) for host, port in dict.fromkeys(found) if not is_loopback(host)]


def _offline(host: str, port: int, view: View) -> dict[str, Any]:
    return {
        "host": host,
        "port": str(port),
        "status": "Offline",
        "version": NOT_THERE,
        "nimbusUpTime": NOT_THERE,
        "nimbusUpTimeSeconds": NOT_THERE,
        "nimbusLogLink": view.links.daemon(host, "nimbus"),
    }
