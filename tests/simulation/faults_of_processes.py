"""What befalls workers, supervisors, Nimbuses and whole hosts, as events of a simulated cluster.

Each function is one fault: it chooses whom it befalls, and arranges for its end where it has one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from event_loop import Process
    from simulated_cluster import SimulatedCluster
    from simulated_machines import Host
    from simulated_nimbus import NimbusPlace

DOWN_SECS_MAX = 12.0
LONG_SECS = (15.0, 40.0)  # longer than sessions and Nimbus's patience
ZOMBIE_SECS = (18.0, 30.0)
CRASHING_SECS = (8.0, 30.0)


def down_secs(cluster: SimulatedCluster) -> float:
    """How long something is away: now and then for very long."""
    rng = cluster.rng
    return rng.uniform(*LONG_SECS) if rng.random() < 0.2 else rng.uniform(0.2, DOWN_SECS_MAX)


def one_of(cluster: SimulatedCluster, processes: Iterable[Any], befall: Callable[[Any], object]) -> None:
    """One of those that live, if there are any."""
    alive = [process for process in processes if process is not None and process.alive]
    if alive:
        befall(cluster.rng.choice(alive))


# Workers


def worker_dies(cluster: SimulatedCluster) -> None:
    """SIGKILL."""
    one_of(cluster, cluster.workers(), lambda process: process.die("SIGKILL"))


def worker_is_told_to_end(cluster: SimulatedCluster) -> None:
    """SIGTERM from somebody who is not its supervisor."""
    one_of(cluster, cluster.workers(), lambda process: process.run(process.terminate))


def all_workers_die(cluster: SimulatedCluster) -> None:
    for process in cluster.workers():
        process.die("SIGKILL, as all workers")


def worker_pauses(cluster: SimulatedCluster) -> None:
    """SIGSTOP, or code that keeps the interpreter."""
    one_of(cluster, cluster.workers(), lambda process: _pause(cluster, process))


def worker_is_slow(cluster: SimulatedCluster) -> None:
    def befall(process: Process) -> None:
        process.slow_secs = cluster.rng.uniform(0.1, 1.0)

        def recover() -> None:
            process.slow_secs = 0.0

        cluster.events.after(cluster.rng.uniform(2.0, 20.0), f"{process.name} is fast again", recover)

    one_of(cluster, cluster.workers(), befall)


def worker_hangs(cluster: SimulatedCluster) -> None:
    """A component's code does not return; heartbeats go on."""
    one_of(cluster, cluster.workers(), lambda process: process.hang(down_secs(cluster)))


def worker_is_stuck(cluster: SimulatedCluster) -> None:
    """A component's code does not return, and the worker ends for that (topology.executor.stuck.restart)."""
    one_of(cluster, cluster.workers(), lambda process: process.is_stuck_for(cluster.rng.uniform(2.0, 8.0)))


def worker_is_a_zombie(cluster: SimulatedCluster) -> None:
    """It is paused while nobody is there to end it, is replaced, and comes back with all that it held, while whoever
    could tell it so is still away.
    """
    sizes = Counter(process.handle.assignment.topology_id for process in cluster.workers())
    may = [
        process
        for process in cluster.workers()
        if process.host.is_served and sizes[process.handle.assignment.topology_id] > 1
    ]
    if not may:
        return
    process = cluster.rng.choice(may)
    host = process.host
    assert host.supervisor is not None
    secs, more_secs = cluster.rng.uniform(*ZOMBIE_SECS), cluster.rng.uniform(1.0, 8.0)
    host.supervisor.die("SIGKILL")
    process.session.cut(secs + more_secs)
    process.pause()
    cluster.events.after(secs, f"{process.name} is let go on", process.resume)
    cluster.events.after(secs + more_secs, f"supervisor of {host.name} is started", host.start_supervisor)


def topology_crashes(cluster: SimulatedCluster) -> None:
    """For a while its workers die at each start."""
    running = sorted({process.handle.assignment.topology_id for process in cluster.workers()})
    if running:
        topology_id, secs = cluster.rng.choice(running), cluster.rng.uniform(*CRASHING_SECS)
        cluster.crash_until[topology_id] = cluster.events.clock.now() + secs
        for process in cluster.workers():
            if process.handle.assignment.topology_id == topology_id:
                process.die("SIGKILL")


