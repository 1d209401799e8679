"""The judgement of `storm doctor`: from facts to findings, each with a remedy. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from storm.config.addresses import is_address, is_loopback, joined
from storm.hosts.cluster_facts import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storm.hosts.cluster_facts import DaemonFacts, Facts, PortUse
    from storm.hosts.facts import DiskSpace, HostReport, Resolution

CLOCK_NOTE_SECS = 5.0  # nothing is decided by other hosts' clocks, but people compare times in logs
DISK_NOTE = (1 << 30, 0.05)  # bytes, share of the whole: below both there is a note
DISK_PROBLEM_BYTES = 100 << 20  # a package with its environment, and a log, need more
OPEN_FILES_LEAST = 4096  # connections of a few hundred workers, and what user code opens
RUNS_USERS_CODE = "cloudpickle"
LOGVIEWER_PORT = "logviewer.port"
# {setting of a port: what there is not where another program has it}; topologies run all the same.
DONE_WITHOUT = {
    LOGVIEWER_PORT: "logs of this host cannot be seen in a browser",
    "ui.port": "no UI can run here with this setting",
    "nimbus.metrics.port": "Prometheus can ask no Nimbus here",
    "supervisor.metrics.port": "Prometheus can ask no supervisor here",
}


class Level(Enum):
    """OK: as it should be. NOTE: it works, but somebody should know. PROBLEM: something does not work."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one thing; `remedy` is what to do, empty for OK."""

    area: str
    level: Level
    text: str
    remedy: str = ""


def findings(facts: Facts) -> list[Finding]:
    """Everything that was looked at, area by area."""
    return [
        found
        for check in (zookeeper, nimbus, supervisors, topologies, ports, names, versions, clocks, disks, limits)
        for found in check(facts)
    ]


def zookeeper(facts: Facts) -> Iterator[Finding]:
    say = _Speaker("zookeeper")
    servers = facts.zookeeper
    for server in servers:
        if not server.answers:
            yield say.problem(
                f"{server.address} does not answer: {server.problem}",
                "start ZooKeeper there (for one machine, `storm dev-zookeeper`), or correct storm.zookeeper.servers "
                "and storm.zookeeper.port",
            )
        elif not server.serves:
            yield say.problem(
                f"{server.address} runs, but serves nobody: it has found no leader of its ensemble",
                "look into its log; more than half of the servers of zoo.cfg must run and reach each other's ports "
                "(2888, 3888), and on each host its own name must not lead to 127.0.1.1 (/etc/hosts): servers tell "
                "each other the address that they find for their own name",
            )
        elif not server.mode:
            yield say.note(
                f"{server.address} answers, but does not tell its mode: {server.problem}",
                "let it answer `srvr`: 4lw.commands.whitelist=srvr in its zoo.cfg",
            )
    yield from _ensemble(facts, say)


def _ensemble(facts: Facts, say: _Speaker) -> Iterator[Finding]:
    modes = [server.mode for server in facts.zookeeper if server.mode]
    described = ", ".join(f"{server.address} {server.mode}" for server in facts.zookeeper if server.mode)
    alone = [mode for mode in modes if mode.startswith("standalone")]
    serving = [mode for mode in modes if mode in {"leader", "follower", "observer", *alone}]
    if len(alone) > 1 or (alone and len(modes) > 1):
        yield say.problem(
            f"its servers are no ensemble: {described}",
            "list all servers in each one's zoo.cfg (server.1=..., server.2=...), or name one only in "
            "storm.zookeeper.servers: daemons on different servers would not see each other",
        )
    elif modes and not serving:
        yield say.problem(
            f"no server serves at the moment: {described}",
            "start more than half of the servers that zoo.cfg lists, and look into their logs",
        )
    elif alone == ["standalone-dev"]:
        yield say.note(
            f"{described}: the development server, one process on one machine",
            "in production run an ensemble of three Apache ZooKeeper servers",
        )
    elif alone:
        yield say.note(f"{described}: nothing goes on without it", "in production run three servers, or five")
    elif serving:
        yield say.ok(described)
    if not alone and len(facts.zookeeper) == 2:
        yield say.note(
            "two servers stop together as soon as one is lost, a majority being two", "use one, three or five"
        )


