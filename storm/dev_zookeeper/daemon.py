"""The process `storm dev-zookeeper`: one server until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import sys

from storm.dev_zookeeper.options import DevZooKeeperOptions
from storm.dev_zookeeper.server import make_server
from storm.errors import ConfigError, StormError

__all__ = ["DevZooKeeperOptions", "run"]

log = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_REFUSED = 1  # a person must change something: the port, the directory, an option
EXIT_FAILED = 20  # it cannot go on, as when the disk is full


def run(options: DevZooKeeperOptions) -> int:
    """Serve until SIGTERM or SIGINT; the exit code of the process. To be called in the main thread."""
    try:
        check_options(options)
        asyncio.run(_serve(options))
    except StormError as error:
        print(f"storm dev-zookeeper: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except OSError as error:
        print(f"storm dev-zookeeper: {error}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


def check_options(options: DevZooKeeperOptions) -> None:
    """Raises `ConfigError` for options that would be unsafe or cannot work."""
    if not _is_loopback(options.host) and not options.insecure:
        raise ConfigError(
            f"host {options.host} can be reached from other machines, and nobody who comes "
            "from there is asked for a password: use 127.0.0.1, or --insecure if that is what you want"
        )
    if options.tick_ms < 1:
        raise ConfigError(f"tick_ms is {options.tick_ms}; it must be 1 or more")


def banner(options: DevZooKeeperOptions, port: int) -> str:
    """What a person reads at the start."""
    kept = "in memory, gone when it ends" if options.data_dir is None else f"in {options.data_dir}"
    return (
        f"Development ZooKeeper on {options.host}:{port}, data {kept}.\n"
        "One server, for development and tests only. For production use an ensemble of Apache ZooKeeper."
    )


async def _serve(options: DevZooKeeperOptions) -> None:
    server = make_server(options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve(lambda: print(banner(options, server.port), flush=True))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
