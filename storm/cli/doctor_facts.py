"""Gathers what `storm doctor` judges: asks ZooKeeper, Nimbus and every daemon, and looks at this host."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from storm.cli.options import connect_nimbus
from storm.clock import SystemClock, wall_millis
from storm.config.addresses import joined, split
from storm.errors import NotLeaderError, NotServedError, StormError, UnknownHostError
from storm.hosts.checks import DONE_WITHOUT, LOGVIEWER_PORT
from storm.hosts.cluster_facts import (
    ClusterFacts,
    DaemonFacts,
    Facts,
    PortUse,
    SupervisorView,
    TopologyView,
    Unreachable,
    ZooKeeperServer,
)
from storm.hosts.report import RESOLVE_SECS, host_report
from storm.thrift.client import ThriftClient
from storm.thrift.host_convert import host_report_from_thrift
from storm.thrift.nimbus_client import parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from storm.clock import Clock
    from storm.config.settings import Settings
    from storm.hosts.facts import HostReport
    from storm.thrift.nimbus_client import NimbusClient

ANSWER_SECS = 3.0  # of ZooKeeper, and of a seed
LEADER_SECS = 5.0  # of the leader, which looks over all topologies for one of the answers
REPORT_SECS = RESOLVE_SECS + 3.0
SERVES_NOBODY = "not currently serving requests"  # Apache ZooKeeper says so until a leader is elected
SAID_BYTES_MAX = 65_536  # of ZooKeeper's answer to srvr, which has about 300
SHOWN_CHARS = 200
ASKED_AT_ONCE = 16
_SYSTEM_CLOCK = SystemClock()
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def gather(settings: Settings) -> Facts:
    """Everything, in as long as the slowest of the hosts takes. What does not answer is a fact too."""
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        servers = pool.map(ask_zookeeper, settings.zookeeper_servers)
        seeds = _seed_problems(settings, pool)
        none = (None, (), "no seed answers")
        cluster, daemons, problem = _ask_cluster(settings, pool) if "" in seeds.values() else none
        # Nobody needs to reach a machine that only submits.
        names = sorted({daemon.host for daemon in daemons}) or [settings.advertised_host]
        asked = pool.map(lambda daemon: ask_daemon(daemon, names), daemons)
        return Facts(
            here=_here(settings, names),
            insecure=settings["storm.security.insecure"],
            zookeeper=tuple(servers),
            ports=tuple(port_uses(settings)),
            seeds=seeds,
            port_range=_port_range(),
            cluster=cluster,
            cluster_problem=problem,
            daemons=tuple(asked),
            replicas_wanted=settings["topology.min.replication.count"],
        )


def ask_zookeeper(address: str, clock: Clock = _SYSTEM_CLOCK) -> ZooKeeperServer:
    """By its command `srvr`, the only one that it answers unless told otherwise.

    What listens there may be anything: no more than SAID_BYTES_MAX are read of it, within ANSWER_SECS.
    """
    until = clock.now() + ANSWER_SECS
    said = b""
    try:
        with socket.create_connection(split(address), ANSWER_SECS) as connection:
            connection.sendall(b"srvr")
            while len(said) < SAID_BYTES_MAX and (data := connection.recv(4096)):
                said += data
                if (left := until - clock.now()) <= 0:
                    raise TimeoutError(f"no whole answer within {ANSWER_SECS:g} s")
                connection.settimeout(left)
    except OSError as error:
        return ZooKeeperServer(address, False, problem=error.strerror or str(error))
    text = said.decode(errors="replace")
    mode = re.search(r"^Mode: (\S+)", text, re.MULTILINE)
    if mode is not None:
        return ZooKeeperServer(address, True, mode[1])
    problem = text.strip()[:SHOWN_CHARS] or "it said nothing"
    return ZooKeeperServer(address, True, problem=problem, serves=SERVES_NOBODY not in text)


def ask_daemon(daemon: DaemonFacts, names: Sequence[str]) -> DaemonFacts:
    """The same with its report, or with why there is none."""
    service = "Nimbus" if daemon.role == "Nimbus" else "Supervisor"
    try:
        with ThriftClient(service, daemon.host, daemon.port, REPORT_SECS) as client:
            client.call("getHostReport", [])  # the connection is made, and modules are loaded: now it is quick
            sent = wall_millis()
            quick = client.call("getHostReport", [])
            received = wall_millis()
            report = host_report_from_thrift(client.call("getHostReport", list(names)))
    except NotServedError:
        return replace(daemon, unreachable=Unreachable.OLD_RELEASE, problem="it does not tell of its host")
    except StormError as error:
        why = Unreachable.UNKNOWN_HOST if isinstance(error, UnknownHostError) else Unreachable.NO_ANSWER
        text = str(error).removeprefix(f"{joined(daemon.host, daemon.port)}: ")
        return replace(daemon, unreachable=why, problem=text)
    offset = quick.time_millis - (sent + received) / 2
    return replace(daemon, report=report, offset_secs=offset / 1000, offset_error_secs=(received - sent) / 2000)


def port_uses(settings: Settings) -> Iterator[PortUse]:
    """Each port that the configuration gives to daemons and workers of this host, and who has it."""
    wanted: dict[int, str] = {settings["nimbus.thrift.port"]: "nimbus.thrift.port"}
    wanted[settings["supervisor.thrift.port"]] = "supervisor.thrift.port"
    wanted.update(dict.fromkeys(settings["supervisor.slots.ports"], "supervisor.slots.ports"))
    for setting in DONE_WITHOUT:
        if settings[setting] and (setting != LOGVIEWER_PORT or settings["logviewer.embedded"]):
            wanted.setdefault(settings[setting], setting)
    wanted.pop(0, None)  # any free one
    holders = _holders(set(wanted))
    for port, setting in sorted(wanted.items()):
        if port not in holders:
            yield PortUse(port, setting)
        elif (pid := holders[port]) is None:
            yield PortUse(port, setting, "a process of another user", None)
        else:
            yield PortUse(port, setting, *_described(pid))


def _holders(ports: set[int]) -> Mapping[int, int | None]:
    """{port: the process that listens there, None where this user may not see it}."""
    return {
        port: connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and (port := getattr(connection.laddr, "port", 0)) in ports
    }


def _described(pid: int) -> tuple[str, bool | None]:
    """For people, and whether it is a process of Storm."""
    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return f"process {pid}", None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "storm.worker":
            return f"worker, process {pid}", True
        if word == "storm.cli" or Path(word).name == "storm":
            return f"storm {following}, process {pid}", True
    return f"process {pid} ({' '.join(words)[:60]})", False


def _seed_problems(settings: Settings, pool: ThreadPoolExecutor) -> dict[str, str]:
    seeds, port = settings["nimbus.seeds"], settings["nimbus.thrift.port"]
    return dict(zip(seeds, pool.map(lambda seed: _seed_problem(seed, port), seeds), strict=True))


def _seed_problem(seed: str, port: int) -> str:
    """What is wrong with it; empty: it answers, whether or not it leads."""
    try:
        host, own_port = parse_address(seed, port)
        with ThriftClient("Nimbus", host, own_port, ANSWER_SECS) as client:
            client.call("getLeader")
    except NotLeaderError:
        return ""
    except StormError as error:
        return str(error)
    return ""


def _ask_cluster(
    settings: Settings, pool: ThreadPoolExecutor
) -> tuple[ClusterFacts | None, tuple[DaemonFacts, ...], str]:
    """What the leader sees, the daemons that it knows, and why they are not known."""
    try:
        with connect_nimbus(settings, LEADER_SECS, LEADER_SECS) as nimbus:
            leader = nimbus.call("getLeader")
            summary = nimbus.call("getClusterInfo")
    except StormError as error:
        return None, (), str(error)
    shares = [summary.topologies[first::ASKED_AT_ONCE] for first in range(ASKED_AT_ONCE)]
    found = pool.map(lambda share: _troubles(settings, share), shares)
    troubles = {topology_id: text for told in found for topology_id, text in told.items()}
    drained_ids = {each.supervisor_id for each in summary.drained or []}

    def drained(supervisor: Any) -> str:
        return "it is drained" if supervisor.supervisor_id in drained_ids else ""

    daemons = [DaemonFacts("Nimbus", each.host, each.port, each.version) for each in summary.nimbuses]
    daemons += [DaemonFacts("supervisor", each.host, each.thrift_port, each.version) for each in summary.supervisors]
    cluster = ClusterFacts(
        leader=joined(leader.host, leader.port),
        nimbuses=len(summary.nimbuses),
        supervisors=tuple(
            SupervisorView(each.host, each.supervisor_id, each.num_workers, each.num_used_workers, drained(each))
            for each in summary.supervisors
        ),
        topologies=tuple(TopologyView(each.name, each.status, troubles[each.id]) for each in summary.topologies),
    )
    return cluster, tuple(daemons), ""


def _troubles(settings: Settings, topologies: Sequence[Any]) -> dict[str, str]:
    """{id: trouble}, by a connection of its own: one belongs to one thread."""
    with connect_nimbus(settings, LEADER_SECS, LEADER_SECS) as nimbus:
        return {each.id: _trouble(nimbus, each) for each in topologies}


def _trouble(nimbus: NimbusClient, topology: Any) -> str:
    try:
        failures = nimbus.call("getTopologyPageInfo", topology.id, ":all-time", False).slot_failures or []
    except StormError as error:  # killed meanwhile, or its code is not there
        return topology.sched_status or str(error)
    failing = [f"its worker on {joined(each.host, each.port)} {each.reason}" for each in failures]
    return " ".join(filter(None, [topology.sched_status, "; ".join(failing)]))


def _here(settings: Settings, names: Sequence[str]) -> HostReport:
    paths = (Path(settings["storm.local.dir"]), Path(settings["storm.log.dir"]))
    return host_report(settings.advertised_host, paths, names)


def _port_range() -> tuple[int, int]:
    try:
        first, last = PORT_RANGE.read_text().split()
        return int(first), int(last)
    except (OSError, ValueError):
        return 0, 0