def nimbus(facts: Facts) -> Iterator[Finding]:
    say = _Speaker("nimbus")
    for seed, problem in facts.seeds.items():
        if problem:
            yield (say.problem if facts.cluster is None else say.note)(
                f"nimbus.seeds: {seed} does not answer: {problem}",
                "start `storm nimbus` there, or take the host out of nimbus.seeds",
            )
    cluster = facts.cluster
    if cluster is None:
        if not any(facts.seeds.values()):
            yield say.problem(
                f"no Nimbus leads: {facts.cluster_problem}",
                "look into Nimbus's log; it needs ZooKeeper to be elected",
            )
        return
    yield say.ok(f"{cluster.leader} leads; there {'is' if cluster.nimbuses == 1 else 'are'} {cluster.nimbuses}")
    if facts.replicas_wanted > cluster.nimbuses:
        yield say.note(
            f"topology.min.replication.count is {facts.replicas_wanted} and there are {cluster.nimbuses} Nimbuses: "
            "each submission waits for topology.max.replication.wait.time.sec",
            "start more Nimbuses, or set a smaller count",
        )
    yield from _unreachable(facts, "Nimbus", say)


def _unreachable(facts: Facts, role: str, say: _Speaker) -> Iterator[Finding]:
    for daemon in facts.daemons:
        if daemon.role == role and daemon.report is None:
            where = joined(daemon.host, daemon.port)
            if daemon.unreachable is Unreachable.UNKNOWN_HOST:
                remedy = _name_remedy(daemon.host)
            elif daemon.unreachable is Unreachable.OLD_RELEASE:
                remedy = "upgrade it: its release is older than this command's"
            else:
                remedy = f"open the port in the firewall between this host and that one, or look whether {role} runs"
            yield say.problem(f"{_name(daemon)} at {where} cannot be asked from here: {daemon.problem}", remedy)


def supervisors(facts: Facts) -> Iterator[Finding]:
    say = _Speaker("supervisors")
    if facts.cluster is None:
        return
    there = facts.cluster.supervisors
    if not there:
        yield say.problem(
            "Nimbus sees none: no topology can run",
            "start `storm supervisor` on the hosts that shall run workers, with the same storm.zookeeper.servers and "
            "storm.zookeeper.root as Nimbus",
        )
        return
    slots, used = sum(one.slots for one in there), sum(one.used for one in there)
    count = f"{len(there)} supervisor{'s' if len(there) > 1 else ''}, {used} of {slots} slots used"
    if used >= slots:
        yield say.note(f"{count}: no further worker can start", "start more supervisors, or give them more ports")
    else:
        yield say.ok(count)
    for one in there:
        if one.trouble:
            yield say.note(f"{one.host}: {one.trouble}", "`storm hosts` shows all of them")
    yield from _unreachable(facts, "supervisor", say)
    for daemon in facts.daemons:
        if daemon.report is not None and daemon.report.illness:
            yield say.problem(
                f"{_name(daemon)} is ill: {daemon.report.illness}",
                "repair what its health script complains of; `storm node-health-check` there runs the scripts",
            )


def topologies(facts: Facts) -> Iterator[Finding]:
    say = _Speaker("topologies")
    for one in facts.cluster.topologies if facts.cluster is not None else ():
        if one.trouble:
            yield say.problem(f"{one.name} ({one.status}): {one.trouble}", f"`storm status {one.name}` shows more")
        else:
            yield say.ok(f"{one.name} ({one.status})")


def ports(facts: Facts) -> Iterator[Finding]:
    say = _Speaker("ports")
    first, last = facts.port_range
    for use in facts.ports:
        if use.holder and not use.is_storm:
            yield _taken(use, say)
        if use.setting == "supervisor.slots.ports" and first <= use.port <= last:
            yield say.note(
                f"port {use.port} of supervisor.slots.ports may be taken by any outgoing connection of this host",
                f"use ports below {first}, or reserve it: sysctl net.ipv4.ip_local_reserved_ports={use.port}",
            )
    held = [f"{use.port} ({use.holder})" for use in facts.ports if use.holder and use.is_storm]
    free = [str(use.port) for use in facts.ports if not use.holder]
    if free:
        yield say.ok(f"free here: {', '.join(free)}")
    if held:
        yield say.ok(f"Storm's own here: {', '.join(held)}")


def _taken(use: PortUse, say: _Speaker) -> Finding:
    text = f"port {use.port} of {use.setting} is taken here by {use.holder}"
    if use.is_storm is None:
        return say.note(text, "run this as root or as the daemons' user to see who it is")
    remedy = f"end that process, or set another port in {use.setting}"
    if use.setting in DONE_WITHOUT:
        everywhere = ", on every host" if use.setting == LOGVIEWER_PORT else ""
        return say.note(f"{text}: {DONE_WITHOUT[use.setting]}", remedy + everywhere)
    return say.problem(text, remedy)