def port_is_taken(cluster: SimulatedCluster) -> None:
    """By somebody else, as soon as a worker gives it up."""
    host = cluster.rng.choice(cluster.hosts)
    address = (host.name, cluster.rng.choice(host.options.slot_ports))
    cluster.network.taken_ports.add(address)
    for process in host.alive():
        if process.handle.port == address[1]:
            process.die("SIGKILL")
    cluster.events.after(
        down_secs(cluster), f"port {address[1]} of {host.name} is free again",
        lambda: cluster.network.taken_ports.discard(address),
    )  # fmt: skip


# Supervisors and hosts


def supervisor_dies(cluster: SimulatedCluster) -> None:
    _restart_supervisor(cluster, cluster.rng.choice(cluster.hosts), "SIGKILL", down_secs(cluster))


def supervisor_pauses(cluster: SimulatedCluster) -> None:
    one_of(cluster, (host.supervisor for host in cluster.hosts), lambda process: _pause(cluster, process))


def directory_is_copied(cluster: SimulatedCluster) -> None:
    """Another machine is made of a copy of a host's disk, with the supervisor's id, and is started beside it."""
    host = cluster.rng.choice(cluster.hosts)
    if host.is_registered:
        copy = host.copied()
        copy.start_supervisor()
        cluster.events.after(cluster.rng.uniform(3.0, 10.0), f"{copy.name} is taken away", copy.crash)


def supervisor_joins(cluster: SimulatedCluster) -> None:
    if len(cluster.hosts) < 5:
        host = cluster.new_host(len(cluster.hosts))
        cluster.hosts.append(host)
        host.start_supervisor()


def supervisor_is_lost(cluster: SimulatedCluster) -> None:
    """Its workers run on for as long as they can."""
    host = cluster.rng.choice(cluster.hosts)
    if _may_lose_one(cluster) and host.supervisor is not None:
        host.is_left = True
        host.supervisor.die("SIGKILL, for good")


def ports_change(cluster: SimulatedCluster) -> None:
    """A supervisor is started with other ports."""
    host = cluster.rng.choice(cluster.hosts)
    host.options = replace(host.options, slot_ports=cluster.random_ports())
    _restart_supervisor(cluster, host, "it is to have other ports", down_secs(cluster))


def host_dies(cluster: SimulatedCluster) -> None:
    """The power is cut; it comes back with its disk."""
    host = cluster.rng.choice(cluster.hosts)
    host.crash()
    cluster.events.after(down_secs(cluster), f"{host.name} is back", host.start_supervisor)


def memory_is_used_up(cluster: SimulatedCluster) -> None:
    """For a while the kernel ends one process of a host after the other: a worker, now and then the supervisor."""
    host, until = cluster.rng.choice(cluster.hosts), cluster.events.clock.now() + cluster.rng.uniform(*CRASHING_SECS)

    def strike() -> None:
        if cluster.events.clock.now() > until or not cluster.weather.is_stormy:
            return
        if cluster.rng.random() < 0.1:
            _restart_supervisor(cluster, host, "SIGKILL, out of memory", cluster.rng.uniform(0.5, 3.0))
        else:
            one_of(cluster, host.alive(), lambda process: process.die("SIGKILL, out of memory"))
        cluster.events.after(cluster.rng.uniform(1.0, 6.0), f"{host.name} is out of memory again", strike)

    strike()


def host_is_lost(cluster: SimulatedCluster) -> None:
    if _may_lose_one(cluster):
        host = cluster.rng.choice(cluster.hosts)
        host.is_left = True
        host.crash()


def host_is_suspended(cluster: SimulatedCluster) -> None:
    """As a virtual machine is; its processes go on one after the other."""
    host, secs = cluster.rng.choice(cluster.hosts), cluster.rng.uniform(*LONG_SECS)
    for process in [host.supervisor, *host.alive()]:
        if process is not None and process.alive:
            process.pause()
            cluster.events.after(secs + cluster.rng.uniform(0.0, 3.0), f"{process.name} is let go on", process.resume)


# Nimbuses


