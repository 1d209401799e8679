"""Ports of the daemons: Nimbus and Supervisor in a cluster of real processes, and the development ZooKeeper."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from cluster_site import QUICK, ClusterSite, start_site
from mutator import mutated_messages
from surface import Neighbour, Surface
from zookeeper_servers import ZooKeeperProcess, start_embedded

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

    from neighbour import Sample

TICK_MS = 200  # so that the sessions that cases open end within 4 s


class ThriftSurface(Surface):
    """The Thrift port of one daemon of a cluster that runs nothing."""

    daemon = ""

    def start(self, directory: Path) -> None:
        self.site: ClusterSite = start_site(directory, "embedded", ("a",), QUICK)
        self.closing.callback(self.site.close)
        self.ports = (self.port,)
        self._neighbour = self.closing.enter_context(closing(Neighbour(self.name, self.port, directory)))

    @property
    def port(self) -> int:
        raise NotImplementedError

    def processes(self) -> dict[str, int]:
        daemons = [daemon for daemon in self.site.daemons if daemon.is_running]
        return {daemon.name: daemon.pid for daemon in daemons if daemon.name.startswith(self.daemon)}

    def samples(self) -> list[Sample]:
        return self._neighbour.samples()

    def change(self, data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
        return mutated_messages(data, rng, seeds)


class ThriftNimbus(ThriftSurface):
    name = "thrift-nimbus"
    about = "Nimbus's Thrift port"
    daemon = "nimbus"

    @property
    def port(self) -> int:
        return int(self.site.settings["nimbus.thrift.port"])


class ThriftSupervisor(ThriftSurface):
    name = "thrift-supervisor"
    about = "a supervisor's Thrift port"
    daemon = "supervisor"

    @property
    def port(self) -> int:
        return int(self.site.supervisors["a"].settings["supervisor.thrift.port"])


class ZooKeeper(Surface):
    name = "zookeeper"
    about = "the development ZooKeeper's port"

    def start(self, directory: Path) -> None:
        self._server: ZooKeeperProcess = start_embedded(directory, tick_ms=TICK_MS)
        self.closing.callback(self._server.stop)
        self.ports = (self._server.port,)
        self._neighbour = self.closing.enter_context(closing(Neighbour(self.name, self._server.port, directory)))

    def processes(self) -> dict[str, int]:
        return {"zookeeper": self._server.pid}

    def samples(self) -> list[Sample]:
        return self._neighbour.samples()

    def change(self, data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
        return mutated_messages(data, rng, seeds)
