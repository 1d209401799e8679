"""Against sockets of this process; a whole cluster is asked in integration/cluster/test_hosts.py."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from storm.cli import doctor_facts
from storm.cli.doctor_facts import ask_daemon, ask_zookeeper, gather, port_uses
from storm.config.settings import Settings
from storm.hosts.cluster_facts import DaemonFacts, Unreachable
from storm.hosts.report import host_report
from storm.testing.simulated_clock import SimulatedClock
from storm.thrift.host_convert import host_report_to_thrift
from storm.thrift.interface import storm_thrift
from storm.thrift.server import ThriftServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storm.thrift.interface import Struct


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def answering(listening: socket.socket, answer: bytes) -> str:
    """The address where one client is told this."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(4)
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{listening.getsockname()[1]}"


def talking(listening: socket.socket) -> str:
    """The address where one client is told "x" until it has had enough."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            while True:
                connection.sendall(b"x")

    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{listening.getsockname()[1]}"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def test_zookeeper_tells_its_mode(listener: socket.socket) -> None:
    found = ask_zookeeper(answering(listener, b"Zookeeper version: 3.8.0\nMode: follower\nNode count: 5\n"))
    assert (found.answers, found.mode, found.problem) == (True, "follower", "")


def test_zookeeper_that_may_not_tell_says_so(listener: socket.socket) -> None:
    found = ask_zookeeper(answering(listener, b"srvr is not executed because it is not in the whitelist.\n"))
    assert (found.answers, found.mode) == (True, "")
    assert "whitelist" in found.problem
    assert found.serves


def test_zookeeper_whose_ensemble_has_no_leader_serves_nobody(listener: socket.socket) -> None:
    found = ask_zookeeper(answering(listener, b"This ZooKeeper instance is not currently serving requests\n"))
    assert (found.answers, found.mode, found.serves) == (True, "", False)


def test_what_never_stops_talking_is_heard_out_by_bytes_or_by_time(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ask_zookeeper(talking(listener), SimulatedClock())
    assert (found.answers, found.problem) == (True, "x" * doctor_facts.SHOWN_CHARS)

    class Running(SimulatedClock):
        def now(self) -> float:
            self.advance(1)
            return super().now()

    monkeypatch.setattr(doctor_facts, "SAID_BYTES_MAX", 1 << 60)
    found = ask_zookeeper(talking(listener), Running())
    assert (found.answers, found.problem) == (False, "no whole answer within 3 s")


def test_nobody_is_there() -> None:
    port = closed_port()
    assert ask_zookeeper(f"127.0.0.1:{port}").problem == "Connection refused"
    assert ask_zookeeper(f"127.0.0.1:{port}").answers is False
    found = ask_daemon(DaemonFacts("supervisor", "127.0.0.1", port, "0.1.0"), [])
    assert (found.unreachable, found.problem) == (Unreachable.NO_ANSWER, "nothing listens there")


def test_a_name_that_does_not_resolve_is_told_apart() -> None:
    found = ask_daemon(DaemonFacts("supervisor", "no such name.invalid", 6628, "0.1.0"), [])
    assert found.unreachable is Unreachable.UNKNOWN_HOST


class Reporting:
    """A supervisor of which this is all there is."""

    def getHostReport(self, names: list[str]) -> Struct:
        return host_report_to_thrift(host_report("h1", names=names))


@pytest.mark.parametrize("is_old", [False, True])
def test_a_daemon_tells_of_its_host_if_its_release_can(is_old: bool) -> None:
    server = ThriftServer("Supervisor", object() if is_old else Reporting(), host="127.0.0.1", port=0)
    server.start()
    try:
        found = ask_daemon(DaemonFacts("supervisor", "127.0.0.1", server.port, "0.1.0"), ["127.0.0.1"])
    finally:
        server.stop()
    if is_old:
        assert (found.report, found.unreachable) == (None, Unreachable.OLD_RELEASE)
    else:
        assert found.report is not None
        assert found.report.resolutions.keys() == {"127.0.0.1"}
        assert abs(found.offset_secs) <= found.offset_error_secs + 0.001


def test_who_has_a_port_is_told(listener: socket.socket) -> None:
    taken, free = listener.getsockname()[1], closed_port()
    ports = {"supervisor.slots.ports": [taken, free], "supervisor.thrift.port": 0, "logviewer.port": 1}
    settings = Settings.of(ports)
    uses = {use.port: use for use in port_uses(settings)}
    assert (uses[free].holder, uses[taken].setting) == ("", "supervisor.slots.ports")
    assert uses[taken].holder.startswith("process ")
    assert 0 not in uses
    assert uses[1].setting == "logviewer.port"
    beside = {"ui.port", "nimbus.metrics.port", "supervisor.metrics.port"}
    assert beside < {use.setting for use in uses.values()}
    without = Settings.of({**ports, "logviewer.embedded": False, "nimbus.metrics.port": None})
    assert not {"logviewer.port", "nimbus.metrics.port"} & {use.setting for use in port_uses(without)}


class Leading:
    """A Nimbus that leads, with more topologies than are asked for at once; each has a worker that died."""

    port = 0

    def getLeader(self) -> Struct:
        return storm_thrift().NimbusSummary(
            host="127.0.0.1", port=self.port, uptime_secs=1, isLeader=True, version="0.1.0", is_answering=True
        )

    def getClusterInfo(self) -> Struct:
        t = storm_thrift()
        counts = dict.fromkeys(("num_tasks", "num_executors", "num_workers", "uptime_secs"), 1)
        topologies = [
            t.TopologySummary(id=f"w{number}-1-1", name=f"w{number}", status="ACTIVE", **counts)
            for number in range(2 * doctor_facts.ASKED_AT_ONCE + 1)
        ]
        return t.ClusterSummary(supervisors=[], topologies=topologies, nimbuses=[])

    def getTopologyPageInfo(self, id: str, window: str, is_include_sys: bool) -> Struct:
        t = storm_thrift()
        died = t.SlotFailure(
            supervisor_id="a",
            host="h",
            port=6700,
            state="backing-off",
            deaths=2,
            reason=f"died of {id}",
            last_lines="",
            time_secs=1,
        )
        return t.TopologyPageInfo(id=id, slot_failures=[died])


def test_every_topology_is_asked_for_and_has_its_own_trouble(tmp_path: Path) -> None:
    nimbus = Leading()
    server = ThriftServer("Nimbus", nimbus, host="127.0.0.1", port=0)
    server.start()
    nimbus.port = server.port
    try:
        facts = gather(
            Settings.of(
                {
                    "storm.local.dir": str(tmp_path),
                    "storm.zookeeper.servers": ["127.0.0.1"],
                    "storm.zookeeper.port": closed_port(),
                    "nimbus.seeds": [f"127.0.0.1:{server.port}", f"127.0.0.1:{closed_port()}"],
                }
            )
        )
    finally:
        server.stop()
    assert [not problem for problem in facts.seeds.values()] == [True, False]
    assert facts.cluster is not None
    names = [f"w{number}" for number in range(2 * doctor_facts.ASKED_AT_ONCE + 1)]
    assert [(one.name, one.trouble) for one in facts.cluster.topologies] == [
        (name, f"its worker on h:6700 died of {name}-1-1") for name in names
    ]


def test_without_any_cluster_there_are_facts_all_the_same(tmp_path: Path) -> None:
    settings = Settings.of(
        {
            "storm.local.dir": str(tmp_path),
            "storm.zookeeper.servers": ["127.0.0.1"],
            "storm.zookeeper.port": closed_port(),
            "nimbus.seeds": ["127.0.0.1"],
            "nimbus.thrift.port": closed_port(),
        }
    )
    facts = gather(settings)
    assert facts.cluster is None
    assert "nothing listens there" in facts.seeds["127.0.0.1"]
    assert [server.answers for server in facts.zookeeper] == [False]
    assert [disk.path for disk in facts.here.disks] == [str(tmp_path), str(tmp_path / "logs")]
