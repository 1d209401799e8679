"""A whole cluster from one seed: the real cores of all daemons and workers, in virtual time and without threads.

A run has three parts: a start without trouble, a time in which faults and user actions fall where chance puts them, and
a quiet time after which everything must be in order again.
"""

from __future__ import annotations

import json
import logging
import random
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from checks import MESSAGE_TIMEOUT_SECS, Checks
from event_loop import EventLoop
from simulated_machines import NOWHERE, Host
from simulated_network import SimulatedNetwork
from simulated_nimbus import NimbusLink, NimbusPlace
from simulated_topology import Record
from simulated_user import SimulatedUser
from weather import Weather

from storm.blobstore.blob_store import code_key, conf_key
from storm.blobstore.memory import MemoryBlobStore
from storm.cluster.memory import MemoryTree
from storm.cluster.storm_cluster_state import StormClusterState
from storm.config.settings import Settings
from storm.config.topology_conf import effective_conf
from storm.executor.plan import WorkerPlan
from storm.nimbus.options import NimbusOptions
from storm.supervisor.options import SupervisorOptions
from storm.supervisor.slot import SlotLimits
from storm.thrift.topology_convert import topology_from_bytes
from storm.topology.parallelism import task_components
from storm.topology.system_topology import system_topology

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from event_loop import Process
    from simulated_nimbus import NimbusProcess
    from simulated_zookeeper import Session

    from storm.ids import TopologyId
    from storm.worker.launch import Launch

START_SECS = 8.0
STORMY_SECS = (30.0, 70.0)
QUIET_SECS = 100.0
DOWN_SECS_MAX = 12.0

# Times are a fraction of the defaults, so that a run needs few events; their order is the same.
SETTINGS: dict[str, Any] = {
    "topology.message.timeout.secs": MESSAGE_TIMEOUT_SECS,
    "topology.sleep.spout.wait.strategy.time.ms": 500,
    "topology.batch.flush.interval.millis": 50,
    "topology.executor.receive.buffer.size": 6,
    "nimbus.monitor.freq.secs": 3,
    "nimbus.task.timeout.secs": 20,
    "nimbus.task.launch.secs": 25,
    "nimbus.topology.blobstore.deletion.delay.ms": 10_000,
}
LIMITS = SlotLimits(
    start_timeout_secs=12.0,
    heartbeat_timeout_secs=8.0,
    kill_grace_secs=2.0,
    kill_repeat_secs=2.0,
    healthy_secs=15.0,
    back_off_max_secs=8.0,
    download_back_off_max_secs=4.0,
)