def names(facts: Facts) -> Iterator[Finding]:
    """Each host must resolve every other one's name, to an address that leads there."""
    say = _Speaker("names")
    told: dict[tuple[Level, str, str], list[str]] = {}
    for who, report in _reports(facts):
        for name, found in report.resolutions.items():
            trouble = None if is_address(name) else _name_trouble(report.host, name, found)
            if trouble is not None:
                told.setdefault(trouble, []).append(who)
    for (level, text, remedy), whose in told.items():
        yield Finding("names", level, f"{', '.join(dict.fromkeys(whose))}: {text}", remedy)
    asked = {name for _, report in _reports(facts) for name in report.resolutions if not is_address(name)}
    if asked and not told:
        yield say.ok(f"every host resolves {', '.join(sorted(asked))}, both ways")


def _name_trouble(host: str, name: str, found: Resolution) -> tuple[Level, str, str] | None:
    """What is wrong with how `host` resolves `name`: its level, a sentence, and what to do."""
    to = ", ".join(found.addresses)
    if not found.addresses:
        return Level.PROBLEM, f"{name} does not resolve", _name_remedy(name)
    on_loopback = [is_loopback(address) for address in found.addresses]
    if name != "localhost" and name != host and all(on_loopback):
        return (
            Level.PROBLEM,
            f"{name}, another host, resolves to {to}, the same host",
            f"correct {name} in /etc/hosts or DNS there, or set storm.local.hostname on {name} to its address",
        )
    if any(on_loopback) or _leads_back(name, found.names):
        return None
    if found.is_back_late:
        return (
            Level.NOTE,
            f"{name} resolves to {to}, and the resolver takes long to tell what that leads back to",
            f"nothing in Storm needs that; to spare others the wait, set {name}'s reverse entry in DNS or /etc/hosts",
        )
    return (
        Level.NOTE,
        f"{name} resolves to {to}, which leads back to {', '.join(found.names) or 'no name'}",
        f"nothing in Storm needs that; for logs of others, set the reverse entry of {name} in DNS or /etc/hosts",
    )


def _leads_back(name: str, names: tuple[str, ...]) -> bool:
    short = name.split(".")[0].lower()
    return any(each.split(".")[0].lower() == short for each in names)


def _name_remedy(name: str) -> str:
    return (
        f"set storm.local.hostname on {name} to a name or an IP address that every host reaches it by, or add {name} "
        "to DNS or to /etc/hosts of every host; then restart its daemons"
    )


def versions(facts: Facts) -> Iterator[Finding]:
    """Pickled components and frames go from host to host."""
    say = _Speaker("versions")
    reports = list(_reports(facts))
    minors = _grouped(reports, lambda report: ".".join(report.python.split(".")[:2]))
    if len(minors) > 1:
        yield say.problem(
            f"hosts run different Pythons: {_listed(minors)}",
            "install the same Python (major and minor) everywhere, also where topologies are submitted: pickled "
            "components of one cannot be relied on in another",
        )
    modes = _grouped(reports, lambda report: report.hot_path.split(" ")[0])
    if len(modes) > 1:
        yield say.note(
            f"not every host runs the compiled hot path: {_listed(modes)}",
            "install the package with a C compiler there, or a wheel that was built on such a host "
            "(docs/operations.md, Compiled or interpreted)",
        )
    for library in sorted({name for _, report in reports for name in report.versions}):
        found = _grouped(reports, partial(_version_of, library))
        if len(found) > 1:
            yield say.note(f"hosts have different versions of {library}: {_listed(found)}", _version_remedy(library))
    if len(minors) == 1:
        yield say.ok(f"Python {next(iter(minors))} and Storm {facts.here.versions.get('storm-cluster')} here")


def _version_of(library: str, report: HostReport) -> str:
    return report.versions.get(library, "not installed")


def _version_remedy(library: str) -> str:
    if library == "storm-cluster":
        return "releases next to each other work together; finish the upgrade (docs/operations.md, Upgrade in place)"
    if library == RUNS_USERS_CODE:
        return "install the same one everywhere: it writes the components that workers read"
    return "install the same one everywhere, so that all hosts behave alike"