def nimbus_dies(cluster: SimulatedCluster) -> None:
    _restart_nimbus(cluster, cluster.rng.choice(cluster.nimbuses), "SIGKILL", down_secs(cluster))


def nimbus_pauses(cluster: SimulatedCluster) -> None:
    one_of(cluster, (place.process for place in cluster.nimbuses), lambda process: _pause(cluster, process))


def leader_pauses_at_a_write(cluster: SimulatedCluster) -> None:
    """Before its next change, for longer than its session lasts: then it makes that change."""
    leader = cluster.leader()
    if leader is not None:
        cluster.weather.pause_at_change(leader, cluster.rng.uniform(7.0, 20.0))
        cluster.user.act()


def nimbuses_are_gone(cluster: SimulatedCluster) -> None:
    """All of them."""
    for place in cluster.nimbuses:
        _restart_nimbus(cluster, place, "SIGKILL, as all", cluster.rng.uniform(5.0, LONG_SECS[1]))


# Everything


def power_is_cut(cluster: SimulatedCluster) -> None:
    """Everywhere at once."""
    for host in cluster.hosts:
        host.crash()
        cluster.events.after(down_secs(cluster), f"{host.name} is back", host.start_supervisor)
    for place in cluster.nimbuses:
        _restart_nimbus(cluster, place, "power is cut", down_secs(cluster))


def all_are_suspended(cluster: SimulatedCluster) -> None:
    """All virtual machines but ZooKeeper's: their sessions are over when they go on, one after the other."""
    secs = cluster.rng.uniform(*LONG_SECS)
    for process in cluster.processes():
        if process.alive:
            process.pause()
            cluster.events.after(secs + cluster.rng.uniform(0.0, 3.0), f"{process.name} is let go on", process.resume)


def all_are_restarted(cluster: SimulatedCluster) -> None:
    """One after the other, as an operator does who installs another release."""
    at, events = 0.0, cluster.events
    for place in cluster.nimbuses:
        at += cluster.rng.uniform(1.0, 4.0)
        events.after(
            at, f"{place.host} is restarted", lambda place=place: _restart_nimbus(cluster, place, "SIGTERM", 0.5)
        )
    for host in cluster.hosts:
        at += cluster.rng.uniform(1.0, 4.0)
        events.after(
            at, f"the supervisor of {host.name} is restarted",
            lambda host=host: _restart_supervisor(cluster, host, "SIGTERM", 0.5),
        )  # fmt: skip
    for process in cluster.workers():
        at += cluster.rng.uniform(0.5, 3.0)
        events.after(at, f"{process.name} is restarted", lambda process=process: process.run(process.terminate))


def _restart_supervisor(cluster: SimulatedCluster, host: Host, why: str, secs: float) -> None:
    if host.supervisor is not None:
        host.supervisor.die(why)
    cluster.events.after(secs, f"supervisor of {host.name} is started", host.start_supervisor)


def _restart_nimbus(cluster: SimulatedCluster, place: NimbusPlace, why: str, secs: float) -> None:
    if place.process is not None:
        place.process.die(why)
    cluster.events.after(secs, f"{place.host} is started", place.start)


def _pause(cluster: SimulatedCluster, process: Process) -> None:
    process.pause()
    cluster.events.after(cluster.rng.uniform(0.5, 30.0), f"{process.name} is let go on", process.resume)


def _may_lose_one(cluster: SimulatedCluster) -> bool:
    return sum(not host.is_left for host in cluster.hosts) > 1


FAULTS: tuple[Callable[[SimulatedCluster], None], ...] = (
    worker_dies, worker_is_told_to_end, all_workers_die, worker_pauses, worker_is_slow, worker_hangs,
    worker_is_stuck, worker_is_a_zombie, topology_crashes, port_is_taken, supervisor_dies, supervisor_pauses,
    directory_is_copied, supervisor_joins, supervisor_is_lost, ports_change, host_dies, memory_is_used_up, host_is_lost,
    host_is_suspended, nimbus_dies, nimbus_pauses, leader_pauses_at_a_write, nimbuses_are_gone, power_is_cut,
    all_are_suspended, all_are_restarted,
)  # fmt: skip
