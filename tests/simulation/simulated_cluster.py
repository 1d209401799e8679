"""A whole cluster from one seed: the real cores of all daemons and workers, in virtual time and without threads.

A run has three parts: a start without trouble, a time in which faults and user actions fall where chance puts them, and
a quiet time after which everything must be in order again.
"""

from __future__ import annotations

import gc
import json
import logging
import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import faults_of_processes
import faults_of_surroundings
from checks import MESSAGE_TIMEOUT_SECS, Checks
from event_loop import EventLoop
from faults_of_processes import nimbus_dies
from simulated_machines import Host
from simulated_network import SimulatedNetwork
from simulated_nimbus import NimbusLink, NimbusPlace
from simulated_topology import Record
from simulated_user import SimulatedUser
from simulated_worker import NOWHERE
from simulated_zookeeper import SimulatedZooKeeper
from weather import Weather

from storm.blobstore.blob_store import code_key, conf_key
from storm.cluster.storm_cluster_state import StormClusterState
from storm.config.settings import Settings
from storm.config.topology_conf import effective_conf
from storm.errors import WorkerStartError
from storm.executor.plan import WorkerPlan
from storm.nimbus.options import NimbusOptions
from storm.supervisor.options import SupervisorOptions
from storm.supervisor.slot import SlotLimits
from storm.thrift.topology_convert import topology_from_bytes
from storm.topology.parallelism import task_components
from storm.topology.system_topology import system_topology

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from event_loop import Process
    from simulated_nimbus import BeatKey, NimbusProcess
    from simulated_worker import WorkerProcess

    from storm.ids import TopologyId
    from storm.worker.launch import Launch

START_SECS = 8.0
STORMY_SECS = (30.0, 70.0)
QUIET_SECS_MIN, QUIET_SECS_MAX = 30.0, 100.0
QUIET_CHECK_SECS = 10.0
QUIET_TO_THE_END = 10  # one in so many seeds is not over as soon as all is well
ALWAYS_TIMES = 5
FAULTS = (*faults_of_processes.FAULTS, *faults_of_surroundings.FAULTS)

