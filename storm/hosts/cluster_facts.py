"""What `storm doctor` knows before it judges: facts of this host, of ZooKeeper, of the daemons. Frozen; no I/O."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - dataclasses are read by their annotations
from dataclasses import dataclass
from enum import Enum, auto

from storm.hosts.facts import HostReport  # noqa: TC001 - likewise


@dataclass(frozen=True, slots=True)
class ZooKeeperServer:
    """One server of the list. `mode` as it calls itself (leader, follower, observer, standalone, standalone-dev).

    Empty: it does not tell, `problem` says why; `answers`: whether something listens there; `serves`: False where it
    says that it serves nobody, since its ensemble has no leader or it does not reach it.
    """

    address: str
    answers: bool
    mode: str = ""
    problem: str = ""
    serves: bool = True


@dataclass(frozen=True, slots=True)
class PortUse:
    """A port of this host that its configuration names. `holder`: who listens there; empty: it is free.

    `is_storm`: the holder is a process of Storm; None: who it is cannot be seen.
    """

    port: int
    setting: str
    holder: str = ""
    is_storm: bool | None = False


class Unreachable(Enum):
    """Why a daemon cannot be asked from here."""

    UNKNOWN_HOST = auto()  # its name does not resolve
    OLD_RELEASE = auto()  # it answers, and does not know the question
    NO_ANSWER = auto()


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """A Nimbus or a supervisor, as it was reached from here; without a `report` it is `unreachable`, and `problem` says
    it in words.

    `offset_secs` is how much its clock is ahead of this host's, `offset_error_secs` how sure that is.
    """

    role: str
    host: str
    port: int
    version: str
    report: HostReport | None = None
    unreachable: Unreachable | None = None
    problem: str = ""
    offset_secs: float = 0.0
    offset_error_secs: float = 0.0


@dataclass(frozen=True, slots=True)
class SupervisorView:
    """A supervisor as Nimbus sees it; `trouble` for people, empty: none."""

    host: str
    node_id: str
    slots: int
    used: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class TopologyView:
    """A topology as Nimbus sees it; `trouble` for people, empty: none."""

    name: str
    status: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What the leading Nimbus sees."""

    leader: str
    nimbuses: int
    supervisors: tuple[SupervisorView, ...] = ()
    topologies: tuple[TopologyView, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """All of them. `seeds` has what is wrong with each of `nimbus.seeds`, empty: it answers.

    `cluster` None: no leader was found, `cluster_problem` says why. `port_range` is that from which the kernel takes
    ports for outgoing connections, both ends included. `replicas_wanted` is `topology.min.replication.count`.
    """

    here: HostReport
    insecure: bool
    zookeeper: tuple[ZooKeeperServer, ...]
    ports: tuple[PortUse, ...]
    seeds: Mapping[str, str]
    port_range: tuple[int, int] = (0, 0)
    cluster: ClusterFacts | None = None
    cluster_problem: str = ""
    daemons: tuple[DaemonFacts, ...] = ()
    replicas_wanted: int = 1
