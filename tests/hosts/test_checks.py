"""Each thing that can be wrong is found, with what to do; where nothing is wrong, nothing is said against it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from storm.hosts.checks import Finding, Level, findings
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
from storm.hosts.facts import DiskSpace, HostReport, Resolution

GB = 10**9
HOSTS = ("h1", "h2", "h3")


def resolutions(**other: Resolution) -> dict[str, Resolution]:
    return {**{host: Resolution((f"10.0.0.{host[1]}",), (f"{host}.example.org",)) for host in HOSTS}, **other}


def report(host: str, **other: Any) -> HostReport:
    usual: dict[str, Any] = {
        "versions": {"storm-cluster": "0.1.0", "cloudpickle": "3.1.0"},
        "hot_path": "compiled",
        "disks": (DiskSpace("/var/lib/storm", 50 * GB, 100 * GB),),
        "open_files_max": 65_536,
        "resolutions": resolutions(),
    }
    return HostReport(host, 1_700_000_000_000, "3.11.2", **{**usual, **other})


def supervisor(host: str, **other: Any) -> DaemonFacts:
    return replace(DaemonFacts("supervisor", host, 6628, "0.1.0", report(host)), **other)


HEALTHY = Facts(
    here=report("h1"),
    insecure=True,
    zookeeper=(ZooKeeperServer("z1:2181", True, "leader"), ZooKeeperServer("z2:2181", True, "follower"),
               ZooKeeperServer("z3:2181", True, "follower")),
    ports=(PortUse(6627, "nimbus.thrift.port", "storm nimbus, process 5", True),
           PortUse(6700, "supervisor.slots.ports")),
    seeds={"h1": ""},
    port_range=(32_768, 60_999),
    cluster=ClusterFacts(
        "h1:6627", 1,
        tuple(SupervisorView(host, f"id-{host}", 4, 1) for host in HOSTS),
        (TopologyView("words", "ACTIVE"),),
    ),
    daemons=(DaemonFacts("Nimbus", "h1", 6627, "0.1.0", report("h1")), *(supervisor(host) for host in HOSTS)),
)  # fmt: skip


def wrong(facts: Facts) -> list[Finding]:
    return [found for found in findings(facts) if found.level is not Level.OK]


def with_supervisor(**other: Any) -> Facts:
    """h3's supervisor is different."""
    return replace(HEALTHY, daemons=(*HEALTHY.daemons[:-1], supervisor("h3", **other)))


def with_report(**other: Any) -> Facts:
    return with_supervisor(report=report("h3", **other))


def test_a_healthy_cluster_has_a_line_for_each_area_and_nothing_against_it() -> None:
    assert wrong(HEALTHY) == []
    assert {found.area for found in findings(HEALTHY)} == {
        "zookeeper", "nimbus", "supervisors", "topologies", "ports", "names", "versions", "clocks", "disks",
    }  # fmt: skip


