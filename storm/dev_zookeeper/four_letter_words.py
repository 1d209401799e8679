"""Commands of four letters, sent instead of a packet: `echo ruok | nc 127.0.0.1 2181`.

Answers are text in the shapes of Apache ZooKeeper, so that existing tools read them. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storm.dev_zookeeper.options import DevZooKeeperOptions

# Clients that ask for the version want to know which protocol is spoken.
PROTOCOL_VERSION = "3.8.0"
MODE = "standalone-dev"


class ConnectionFigures(NamedTuple):
    """`session_id` None: not yet connected to a session."""

    address: str
    session_id: int | None
    received: int
    sent: int


class ServerFigures(NamedTuple):
    options: DevZooKeeperOptions
    port: int
    zxid: int
    node_count: int
    data_size_bytes: int
    watch_count: int
    watched_path_count: int
    watching_connection_count: int
    received: int
    sent: int
    connections: tuple[ConnectionFigures, ...]
    session_timeouts_ms: Mapping[int, int]
    ephemeral_paths: Mapping[int, set[str]]


def is_word(first_bytes: bytes) -> bool:
    return first_bytes.decode("latin-1") in ANSWERS


def answer(word: bytes, figures: ServerFigures) -> bytes:
    """`word` is one for which `is_word` holds."""
    return ANSWERS[word.decode("latin-1")](figures).encode()


def _version_line() -> str:
    return f"{PROTOCOL_VERSION}-storm-dev, one server for development, no ensemble"


def _envi(figures: ServerFigures) -> str:
    return f"Environment:\nzookeeper.version={_version_line()}\nhost.name={figures.options.host}\n"


def _connection_lines(figures: ServerFigures) -> str:
    return "".join(
        f" {connection.address}[1](queued=0,recved={connection.received},sent={connection.sent}"
        + (f",sid=0x{connection.session_id:x}" if connection.session_id is not None else "")
        + ")\n"
        for connection in figures.connections
    )


def _srvr(figures: ServerFigures) -> str:
    return (
        f"Zookeeper version: {_version_line()}\n"
        f"Received: {figures.received}\n"
        f"Sent: {figures.sent}\n"
        f"Connections: {len(figures.connections)}\n"
        "Outstanding: 0\n"
        f"Zxid: 0x{figures.zxid:x}\n"
        f"Mode: {MODE}\n"
        f"Node count: {figures.node_count}\n"
    )


def _stat(figures: ServerFigures) -> str:
    version, _, rest = _srvr(figures).partition("\n")
    return f"{version}\nClients:\n{_connection_lines(figures)}\n{rest}"


def _mntr(figures: ServerFigures) -> str:
    values = {
        "version": _version_line(),
        "server_state": MODE,
        "packets_received": figures.received,
        "packets_sent": figures.sent,
        "num_alive_connections": len(figures.connections),
        "outstanding_requests": 0,
        "znode_count": figures.node_count,
        "watch_count": figures.watch_count,
        "ephemerals_count": sum(len(paths) for paths in figures.ephemeral_paths.values()),
        "global_sessions": len(figures.session_timeouts_ms),
        "approximate_data_size": figures.data_size_bytes,
    }
    return "".join(f"zk_{name}\t{value}\n" for name, value in values.items())


def _dump(figures: ServerFigures) -> str:
    lines = [f"Sessions ({len(figures.session_timeouts_ms)}):"]
    lines += [f"0x{session_id:x}\t{timeout}ms" for session_id, timeout in figures.session_timeouts_ms.items()]
    lines.append(f"Sessions with Ephemerals ({len(figures.ephemeral_paths)}):")
    for session_id, paths in figures.ephemeral_paths.items():
        lines += [f"0x{session_id:x}:", *(f"\t{path}" for path in sorted(paths))]
    return "\n".join(lines) + "\n"


def _wchs(figures: ServerFigures) -> str:
    return (
        f"{figures.watching_connection_count} connections watching {figures.watched_path_count} paths\n"
        f"Total watches:{figures.watch_count}\n"
    )


def _conf(figures: ServerFigures) -> str:
    options = figures.options
    return (
        f"clientPort={figures.port}\n"
        f"dataDir={options.data_dir or ''}\n"
        f"tickTime={options.tick_ms}\n"
        f"maxClientCnxns={options.connections_per_address_max}\n"
        f"minSessionTimeout={2 * options.tick_ms}\n"
        f"maxSessionTimeout={20 * options.tick_ms}\n"
        "serverId=0\n"
    )


ANSWERS: Mapping[str, Callable[[ServerFigures], str]] = {
    "conf": _conf,
    "cons": _connection_lines,
    "dump": _dump,
    "envi": _envi,
    "isro": lambda figures: "rw",
    "mntr": _mntr,
    "ruok": lambda figures: "imok",
    "srvr": _srvr,
    "stat": _stat,
    "wchs": _wchs,
}