@cache
def settings() -> Settings:
    """Of all daemons."""
    return Settings.of(SETTINGS, "the simulation")


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `digest` is of its log."""

    seed: int
    problems: list[str]
    digest: str
    acked: int
    failed: int
    events: int
    story: str


class SimulatedCluster:
    """The parts, and what befalls them."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.events = EventLoop(self.rng)
        self.weather = Weather(self.rng)
        self.settings = settings()
        self.tree = MemoryTree()
        self.blobs = MemoryBlobStore()
        self.network = SimulatedNetwork(self.events, self.weather)
        self.record = Record(self.events.clock, self.rng, self.weather)
        self.checks = Checks(self)
        self.nimbus_options = NimbusOptions.from_settings(self.settings)
        self._plans: dict[tuple[bytes, bytes], tuple[Any, Any, Any]] = {}
        self.far_from_nimbus: set[str] = set()
        StormClusterState(self.tree.session()).prepare()
        self.nimbuses = [NimbusPlace(self, number) for number in range(self.rng.choice((1, 2, 2)))]
        self.hosts = [self._new_host(number) for number in range(self.rng.randint(2, 3))]
        self.user = SimulatedUser(self)

    # The run

    def run(self) -> Outcome:
        """From the start to the checks."""
        self.start()
        self.storm()
        self.calm()
        problems = self.checks.at_the_end()
        events, record = self.events, self.record
        return Outcome(
            self.seed, problems, events.digest(), record.acked, record.failed, len(events.log), events.story()
        )

    def start(self) -> None:
        """All daemons, one topology, no faults."""
        for nimbus in self.nimbuses:
            nimbus.start()
        for host in self.hosts:
            host.start_supervisor()
        self.events.run_for(1.0)
        self.user.submit()
        self.events.run_for(START_SECS)

    def storm(self) -> None:
        """Faults and user actions."""
        self.weather.is_stormy = True
        secs = self.rng.uniform(*STORMY_SECS)
        kinds = self.rng.sample(self._faults(), self.rng.randint(2, 8))
        for _ in range(self.rng.randint(3, 12)):
            fault = self.rng.choice(kinds)
            self.events.after(self.events.soon(secs), f"fault: {fault.__name__}", fault)
        for _ in range(self.rng.randint(2, 7)):
            self.events.after(self.events.soon(secs), "the user acts", self._user_acts)
        self.events.run_for(secs)

    def calm(self) -> None:
        """Everything is repaired; time to settle."""
        self.events.note("the storm is over")
        self.weather.calm()
        self.network.cut_links.clear()
        self.far_from_nimbus.clear()
        for process in self._processes():
            process.slow_secs = 0.0
            process.resume()
        for nimbus in self.nimbuses:
            nimbus.start()
        for host in self.hosts:
            host.start_supervisor()
        self.events.run_for(QUIET_SECS / 4)
        self.user.ensure_work()
        self.events.run_for(QUIET_SECS * 3 / 4)

    # What its parts ask for

    def leader(self) -> NimbusProcess | None:
        """The Nimbus that a client finds."""
        found = [place.process for place in self.nimbuses if place.process is not None and place.process.serves]
        return found[0] if found else None

    def nimbus_link(self, host: str) -> NimbusLink:
        """For a process of this host."""
        return NimbusLink(self, host)

    def worker_plan(self, told: Launch, code: Mapping[TopologyId, Mapping[str, bytes]]) -> WorkerPlan:
        """What a worker reads from its host's disk."""
        blobs = code[told.topology_id]
        stored = (blobs[code_key(told.topology_id)], blobs[conf_key(told.topology_id)])
        if stored not in self._plans:
            conf = effective_conf(self.settings, json.loads(stored[1]))
            topology = system_topology(topology_from_bytes(stored[0]), conf)
            self._plans[stored] = (topology, conf, task_components(topology, conf))
        topology, conf, names = self._plans[stored]
        return WorkerPlan(topology, conf, told.topology_id, told.executors, names, told.port)

    # Faults

    def _faults(self) -> list[Callable[[], None]]:
        return [
            self._worker_dies, self._worker_pauses, self._worker_is_slow, self._supervisor_dies,
            self._supervisor_pauses, self._host_dies, self._nimbus_dies, self._nimbus_pauses, self._session_expires,
            self._session_is_cut, self._zookeeper_is_down, self._link_is_cut, self._host_is_far_from_nimbus,
            self._supervisor_joins, self._host_is_lost, self._supervisor_is_lost, self._ports_change,
            self._disk_is_lost, self._host_is_isolated,
        ]  # fmt: skip

    def _user_acts(self) -> None:
        self.user.act()
        if self.rng.random() < 0.2:  # soon after it asked for something that takes a while
            self.events.after(self.events.soon(3.0), "fault: _nimbus_dies", self._nimbus_dies)

    def _worker_dies(self) -> None:
        self._one_of(self._workers(), lambda process: process.die("SIGKILL"))

    def _worker_pauses(self) -> None:
        self._one_of(self._workers(), self._pause)

    def _worker_is_slow(self) -> None:
        self._one_of(self._workers(), self._slow)

    def _supervisor_dies(self) -> None:
        host = self.rng.choice(self.hosts)
        if host.supervisor is not None:
            host.supervisor.die("SIGKILL")
        self.events.after(self._down_secs(), f"supervisor of {host.name} is started", host.start_supervisor)

    def _supervisor_pauses(self) -> None:
        self._one_of([host.supervisor for host in self.hosts], self._pause)

    def _host_dies(self) -> None:
        host = self.rng.choice(self.hosts)
        host.crash()
        self.events.after(self._down_secs(), f"{host.name} is back", host.start_supervisor)

    def _nimbus_dies(self) -> None:
        place = self.rng.choice(self.nimbuses)
        if place.process is not None:
            place.process.die("SIGKILL")
        self.events.after(self._down_secs(), f"{place.host} is started", place.start)

    def _nimbus_pauses(self) -> None:
        self._one_of([place.process for place in self.nimbuses], self._pause)

    def _session_expires(self) -> None:
        self._one_of(self._processes(), lambda process: self._session(process).expire())

    def _session_is_cut(self) -> None:
        self._one_of(self._processes(), lambda process: self._session(process).cut(self._down_secs()))

    def _zookeeper_is_down(self) -> None:
        self.weather.zookeeper_is_down = True
        self.events.after(self._down_secs(), "ZooKeeper is up", self._zookeeper_is_up)

    def _zookeeper_is_up(self) -> None:
        self.weather.zookeeper_is_down = False

    def _link_is_cut(self) -> None:
        pair = frozenset(host.name for host in self.rng.sample(self.hosts, 2))
        self.network.cut_links.add(pair)
        self.events.after(self._down_secs(), "a link is mended", lambda: self.network.cut_links.discard(pair))

    def _host_is_far_from_nimbus(self) -> None:
        name = self.rng.choice(self.hosts).name
        self.far_from_nimbus.add(name)
        self.events.after(self._down_secs(), f"{name} reaches Nimbus", lambda: self.far_from_nimbus.discard(name))

    def _host_is_isolated(self) -> None:
        """It reaches neither ZooKeeper nor Nimbus; its workers go on, with what they know."""
        host, secs = self.rng.choice(self.hosts), self.rng.uniform(10.0, 30.0)
        self.far_from_nimbus.add(host.name)
        self.events.after(secs, f"{host.name} reaches Nimbus", lambda: self.far_from_nimbus.discard(host.name))
        for process in [host.supervisor, *host.alive()]:
            if process is not None and process.alive:
                process.session.cut(secs)

    def _supervisor_joins(self) -> None:
        if len(self.hosts) < 5:
            host = self._new_host(len(self.hosts))
            self.hosts.append(host)
            host.start_supervisor()

    def _host_is_lost(self) -> None:
        if self._may_lose_one():
            host = self.rng.choice(self.hosts)
            host.is_left = True
            host.crash()

    def _supervisor_is_lost(self) -> None:
        """Its workers run on for as long as they can."""
        host = self.rng.choice(self.hosts)
        if self._may_lose_one() and host.supervisor is not None:
            host.is_left = True
            host.supervisor.die("SIGKILL, for good")

    def _may_lose_one(self) -> bool:
        return sum(not host.is_left for host in self.hosts) > 1

    def _ports_change(self) -> None:
        """A supervisor is started with other ports."""
        host = self.rng.choice(self.hosts)
        if host.supervisor is not None:
            host.supervisor.die("it is to have other ports")
        host.options = replace(host.options, slot_ports=self._ports())
        self.events.after(self._down_secs(), f"supervisor of {host.name} is started", host.start_supervisor)

    def _disk_is_lost(self) -> None:
        """A machine comes back under its old name, with an empty disk."""
        host = self.rng.choice(self.hosts)
        host.crash()
        host.wipe()
        self.events.after(self._down_secs(), f"{host.name} is back", host.start_supervisor)

    def _pause(self, process: Process) -> None:
        process.pause()
        self.events.after(self.rng.uniform(0.5, 30.0), f"{process.name} is let go on", process.resume)

    def _slow(self, process: Process) -> None:
        process.slow_secs = self.rng.uniform(0.1, 1.0)

        def recover() -> None:
            process.slow_secs = 0.0

        self.events.after(self.rng.uniform(2.0, 20.0), f"{process.name} is fast again", recover)

    def _one_of(self, processes: list[Any], befall: Callable[[Any], None]) -> None:
        alive = [process for process in processes if process is not None and process.alive]
        if alive:
            befall(self.rng.choice(alive))

    def _down_secs(self) -> float:
        return self.rng.uniform(0.2, DOWN_SECS_MAX)

    def _new_host(self, number: int) -> Host:
        options = SupervisorOptions(
            NOWHERE, NOWHERE, slot_ports=self._ports(), heartbeat_secs=2.0, sync_secs=4.0, limits=LIMITS
        )
        return Host(self, number, options)

    def _ports(self) -> tuple[int, ...]:
        return tuple(range(6700, 6700 + self.rng.randint(2, 3)))

    def _workers(self) -> list[Process]:
        return [process for host in self.hosts for process in host.alive()]

    def _processes(self) -> list[Process]:
        daemons = [*(place.process for place in self.nimbuses), *(host.supervisor for host in self.hosts)]
        return [*(process for process in daemons if process is not None), *self._workers()]

    @staticmethod
    def _session(process: Any) -> Session:
        return process.session


def simulate(seed: int) -> Outcome:
    """One run."""
    return SimulatedCluster(seed).run()


def simulate_quietly(seed: int) -> Outcome:
    """One run, in a process of a pool: it logs nothing."""
    logging.disable(logging.CRITICAL)
    return simulate(seed)
