"""The containers of a cluster by the names that people call them: zookeeper-1, nimbus-2, supervisor-3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from engine import Trouble, docker, inspect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PROJECT, SERVICE, NUMBER = (f"com.docker.compose.{word}" for word in ("project", "service", "container-number"))
NETWORK = "storm"
NIMBUS_PORT, UI_PORT = 6627, 8080  # in the containers
UNNAMED = re.compile("[0-9a-f]{64}")  # what Docker calls a volume that nobody gave a name


class Node(NamedTuple):
    """A container. `state`: Docker's word for it; `health`: healthy, unhealthy, starting, or empty where none is told.

    `is_cut`: it is on no network. `ports`: {its own port: the host's}. `caches`: volumes without a name of their own.
    """

    name: str
    service: str
    id: str
    state: str
    health: str
    is_cut: bool
    ports: Mapping[int, int]
    caches: Sequence[str] = ()

    @property
    def is_well(self) -> bool:
        return self.state == "running" and self.health == "healthy" and not self.is_cut

    @property
    def is_paused(self) -> bool:
        return self.state == "paused"


def node_of(found: Mapping[str, Any]) -> Node:
    """The node that `docker inspect` tells of."""
    labels, state = found["Config"]["Labels"], found["State"]
    service = labels[SERVICE]
    is_one_of_many = not service.rpartition("-")[2].isdigit()
    bindings = found["HostConfig"].get("PortBindings") or {}
    return Node(
        name=f"{service}-{labels[NUMBER]}" if is_one_of_many else service,
        service=service,
        id=found["Id"],
        state=state["Status"],
        health=state.get("Health", {}).get("Status", ""),
        is_cut=not found["NetworkSettings"]["Networks"],
        ports={int(own.split("/")[0]): int(to[0]["HostPort"]) for own, to in bindings.items() if to},
        caches=[mount["Name"] for mount in found["Mounts"] if UNNAMED.fullmatch(mount.get("Name", ""))],
    )


def nodes(project: str) -> list[Node]:
    """All containers of a cluster, running or not, by name. Raises Trouble."""
    ids = docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={PROJECT}={project}").split()
    return sorted(
        (node_of(found) for found in inspect(*ids)), key=lambda node: (node.service, len(node.name), node.name)
    )


def named(name: str, among: Sequence[Node]) -> Node:
    """The node of this name, or whose container's id begins so, as hosts are called in `storm status`.

    Raises Trouble that lists the names.
    """
    found = [node for node in among if node.name == name]
    if not found and len(name) >= 4:
        found = [node for node in among if node.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if not among:
        raise Trouble("no cluster is up: docker/cluster up")
    raise Trouble(f"no node is called {name!r}: there are {', '.join(node.name for node in among)}")


def cut(node: Node, project: str) -> None:
    """Take it off the network. Raises Trouble."""
    if node.is_cut:
        raise Trouble(f"{node.name} is cut off already: docker/cluster heal")
    docker("network", "disconnect", f"{project}_{NETWORK}", node.id)


def heal(cut_off: Iterable[Node], project: str) -> None:
    """Put them back, under the names that they had. Raises Trouble."""
    for node in cut_off:
        docker("network", "connect", "--alias", node.service, f"{project}_{NETWORK}", node.id)


def seeds(among: Iterable[Node]) -> list[str]:
    """Where this machine reaches the Nimbuses: "host:port"."""
    return [f"127.0.0.1:{node.ports[NIMBUS_PORT]}" for node in among if NIMBUS_PORT in node.ports]


def ui_addresses(among: Iterable[Node]) -> list[str]:
    """Where this machine's browsers reach the UI."""
    return [f"http://127.0.0.1:{node.ports[UI_PORT]}/" for node in among if UI_PORT in node.ports]


def table(among: Sequence[Node]) -> str:
    """For people."""
    rows = [("node", "state", "health", "container")]
    rows += [
        (node.name, node.state, "cut off" if node.is_cut and node.state == "running" else node.health, node.id[:12])
        for node in among
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
