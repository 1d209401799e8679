"""For workers whose hosts share one address: what they connect to by ZeroMQ is reached through the harness's proxies.

`FAULTS_ROUTES` names a file, {host: {port of another worker: the proxy's port}}, which lies in the directory of the
cluster; a worker's host is part of its launch file's path. Nothing else that Python runs there is changed.
"""

import json
import os
import sys
from pathlib import Path

LOOPBACK = "tcp://127.0.0.1:"


def routes_of(file: Path, launch_file: Path) -> dict[str, int]:
    """{port: the proxy's} for the worker that was launched with this file; empty for what is no worker."""
    if launch_file.name != "launch.json" or file.parent not in launch_file.parents:
        return {}
    host = launch_file.relative_to(file.parent).parts[0].removeprefix("host-")
    found: dict[str, int] = json.loads(file.read_text()).get(host, {})
    return found


def routed(address: str, routes: dict[str, int]) -> str:
    port = address.removeprefix(LOOPBACK)
    return f"{LOOPBACK}{routes[port]}" if address.startswith(LOOPBACK) and port in routes else address


def route(file: Path, launch_file: Path) -> None:
    if routes := routes_of(file, launch_file):
        import zmq

        connect = zmq.Socket.connect
        zmq.Socket.connect = lambda self, address: connect(self, routed(address, routes))


if "FAULTS_ROUTES" in os.environ:
    route(Path(os.environ["FAULTS_ROUTES"]), Path(sys.orig_argv[-1]))