# Times are a fraction of the defaults, so that a run needs few events; their order is the same.
SETTINGS: dict[str, Any] = {
    "topology.message.timeout.secs": MESSAGE_TIMEOUT_SECS,
    "topology.sleep.spout.wait.strategy.time.ms": 500,
    "topology.batch.flush.interval.millis": 50,
    "topology.executor.receive.buffer.size": 6,
    "topology.transfer.buffer.size": 2,
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
    """How a run ended: what did not hold, how many trees were acked and failed, how many events there were."""

    seed: int
    problems: list[str]
    acked: int
    failed: int
    events: int


class SimulatedCluster:
    """The parts, and what befalls them. `always`: names of faults, of kinds of weather and of what the user does that
    this one must have.
    """

    def __init__(self, seed: int, always: Collection[str] = ()) -> None:
        self.seed = seed
        self._always = always
        self._is_long = seed % QUIET_TO_THE_END == 0
        self.rng = random.Random(seed)
        self.events = EventLoop(self.rng)
        self.weather = Weather(self.rng, always)
        self.settings = settings()
        self.zookeeper = SimulatedZooKeeper(self.events, self.weather)
        self.network = SimulatedNetwork(self.events, self.weather)
        self.record = Record(self.events.clock, self.rng, self.weather)
        self.checks = Checks(self)
        self.nimbus_options = NimbusOptions.from_settings(self.settings)
        self._plans: dict[tuple[bytes, bytes], tuple[Any, Any, Any]] = {}
        self.far_from_nimbus: set[str] = set()
        self.copies: list[Host] = []  # machines that were made of copies of others' disks
        self.crash_until: dict[TopologyId, float] = {}
        self.told: dict[BeatKey, float] = {}  # when a Nimbus last took a heartbeat
        self.proved: dict[BeatKey, tuple[int, float]] = {}  # what that said: only a change proves
        self.events.on_crash = self.checks.process_crashed
        self.zookeeper.on_change = self.checks.changed
        StormClusterState(self.zookeeper.tree.session()).prepare()
        self.nimbuses = [NimbusPlace(self, number) for number in range(self.rng.choice((1, 2, 2, 3)))]
        self.hosts = [self.new_host(number) for number in range(self.rng.randint(2, 3))]
        self.user = SimulatedUser(self)

    # The run

    def run(self) -> Outcome:
        """From the start to the checks."""
        self.start()
        self.storm()
        self.calm()
        problems = self.checks.at_the_end()
        events, record = self.events, self.record
        return Outcome(self.seed, problems, record.acked, record.failed, len(events.log))

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
        kinds = self.rng.sample(FAULTS, self.rng.randint(2, 8))
        wanted = [fault for fault in FAULTS if fault.__name__ in self._always]
        for fault in (self.rng.choice(kinds) for _ in range(self.rng.randint(3, 12))):
            self._arrange(fault, secs)
        for fault in wanted * ALWAYS_TIMES:
            self._arrange(fault, secs / 2)
        asked = [action for action in dict.fromkeys(self.user.actions) if action.__name__ in self._always]
        for action in asked * ALWAYS_TIMES:
            self.events.after(self.events.soon(secs), "the user acts", action)
        for _ in range(self.rng.randint(2, 7)):
            self.events.after(self.events.soon(secs), "the user acts", self._user_acts)
        self.events.run_for(secs)

    def _arrange(self, fault: Callable[[SimulatedCluster], None], secs: float) -> None:
        self.events.after(self.events.soon(secs), f"fault: {fault.__name__}", lambda: fault(self))

    def _user_acts(self) -> None:
        self.user.act()
        if self.rng.random() < 0.2:  # soon after it asked for something that takes a while
            self.events.after(self.events.soon(3.0), "fault: nimbus_dies", lambda: nimbus_dies(self))

    def calm(self) -> None:
        """Everything is repaired; time to settle, until all is as it should be."""
        self.events.note("the storm is over")
        self.weather.calm()
        self.network.mend()
        self.far_from_nimbus.clear()
        self.crash_until.clear()
        for process in self.processes():
            process.slow_secs = 0.0
            process.resume()
        self.zookeeper.mend()
        for copy in self.copies:
            copy.crash()
        for worker in self.workers():
            worker.hung_until = 0.0
            worker.after_call()
        for nimbus in self.nimbuses:
            nimbus.disk.is_full = nimbus.disk.is_read_only = False
            nimbus.start()
        for host in self.hosts:
            host.disk.is_full = False
            host.start_supervisor()
        self.events.run_for(QUIET_SECS_MIN / 2)
        self.user.ensure_work()
        self.events.run_for(QUIET_SECS_MIN / 2)
        secs = QUIET_SECS_MIN
        while secs < QUIET_SECS_MAX and (self._is_long or self.checks.at_the_end()):
            self.events.run_for(QUIET_CHECK_SECS)
            secs += QUIET_CHECK_SECS

    # What its parts ask for

    def leader(self) -> NimbusProcess | None:
        """The Nimbus that a client finds."""
        found = [place.process for place in self.nimbuses if place.process is not None and place.process.serves]
        return found[0] if found else None

    def nimbus_link(self, host: Host, caller: Process | None = None) -> NimbusLink:
        """For what runs on this host; `caller`: see NimbusLink."""
        return NimbusLink(self, host.name, host.clock, caller)

    def worker_plan(self, told: Launch, code: Mapping[TopologyId, Mapping[str, bytes]]) -> WorkerPlan:
        """What a worker reads from its host's disk."""
        blobs = code.get(told.topology_id, {})
        stored = (blobs.get(code_key(told.topology_id), b""), blobs.get(conf_key(told.topology_id), b""))
        if not all(stored):
            raise WorkerStartError("its code is not on this machine")
        if stored not in self._plans:
            try:
                conf = effective_conf(self.settings, json.loads(stored[1]))
            except ValueError as error:
                raise WorkerStartError(f"its conf cannot be read: {error}") from error
            topology = system_topology(topology_from_bytes(stored[0]), conf)
            self._plans[stored] = (topology, conf, task_components(topology, conf))
        topology, conf, names = self._plans[stored]
        return WorkerPlan(topology, conf, told.topology_id, told.executors, names, told.port)

    def is_crashing(self, topology_id: TopologyId) -> bool:
        """Whether workers of this topology die at each start."""
        return self.crash_until.get(topology_id, 0.0) > self.events.clock.now()

    def workers(self) -> list[WorkerProcess]:
        """All that live."""
        return [process for host in self.hosts for process in host.alive()]

    def processes(self) -> list[Any]:
        """All that there are."""
        daemons = [*(place.process for place in self.nimbuses), *(host.supervisor for host in self.hosts)]
        return [*(process for process in daemons if process is not None), *self.workers()]

    def new_host(self, number: int) -> Host:
        """A machine for a supervisor; it does not run yet."""
        options = SupervisorOptions(
            NOWHERE, NOWHERE, slot_ports=self.random_ports(), heartbeat_secs=2.0, sync_secs=4.0, limits=LIMITS
        )
        return Host(self, number, options)

    def random_ports(self) -> tuple[int, ...]:
        """Of a supervisor."""
        return tuple(range(6700, 6700 + self.rng.randint(2, 3)))


def simulate(seed: int, always: Collection[str] = ()) -> Outcome:
    """One run; `always`: see SimulatedCluster."""
    return SimulatedCluster(seed, always).run()


def simulate_quietly(seed: int) -> Outcome:
    """One run, in a process of a pool: it logs nothing, and what it leaves is collected after it, all at once."""
    logging.disable(logging.CRITICAL)
    _settle()
    gc.disable()
    try:
        return simulate(seed)
    finally:
        gc.enable()
        gc.collect()


@cache
def _settle() -> None:
    """What is there before the first run stays: no collection need look at it."""
    gc.collect()
    gc.freeze()