ZK = "zookeeper"
CLUSTER = HEALTHY.cluster
assert CLUSTER is not None
CASES: dict[str, tuple[Facts, Level, str, str]] = {  # what is so: (facts, level, part of the text, part of the remedy)
    "a ZooKeeper server is down": (
        replace(HEALTHY, zookeeper=(*HEALTHY.zookeeper[:2], ZooKeeperServer("z3:2181", False, problem="refused"))),
        Level.PROBLEM, "z3:2181 does not answer: refused", "storm.zookeeper.servers",
    ),
    "a server does not tell its mode": (
        replace(HEALTHY, zookeeper=(*HEALTHY.zookeeper[:2], ZooKeeperServer("z3:2181", True, problem="not listed"))),
        Level.NOTE, "not listed", "4lw.commands.whitelist",
    ),
    "a server has found no leader": (
        replace(HEALTHY, zookeeper=(*HEALTHY.zookeeper[:2], ZooKeeperServer("z3:2181", True, serves=False))),
        Level.PROBLEM, "z3:2181 runs, but serves nobody", "127.0.1.1",
    ),
    "servers are no ensemble": (
        replace(HEALTHY, zookeeper=tuple(ZooKeeperServer(f"z{n}:2181", True, "standalone") for n in (1, 2))),
        Level.PROBLEM, "no ensemble", "zoo.cfg",
    ),
    "the development server": (
        replace(HEALTHY, zookeeper=(ZooKeeperServer("z1:2181", True, "standalone-dev"),)),
        Level.NOTE, "development", "ensemble of three",
    ),
    "one server alone": (
        replace(HEALTHY, zookeeper=(ZooKeeperServer("z1:2181", True, "standalone"),)),
        Level.NOTE, "nothing goes on without it", "three servers",
    ),
    "two servers": (replace(HEALTHY, zookeeper=HEALTHY.zookeeper[:2]), Level.NOTE, "a majority being two", "three"),
    "a seed is down": (
        replace(HEALTHY, seeds={"h1": "", "h2": "nothing listens there"}),
        Level.NOTE, "h2 does not answer", "nimbus.seeds",
    ),
    "no seed answers": (
        replace(HEALTHY, seeds={"h1": "nothing listens there"}, cluster=None, daemons=()),
        Level.PROBLEM, "nothing listens there", "storm nimbus",
    ),
    "nobody leads": (
        replace(HEALTHY, cluster=None, daemons=(), cluster_problem="no leader"), Level.PROBLEM, "no leader", "log",
    ),
    "more replicas wanted than there are Nimbuses": (
        replace(HEALTHY, replicas_wanted=2), Level.NOTE, "topology.min.replication.count is 2", "more Nimbuses",
    ),
    "no supervisor": (
        replace(HEALTHY, cluster=replace(CLUSTER, supervisors=()), daemons=()),
        Level.PROBLEM, "no topology can run", "storm supervisor",
    ),
    "no slot is free": (
        replace(HEALTHY, cluster=replace(CLUSTER, supervisors=(SupervisorView("h1", "i", 4, 4),))),
        Level.NOTE, "4 of 4 slots", "more",
    ),
    "a supervisor in trouble": (
        replace(HEALTHY, cluster=replace(CLUSTER, supervisors=(SupervisorView("h1", "i", 4, 1, "it is drained"),))),
        Level.NOTE, "h1: it is drained", "storm hosts",
    ),
    "a supervisor behind a firewall": (
        with_supervisor(report=None, unreachable=Unreachable.NO_ANSWER, problem="no connection within 3 s"),
        Level.PROBLEM, "supervisor on h3 at h3:6628 cannot be asked", "firewall",
    ),
    "a supervisor whose name does not resolve here": (
        with_supervisor(report=None, unreachable=Unreachable.UNKNOWN_HOST, problem="what the resolver says"),
        Level.PROBLEM, "what the resolver says", "storm.local.hostname",
    ),
    "a supervisor of an older release": (
        with_supervisor(report=None, unreachable=Unreachable.OLD_RELEASE, problem="it tells nothing"),
        Level.PROBLEM, "it tells nothing", "upgrade",
    ),
    "an ill supervisor": (with_report(illness="disk.sh: ERROR sda"), Level.PROBLEM, "ERROR sda", "node-health-check"),
    "a topology without slots": (
        replace(HEALTHY, cluster=replace(CLUSTER, topologies=(TopologyView("w", "ACTIVE", "Not scheduled"),))),
        Level.PROBLEM, "Not scheduled", "storm status w",
    ),
    "a port that another program has": (
        replace(HEALTHY, ports=(PortUse(6700, "supervisor.slots.ports", "process 7 (nginx)", False),)),
        Level.PROBLEM, "6700 of supervisor.slots.ports is taken here by process 7 (nginx)", "another port",
    ),
    "a log viewer's port that another program has": (
        replace(HEALTHY, ports=(PortUse(8000, "logviewer.port", "process 7 (nginx)", False),)),
        Level.NOTE, "process 7 (nginx): logs of this host cannot be seen", "on every host",
    ),
    "a UI's port that another program has": (
        replace(HEALTHY, ports=(PortUse(8080, "ui.port", "process 7 (nginx)", False),)),
        Level.NOTE, "process 7 (nginx): no UI can run here", "another port in ui.port",
    ),
    "a port that somebody has": (
        replace(HEALTHY, ports=(PortUse(6700, "supervisor.slots.ports", "a process of another user", None),)),
        Level.NOTE, "another user", "root",
    ),
    "a slot's port in the range of outgoing connections": (
        replace(HEALTHY, ports=(PortUse(40_000, "supervisor.slots.ports"),)),
        Level.NOTE, "outgoing", "ip_local_reserved_ports=40000",
    ),
    "a name that one host does not resolve": (
        with_report(resolutions=resolutions(h2=Resolution())),
        Level.PROBLEM, "supervisor on h3: h2 does not resolve", "storm.local.hostname on h2",
    ),
    "a name that leads a host to itself": (
        with_report(resolutions=resolutions(h1=Resolution(("127.0.1.1",), ("h1",)))),
        Level.PROBLEM, "h1, another host, resolves to 127.0.1.1", "/etc/hosts",
    ),
    "a name without a way back": (
        with_report(resolutions=resolutions(h1=Resolution(("10.0.0.1",), ("other",)))),
        Level.NOTE, "leads back to other", "reverse",
    ),
    "a way back that the resolver does not tell in time": (
        with_report(resolutions=resolutions(h1=Resolution(("10.0.0.1",), (), is_back_late=True))),
        Level.NOTE, "supervisor on h3: h1 resolves to 10.0.0.1, and the resolver takes long", "reverse",
    ),
    "a disk of a machine that only submits": (
        replace(HEALTHY, here=report("laptop", disks=(DiskSpace("/var/lib/storm", why_not="denied"),))),
        Level.NOTE, "this host: /var/lib/storm cannot be used: denied", "if a daemon is to run here",
    ),
    "another Python": (
        with_supervisor(report=replace(report("h3"), python="3.12.1")),
        Level.PROBLEM, "3.11 (this host, Nimbus on h1", "same Python",
    ),
    "another release": (
        with_report(versions={"storm-cluster": "0.2.0", "cloudpickle": "3.1.0"}),
        Level.NOTE, "storm-cluster", "upgrade",
    ),
    "another library": (
        with_report(versions={"storm-cluster": "0.1.0"}), Level.NOTE, "not installed (supervisor on h3)", "everywhere",
    ),
    "not compiled": (
        with_report(hot_path="interpreted (no compiler)"), Level.NOTE, "interpreted (supervisor on h3)", "compiler",
    ),
    "a clock that is behind": (
        with_supervisor(offset_secs=-61.0, offset_error_secs=0.1), Level.NOTE, "61 s behind", "NTP",
    ),
    "a disk that is nearly full": (
        with_report(disks=(DiskSpace("/d", GB, 100 * GB),)), Level.NOTE, "/d has 1.0", "room",
    ),
    "a full disk": (with_report(disks=(DiskSpace("/d", 0, 100 * GB),)), Level.PROBLEM, "/d has 0.0", "room"),
    "a directory that cannot be written": (
        with_report(disks=(DiskSpace("/d", why_not="denied"),)),
        Level.PROBLEM, "/d cannot be used: denied", "storm.local.dir",
    ),
    "few files": (with_report(open_files_max=1024), Level.NOTE, "1024 files", "LimitNOFILE"),
    "listening on loopback only": (replace(HEALTHY, insecure=False), Level.PROBLEM, "loopback only", "trust"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
def test_what_is_wrong_is_the_only_thing_that_is_found(case: str) -> None:
    facts, level, text, remedy = CASES[case]
    [found] = wrong(facts)
    assert found.level is level
    assert text in found.text
    assert remedy in found.remedy


def test_who_asks_as_another_user_than_the_daemons_is_told_of_their_disks() -> None:
    asked_by_root = replace(HEALTHY, here=report("h1", disks=(DiskSpace("/var/lib/storm", why_not="denied"),)))
    assert wrong(asked_by_root) == []


@pytest.mark.parametrize("change", [{"cluster": None, "daemons": ()}, {"daemons": (supervisor("h1", report=None),)}])
def test_where_no_daemon_of_this_host_tells_of_its_disks_this_command_does(change: dict[str, Any]) -> None:
    facts = replace(HEALTHY, here=report("h1", disks=(DiskSpace("/d", why_not="denied"),)), **change)
    assert (Level.PROBLEM, "this host: /d cannot be used: denied") in [(one.level, one.text) for one in wrong(facts)]


def test_a_clock_is_not_blamed_for_a_slow_answer() -> None:
    assert wrong(with_supervisor(offset_secs=7.0, offset_error_secs=3.0)) == []


def test_a_name_that_many_hosts_do_not_resolve_is_told_once() -> None:
    facts = replace(
        HEALTHY, daemons=tuple(supervisor(host, report=report(host, resolutions={"x": Resolution()})) for host in HOSTS)
    )
    [found] = wrong(facts)
    assert found.text == "supervisor on h1, supervisor on h2, supervisor on h3: x does not resolve"


def test_one_host_that_resolves_itself_to_loopback_is_well() -> None:
    """Debian puts a host's own name at 127.0.1.1."""
    assert wrong(with_report(resolutions=resolutions(h3=Resolution(("127.0.1.1",), ("h3",))))) == []
