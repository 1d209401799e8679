"""What befalls ZooKeeper, the network, clocks and disks, as events of a simulated cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faults_of_processes import LONG_SECS, down_secs, one_of

from storm.cluster import paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulated_cluster import SimulatedCluster
    from simulated_nimbus import NimbusPlace

HOUR_SECS = 3600
DAMAGED = (paths.STORMS, paths.ASSIGNMENTS, paths.SUPERVISORS, paths.NIMBUSES, paths.DRAINS, paths.LEADER_LOCK)


# ZooKeeper


def zookeeper_is_gone(cluster: SimulatedCluster) -> None:
    """For longer than sessions last, now and then; it comes back with all that it had."""
    cluster.zookeeper.stop()
    cluster.events.after(down_secs(cluster), "ZooKeeper is back", cluster.zookeeper.start)


def zookeeper_elects(cluster: SimulatedCluster) -> None:
    """One of its servers is gone, or its leader is paused: all connections break, and come back one by one."""
    for process in cluster.processes():
        process.session.cut(cluster.rng.uniform(0.1, 4.0))


def permission_is_refused(cluster: SimulatedCluster) -> None:
    """Nodes were given to somebody else, or a machine has a wrong password, until an operator sees to it: he starts
    again what has ended for that. One machine's daemons and workers are refused, or those of all.
    """
    places = {host.name: host.start_supervisor for host in cluster.hosts}
    places |= {place.host: place.start for place in cluster.nimbuses}
    refused = list(places) if cluster.rng.random() < 0.2 else [cluster.rng.choice(list(places))]
    cluster.zookeeper.refused_hosts |= dict.fromkeys(refused, cluster.events.clock.now())

    def give() -> None:
        for name in refused:
            cluster.zookeeper.refused_hosts.pop(name, None)
            places[name]()

    cluster.events.after(down_secs(cluster), "permission is given again", give)


def session_expires(cluster: SimulatedCluster) -> None:
    one_of(cluster, cluster.processes(), lambda process: process.session.expire())


def all_sessions_expire(cluster: SimulatedCluster) -> None:
    for process in cluster.processes():
        process.session.expire()


def session_is_cut(cluster: SimulatedCluster) -> None:
    one_of(cluster, cluster.processes(), lambda process: process.session.cut(down_secs(cluster)))


def answers_are_lost(cluster: SimulatedCluster) -> None:
    """Whatever a process asks for is done, and it never hears so; its session may have to begin with that."""
    until = cluster.events.clock.now() + cluster.rng.uniform(0.5, 8.0)
    is_new = cluster.rng.random() < 0.5

    def befall(process: Any) -> None:
        process.session.answers_lost_until = until
        if is_new:
            process.session.expire()

    one_of(cluster, cluster.processes(), befall)


def data_is_lost(cluster: SimulatedCluster) -> None:
    """An operator empties ZooKeeper. What ran is no longer known: it runs on and its code is kept, where nothing that
    comes after needs its slots, and nothing that comes after may suffer from that.
    """
    if cluster.rng.random() < 0.3:
        cluster.zookeeper.lose_data()
        cluster.user.forget()


def record_is_damaged(cluster: SimulatedCluster) -> None:
    """A node holds what nobody can read, until its owner writes it anew, or an operator who has a copy."""
    zookeeper = cluster.zookeeper
    found = zookeeper.records(DAMAGED)
    if found:
        path = cluster.rng.choice(found)
        zookeeper.damage(path)
        cluster.events.after(down_secs(cluster), "a record is as it was", lambda: zookeeper.restore(path))


# The network


def link_is_cut(cluster: SimulatedCluster) -> None:
    """One way or both, and nobody learns of it."""
    near, far = (host.name for host in cluster.rng.sample(cluster.hosts, 2))
    links = {(near, far)} if cluster.rng.random() < 0.5 else {(near, far), (far, near)}
    cluster.network.cut_links |= links

    def mend() -> None:
        cluster.network.cut_links -= links

    cluster.events.after(down_secs(cluster), f"the link from {near} to {far} is mended", mend)


def link_breaks(cluster: SimulatedCluster) -> None:
    """Both ends learn of it."""
    link = frozenset(host.name for host in cluster.rng.sample(cluster.hosts, 2))
    cluster.network.broken_links.add(link)
    cluster.events.after(down_secs(cluster), "a link works again", lambda: cluster.network.broken_links.discard(link))


def link_is_slow(cluster: SimulatedCluster) -> None:
    near, far = (host.name for host in cluster.rng.sample(cluster.hosts, 2))
    slow = cluster.network.slow_links
    slow[near, far] = cluster.rng.uniform(0.2, 3.0)
    cluster.events.after(
        down_secs(cluster), f"the link from {near} to {far} is fast again", lambda: slow.pop((near, far), None)
    )


def host_is_far_from_nimbus(cluster: SimulatedCluster) -> None:
    _part_from_nimbus(cluster, cluster.rng.choice(cluster.hosts).name, down_secs(cluster))


def host_is_far_from_zookeeper(cluster: SimulatedCluster) -> None:
    _part_from_zookeeper(cluster, cluster.rng.choice(cluster.hosts).name, down_secs(cluster))


def nimbus_is_far_from_zookeeper(cluster: SimulatedCluster) -> None:
    _part_from_zookeeper(cluster, cluster.rng.choice(cluster.nimbuses).host, down_secs(cluster))


def nimbus_is_far_from_others(cluster: SimulatedCluster) -> None:
    """It can fetch nothing from them."""
    _part_from_nimbus(cluster, cluster.rng.choice(cluster.nimbuses).host, down_secs(cluster))


def host_is_isolated(cluster: SimulatedCluster) -> None:
    """It reaches neither ZooKeeper nor Nimbus; its workers go on, with what they know."""
    name, secs = cluster.rng.choice(cluster.hosts).name, cluster.rng.uniform(10.0, LONG_SECS[1])
    _part_from_nimbus(cluster, name, secs)
    _part_from_zookeeper(cluster, name, secs)


def _part_from_nimbus(cluster: SimulatedCluster, name: str, secs: float) -> None:
    far = cluster.far_from_nimbus
    far.add(name)
    cluster.events.after(secs, f"{name} reaches Nimbus", lambda: far.discard(name))


def _part_from_zookeeper(cluster: SimulatedCluster, name: str, secs: float) -> None:
    cluster.zookeeper.part(name)
    cluster.events.after(secs, f"{name} reaches ZooKeeper", lambda: cluster.zookeeper.join(name))


# Clocks and disks


def clock_jumps(cluster: SimulatedCluster) -> None:
    """By seconds or by hours, either way."""
    secs = cluster.rng.choice((10, HOUR_SECS, 5 * HOUR_SECS)) * cluster.rng.choice((-1, 1))
    place = cluster.rng.choice([*cluster.hosts, *cluster.nimbuses])
    place.clock.jump(secs + cluster.rng.randint(-5, 5))


def disk_is_lost(cluster: SimulatedCluster) -> None:
    """A machine comes back under its old name, with an empty disk."""
    host = cluster.rng.choice(cluster.hosts)
    host.crash()
    host.wipe()
    cluster.events.after(down_secs(cluster), f"{host.name} is back", host.start_supervisor)


def local_state_is_damaged(cluster: SimulatedCluster) -> None:
    """Found so by the next supervisor."""
    host = cluster.rng.choice(cluster.hosts)
    if host.supervisor is not None:
        host.supervisor.die("SIGKILL")
    host.disk.damage(cluster.rng)
    cluster.events.after(down_secs(cluster), f"supervisor of {host.name} is started", host.start_supervisor)


def code_is_lost(cluster: SimulatedCluster) -> None:
    """Somebody deletes what a host has of topologies, or a bit of it turns; what runs runs on."""
    host = cluster.rng.choice(cluster.hosts)
    for blobs in host.code.values():
        for key in list(blobs):
            if cluster.rng.random() < 0.5:
                blobs[key] = blobs[key][:-1]
    if cluster.rng.random() < 0.5:
        host.code.clear()


def disk_is_full(cluster: SimulatedCluster) -> None:
    host = cluster.rng.choice(cluster.hosts)
    host.disk.is_full = True

    def free() -> None:
        host.disk.is_full = False

    cluster.events.after(down_secs(cluster), f"there is space on {host.name} again", free)


def disk_of_nimbus_is_full(cluster: SimulatedCluster) -> None:
    place: NimbusPlace = cluster.rng.choice(cluster.nimbuses)
    place.disk.is_full = True

    def free() -> None:
        place.disk.is_full = False

    cluster.events.after(down_secs(cluster), f"there is space on {place.host} again", free)


def disk_of_nimbus_is_read_only(cluster: SimulatedCluster) -> None:
    """Also what is to be deleted stays."""
    place: NimbusPlace = cluster.rng.choice(cluster.nimbuses)
    place.disk.is_read_only = True

    def mend() -> None:
        place.disk.is_read_only = False

    cluster.events.after(down_secs(cluster), f"{place.host} can write again", mend)


def disk_of_nimbus_is_lost(cluster: SimulatedCluster) -> None:
    """It comes back with an empty one; where it was the only Nimbus, as seldom as anybody has no backup."""
    if _may_lose_blobs(cluster):
        place: NimbusPlace = cluster.rng.choice(cluster.nimbuses)
        place.lose_disk()
        cluster.events.after(down_secs(cluster), f"{place.host} is started", place.start)


def blob_is_damaged(cluster: SimulatedCluster) -> None:
    """In one store: a bit turns, its end is missing, or somebody deletes it."""
    disk = cluster.rng.choice(cluster.nimbuses).disk
    keys = disk.keys()
    if keys and _may_lose_blobs(cluster):
        befall = cluster.rng.choice((disk.flip, disk.cut, disk.lose))
        befall(cluster.rng.choice(keys), cluster.events.clock.now())


def _may_lose_blobs(cluster: SimulatedCluster) -> bool:
    return len(cluster.nimbuses) > 1 or cluster.rng.random() < 0.2


FAULTS: tuple[Callable[[SimulatedCluster], None], ...] = (
    zookeeper_is_gone, zookeeper_elects, permission_is_refused, session_expires, all_sessions_expire, session_is_cut,
    answers_are_lost, data_is_lost, record_is_damaged, link_is_cut, link_breaks, link_is_slow, host_is_far_from_nimbus,
    host_is_far_from_zookeeper, nimbus_is_far_from_zookeeper, host_is_isolated, clock_jumps, disk_is_lost,
    local_state_is_damaged, code_is_lost, disk_is_full, disk_of_nimbus_is_full, disk_of_nimbus_is_read_only,
    nimbus_is_far_from_others, disk_of_nimbus_is_lost, blob_is_damaged,
)  # fmt: skip
