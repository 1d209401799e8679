"""A server that is killed loses nothing that it acknowledged."""

from __future__ import annotations

import contextlib
import random
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from kazoo.protocol import serialization as wire
from kazoo.security import OPEN_ACL_UNSAFE
from zookeeper_raw_client import RawClient
from zookeeper_servers import ZooKeeperProcess, free_port

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 20
WINDOW = 16  # requests on their way


def write_until_cut(client: RawClient, first: int, acknowledged: list[str], progress: threading.Semaphore) -> None:
    """Create nodes, `WINDOW` ahead of the replies, until the server is gone."""
    waiting: list[str] = []
    with contextlib.suppress(OSError):
        while True:
            path = f"/n{first + len(acknowledged) + len(waiting)}"
            client.send(wire.Create(path, b"x" * 100, OPEN_ACL_UNSAFE, 0))
            waiting.append(path)
            if len(waiting) == WINDOW:
                assert client.read_reply().error == 0
                acknowledged.append(waiting.pop(0))
                progress.release()


def test_kill_in_the_middle_of_writes_loses_no_acknowledged_write(embedded_zookeeper: ZooKeeperProcess) -> None:
    rng = random.Random(1)
    acknowledged: list[str] = []
    last_zxid = 0
    for round_ in range(KILLS):
        progress = threading.Semaphore(0)
        fresh: list[str] = []
        with contextlib.closing(RawClient(embedded_zookeeper.port)) as client:
            client.connect(seen=last_zxid)
            writer = threading.Thread(target=write_until_cut, args=(client, round_ * 100_000, fresh, progress))
            writer.start()
            for _ in range(rng.randrange(1, 300)):
                assert progress.acquire(timeout=20)
            embedded_zookeeper.kill()
            writer.join(20)
        acknowledged += fresh
        last_zxid = client.last_zxid
        embedded_zookeeper.restart()

    with contextlib.closing(RawClient(embedded_zookeeper.port)) as client:
        client.connect(seen=last_zxid)
        names = client.call(wire.GetChildren("/", None)).body
        there = set(wire.GetChildren.deserialize(names, 0))
    assert len(acknowledged) > KILLS
    assert [path for path in acknowledged if path[1:] not in there] == []


def children(client: RawClient) -> set[str]:
    """The names below the root."""
    return set(wire.GetChildren.deserialize(client.call(wire.GetChildren("/", None)).body, 0))


def test_a_full_disk_ends_the_server_with_a_reason_and_loses_no_acknowledged_write(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: a write fails in its middle, as there."""
    port, log = free_port(), tmp_path / "zookeeper.log"
    server = [sys.executable, "-m", "storm.dev_zookeeper", "--port", str(port), "--data-dir", str(tmp_path / "data")]
    full = ZooKeeperProcess(["sh", "-c", 'ulimit -f 64; exec "$@"', "sh", *server], port, log)
    acknowledged: list[str] = []
    with contextlib.closing(RawClient(port)) as client:
        client.connect()
        write_until_cut(client, 0, acknowledged, threading.Semaphore(0))
    assert full.wait() == 20
    assert f"{tmp_path / 'data'} cannot be written ([Errno 27] File too large), so the server stops" in log.read_text()
    assert "Traceback" not in log.read_text()
    full.restart()  # it starts all the same
    full.stop()

    roomy = ZooKeeperProcess(server, port, log)
    with contextlib.closing(RawClient(port)) as client:
        client.connect()
        assert len(acknowledged) > WINDOW
        assert client.call(wire.Create("/again", b"", OPEN_ACL_UNSAFE, 0)).error == 0
        assert [path for path in acknowledged if path[1:] not in children(client)] == []
    assert roomy.stop() == 0


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_sessions_and_their_ephemerals_outlive_the_server(embedded_zookeeper: ZooKeeperProcess, end: str) -> None:
    with contextlib.closing(RawClient(embedded_zookeeper.port)) as client:
        client.connect()
        client.call(wire.Create("/e", b"", OPEN_ACL_UNSAFE, 1))
        getattr(embedded_zookeeper, end)()
        embedded_zookeeper.restart()

        client.reconnect()
        session_id = client.session_id
        client.connect(seen=client.last_zxid)
        assert client.session_id == session_id
        assert client.call(wire.Exists("/e", None)).error == 0
        assert client.call(wire.CloseInstance).error == 0

    with contextlib.closing(RawClient(embedded_zookeeper.port)) as other:
        assert other.connect().call(wire.Exists("/e", None)).error == -101
