"""What is wrong in a whole cluster, the worst first: Nimbuses, hosts, and topologies where it is no mere note; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from storm.diagnosis.facts import Severity, Topology, Trouble, worst_first
from storm.diagnosis.topology import troubles as troubles_of

if TYPE_CHECKING:
    from collections.abc import Iterator


class Host(NamedTuple):
    """Where a supervisor runs; `id` is the supervisor's. `illness`: why it takes no workers, empty where it is well."""

    id: str
    name: str
    illness: str = ""
    is_drained: bool = False
    is_blacklisted: bool = False


class Cluster(NamedTuple):
    """`offline`: host:port of each Nimbus of `nimbus.seeds` that is not there. `unseen`: how many of `topologies` are
    known by their summary only.
    """

    has_leader: bool
    offline: tuple[str, ...] = ()
    hosts: tuple[Host, ...] = ()
    topologies: tuple[Topology, ...] = ()
    unseen: int = 0


def troubles(cluster: Cluster) -> list[Trouble]:
    """The worst first. Those of topologies begin with their name; notes on them are for their own pages."""
    found = [*_nimbuses(cluster), *_hosts(cluster)]
    for topology in cluster.topologies:
        found += of_topology(topology)
    if cluster.unseen:
        some = "topology was" if cluster.unseen == 1 else "topologies were"
        found.append(
            Trouble(
                Severity.NOTE,
                f"{cluster.unseen:,} {some} not looked at yet: what is wrong there is not known here.",
                "Its own page tells." if cluster.unseen == 1 else "Their own pages tell.",
            )
        )
    return worst_first(found)


def of_topology(topology: Topology) -> list[Trouble]:
    """What is more than a note there; it begins with the topology's name."""
    return [
        one._replace(what=f"{topology.name}: {one.what}")
        for one in troubles_of(topology)
        if one.severity > Severity.NOTE
    ]


def _nimbuses(cluster: Cluster) -> Iterator[Trouble]:
    if not cluster.has_leader:
        yield Trouble(
            Severity.CRITICAL, "No Nimbus leads: nothing can be submitted or changed.", "One is elected within seconds."
        )
    for at in cluster.offline:
        yield Trouble(
            Severity.WARNING,
            f"The Nimbus {at} of nimbus.seeds is not there.",
            "Start it, or take it out there.",
        )


def _hosts(cluster: Cluster) -> Iterator[Trouble]:
    if not cluster.hosts:
        severity = Severity.CRITICAL if cluster.topologies else Severity.WARNING
        yield Trouble(severity, "No supervisor is there: nothing can run.", "Start storm supervisor on a host.")
    for host in cluster.hosts:
        if host.illness:
            severity, what = Severity.CRITICAL, f"is ill, and takes no workers: {host.illness}"
        elif host.is_drained:
            severity, what = Severity.NOTE, "is drained: nothing new is assigned to it."
        elif host.is_blacklisted:
            severity, what = Severity.WARNING, "is blacklisted."
        else:
            continue
        yield Trouble(severity, f"The host {host.name} {what}", supervisor=host.id)
