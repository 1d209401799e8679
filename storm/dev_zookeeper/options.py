"""What can be chosen when a development ZooKeeper is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - dataclass fields are read at run time


@dataclass(frozen=True)
class DevZooKeeperOptions:
    """One server.

    `port` 0 takes a free one. `data_dir` None keeps everything in memory: it is gone with the process.
    `insecure` allows a `host` that other machines can reach; every one of them can then read and change all.
    """

    host: str = "127.0.0.1"
    port: int = 2181
    data_dir: Path | None = None
    insecure: bool = False

    # Sessions: a client's timeout is brought into 2 to 20 ticks, and ends are rounded up to a tick.
    tick_ms: int = 2000

    # Limits; what is over them is closed, but too many requests at once just wait.
    # Where there is no room, connections that have not asked for a session yet go first.
    # `storm dev` has up to 1,000 workers. Never more than half of the files that the process may have open.
    connections_max: int = 2000
    connections_per_address_max: int = 60  # loopback is exempt
    requests_per_turn_max: int = 1000
    turn_secs: float = 0.004  # of one connection, from when on the others have their turn
    unsent_size_max_bytes: int = 16 * 1024 * 1024

    # A snapshot is written after so many transactions, or as many as there are nodes if that is more.
    snapshot_every_transactions: int = 10_000

    # TLS on a port of its own; None serves none. `tls_ca_file` None asks clients for no certificate.
    tls_port: int | None = None
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_ca_file: Path | None = None
