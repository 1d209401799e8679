"""The well-behaved neighbour: calls a daemon all the time, and notes how long each call took.

`neighbour.py KIND PORT FILE`, as a process of its own, so that the attacker's work is not in its figures. Each line of
FILE: the time of the call (CLOCK_MONOTONIC, which all processes share), its seconds, and `ok` or what went wrong.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
PAUSE_SECS = 0.005
TIMEOUT_SECS = 20.0


class Sample(NamedTuple):
    """`trouble` is empty for a call that went well."""

    started: float
    secs: float
    trouble: str

    @property
    def ended(self) -> float:
        return self.started + self.secs


def samples(file: Path) -> list[Sample]:
    """What was noted so far."""
    found = []
    lines = file.read_text(errors="replace").splitlines(keepends=True) if file.exists() else []
    for line in lines:
        words = line.split(" ", 2)
        if line.endswith("\n") and len(words) == 3:
            trouble = words[2].strip()
            found.append(Sample(float(words[0]), float(words[1]), "" if trouble == "ok" else trouble))
    return found


class Caller(Protocol):
    """One connection of a good client."""

    def call(self) -> None:
        """Raises whatever goes wrong."""

    def close(self) -> None: ...


class ThriftCaller:
    def __init__(self, service: str, port: int) -> None:
        from storm.thrift.client import ThriftClient

        self._service = service
        self._client = ThriftClient(service, HOST, port, TIMEOUT_SECS)

    def call(self) -> None:
        from storm.errors import TopologyNotAliveError

        if self._service == "Nimbus":
            assert self._client.call("isTopologyNameAllowed", "a-free-name") is True
            return
        try:
            self._client.call("getLocalAssignmentForStorm", "no-topology")
        except TopologyNotAliveError:
            return
        raise AssertionError("a topology that nobody submitted is assigned")

    def close(self) -> None:
        self._client.close()


class ZooKeeperCaller:
    """Reads, and every tenth time writes, which waits for the disk."""

    def __init__(self, port: int) -> None:
        from kazoo.protocol import serialization as wire
        from kazoo.security import OPEN_ACL_UNSAFE
        from zookeeper_raw_client import RawClient

        self._client = RawClient(port).connect(timeout_ms=60_000)
        self._client.call(wire.Create("/neighbour", b"0", OPEN_ACL_UNSAFE, 0))
        self._read = wire.GetData("/neighbour", None)
        self._write = wire.SetData("/neighbour", b"1", -1)
        self._count = 0

    def call(self) -> None:
        self._count += 1
        reply = self._client.call(self._read if self._count % 10 else self._write)
        assert reply.error == 0, f"error {reply.error}"

    def close(self) -> None:
        self._client.close()


class HttpCaller:
    """Asks for the same path again and again, on one connection where the server keeps it."""

    def __init__(self, port: int, path: str) -> None:
        from http.client import HTTPConnection

        self._client = HTTPConnection(HOST, port, timeout=TIMEOUT_SECS)
        self._path = path

    def call(self) -> None:
        self._client.request("GET", self._path)
        answer = self._client.getresponse()
        answer.read()
        assert answer.status == 200, f"status {answer.status}"

    def close(self) -> None:
        self._client.close()


CALLERS: dict[str, Callable[[int], Caller]] = {
    "thrift-nimbus": lambda port: ThriftCaller("Nimbus", port),
    "thrift-supervisor": lambda port: ThriftCaller("Supervisor", port),
    "zookeeper": ZooKeeperCaller,
    "http-ui": lambda port: HttpCaller(port, "/api/v1/cluster/summary"),
    "http-logviewer": lambda port: HttpCaller(port, "/api/v1/listLogs"),
    "http-metrics": lambda port: HttpCaller(port, "/metrics"),
}


def main(kind: str, port: int, file: Path) -> None:
    caller: Caller | None = None
    with file.open("a", buffering=1) as out:
        while True:
            started = time.monotonic()
            trouble = "ok"
            try:
                caller = caller or CALLERS[kind](port)
                caller.call()
            except Exception as error:  # noqa: BLE001  whatever it is, the run is told of it
                trouble = f"{type(error).__name__}: {error}".replace("\n", " ")
                if caller is not None:
                    caller.close()
                caller = None
            out.write(f"{started:.6f} {time.monotonic() - started:.6f} {trouble}\n")
            time.sleep(PAUSE_SECS)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