def clocks(facts: Facts) -> Iterator[Finding]:
    say = _Speaker("clocks")
    far = [daemon for daemon in facts.daemons if daemon.report is not None and _is_far(daemon)]
    for daemon in far:
        ahead = "ahead of" if daemon.offset_secs > 0 else "behind"
        yield say.note(
            f"the clock of {_name(daemon)} is {abs(daemon.offset_secs):.0f} s {ahead} this host's",
            "run NTP (chrony, systemd-timesyncd) on every host: Storm compares no clocks, but uptimes and times in "
            "logs are wrong",
        )
    compared = [daemon for daemon in facts.daemons if daemon.report is not None]
    if compared and not far:
        yield say.ok(f"those of {len(compared)} daemons agree with this host's within {CLOCK_NOTE_SECS:.0f} s")


def _is_far(daemon: DaemonFacts) -> bool:
    return abs(daemon.offset_secs) - daemon.offset_error_secs > CLOCK_NOTE_SECS


def disks(facts: Facts) -> Iterator[Finding]:
    """Where daemons of this host tell of their disks, this command's view, of another user, says nothing more."""
    say = _Speaker("disks")
    hosts = {daemon.host for daemon in facts.daemons}
    told = {daemon.report.host for daemon in facts.daemons if daemon.report is not None}
    seen = set()
    for who, report in _reports(facts):
        if report is facts.here and report.host in told:
            continue
        for disk in report.disks:
            if (report.host, disk) in seen:
                continue
            seen.add((report.host, disk))
            found = _disk_finding(who, disk, say)
            if report is facts.here and facts.cluster is not None and report.host not in hosts:
                yield _only_for_a_daemon(found, say)
            else:
                yield found


def _only_for_a_daemon(found: Finding, say: _Speaker) -> Finding:
    """Of a machine that is none of the cluster's hosts: it only submits, or is to become one."""
    return say.note(found.text, f"if a daemon is to run here: {found.remedy}") if found.remedy else found


def _disk_finding(who: str, disk: DiskSpace, say: _Speaker) -> Finding:
    if disk.why_not:
        return say.problem(
            f"{who}: {disk.path} cannot be used: {disk.why_not}",
            "make it a directory that the daemons' user can write, or set another storm.local.dir or storm.log.dir",
        )
    free = f"{who}: {disk.path} has {disk.free_bytes / 1e9:.1f} of {disk.total_bytes / 1e9:.1f} GB free"
    if disk.free_bytes < DISK_PROBLEM_BYTES:
        return say.problem(free, "make room: new workers and new code are refused")
    if disk.free_bytes < DISK_NOTE[0] or disk.free_bytes < disk.total_bytes * DISK_NOTE[1]:
        return say.note(free, "make room before it is full")
    return say.ok(free)


def limits(facts: Facts) -> Iterator[Finding]:
    say = _Speaker("limits")
    for daemon in facts.daemons:
        report = daemon.report
        if report is not None and 0 < report.open_files_max < OPEN_FILES_LEAST:
            yield say.note(
                f"{_name(daemon)} and what it starts may have {report.open_files_max} files and connections open",
                "set LimitNOFILE=65536 in its systemd unit (conf/systemd has one), or `ulimit -n 65536` before it",
            )
    if facts.cluster is not None and not facts.insecure and len({one.host for one in facts.daemons}) > 1:
        yield say.problem(
            "storm.security.insecure is false here, so daemons of this host listen on loopback only, and there are "
            "others",
            "write storm.security.insecure: true on every host, in a network that you trust",
        )


def _name(daemon: DaemonFacts) -> str:
    return f"{daemon.role} on {daemon.host}"


def _reports(facts: Facts) -> Iterator[tuple[str, HostReport]]:
    yield "this host", facts.here
    for daemon in facts.daemons:
        if daemon.report is not None:
            yield _name(daemon), daemon.report


def _grouped(reports: list[tuple[str, HostReport]], key: Callable[[HostReport], str]) -> dict[str, list[str]]:
    """{what it is: who has it}."""
    found: dict[str, list[str]] = {}
    for who, report in reports:
        found.setdefault(key(report), []).append(who)
    return found


def _listed(groups: dict[str, list[str]]) -> str:
    return "; ".join(f"{what} ({', '.join(dict.fromkeys(who))})" for what, who in sorted(groups.items()))


class _Speaker:
    """Makes findings of one area."""

    def __init__(self, area: str) -> None:
        self._area = area

    def ok(self, text: str) -> Finding:
        return Finding(self._area, Level.OK, text)

    def note(self, text: str, remedy: str) -> Finding:
        return Finding(self._area, Level.NOTE, text, remedy)

    def problem(self, text: str, remedy: str) -> Finding:
        return Finding(self._area, Level.PROBLEM, text, remedy)
