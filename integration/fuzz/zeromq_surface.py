"""The ports of two real workers whose tuples go from one to the other all the time.

Between workers nobody is asked who he is: bytes that are right in every respect are taken, for nothing can tell them
from a worker's. So a case whose frames a worker would take, by its own code, is not sent; what is tested is the rest.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
import zlib
from typing import TYPE_CHECKING, Any

import steady_topology
import worker_site
from corpus import Case, load
from make_corpus import ZMTP_GREETING, zmtp_message, zmtp_ready
from mutator import mutated
from neighbour import HOST, Sample, samples
from surface import ANSWER_SECS, CONNECT_SECS, Surface
from zookeeper_servers import start_embedded

from storm.errors import FrameError
from storm.messaging import batch
from storm.messaging.batch import Hello, Throttle, WorkerAddress
from storm.messaging.columns import Columns
from storm.messaging.tuple_codec import encode_rows
from storm.tuples import Origin
from storm.worker import connections
from storm.worker.receive import Receive

if TYPE_CHECKING:
    import random
    from array import array
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from storm.executor.transfer import Tracking
    from storm.ids import StreamId, TaskId
    from storm.tuples import Tuple

SHAKEN = ZMTP_GREETING + zmtp_ready()
PREFIX = struct.Struct("<4sI")  # of our frames: magic, CRC-32 of all that follows
WAIT_SECS = 40.0


class SteadySite(worker_site.Site):
    topology_module = steady_topology


class ZeroMq(Surface):
    name = "zeromq"
    about = "the ports of two workers"
    handshake = SHAKEN
    endless = (SHAKEN, b"\x01\x00")  # empty parts, each with more to come

    def start(self, directory: Path) -> None:
        zookeeper = directory / "zookeeper"
        zookeeper.mkdir()
        server = start_embedded(zookeeper)
        self.closing.callback(server.stop)
        self.site = SteadySite(directory, server, {})
        self.closing.callback(self.site.close)
        for slot in (self.site.a, self.site.b):
            self.site.launch(slot)
        self.ports = (self.site.b.port, self.site.a.port)
        self._oracle = Oracle(self.site)
        self.forged = 0
        worker_site.until(lambda: len(self.samples()) > 20, f"tuples flow; logs:\n{self.site.logs()}")

    def processes(self) -> dict[str, int]:
        names = zip(("worker-a", "worker-b"), self.site.workers, strict=True)
        return {name: worker.process.pid for name, worker in names if worker.process.poll() is None}

    def samples(self) -> list[Sample]:
        return samples(self.site.notes / "spout")

    def seeds(self) -> list[Case]:
        return [*load(self.name), *self._own_sessions()]

    def _own_sessions(self) -> Iterator[Case]:
        """Frames with the addresses of this run, each wrong in one respect."""
        for name, frame in own_frames(self.site):
            yield Case(name, SHAKEN + zmtp_message(frame))

    def change(self, data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
        """Inside a message, half of the time with a checksum that is right again."""
        messages = split(data)
        if not messages or rng.random() < 0.3:
            return mutated(data, rng, seeds)
        at = rng.randrange(len(messages))
        content = mutated(messages[at], rng, seeds)
        if rng.random() < 0.5 and len(content) > PREFIX.size:
            content = PREFIX.pack(batch.MAGIC, zlib.crc32(content[PREFIX.size :])) + content[PREFIX.size :]
        messages[at] = content
        return SHAKEN + b"".join(map(zmtp_message, messages))

    def attack(self, data: bytes, ports: Sequence[int]) -> None:
        if any(self._oracle.would_be_taken(message) for message in split(data)):
            self.forged += 1
            return
        shake_and_send(data, ports[len(data) % len(ports)])

    def serves_new_client(self) -> bool:
        """Whether a handshake is answered."""
        try:
            with socket.create_connection((HOST, self.ports[0]), timeout=5.0) as sock:
                sock.sendall(SHAKEN)
                return b"READY" in told(sock, len(ZMTP_GREETING) + 8)
        except OSError:
            return False

    def trouble(self) -> list[str]:
        """The topology's ledger: nothing came to a bolt but what was emitted, and all that was emitted was acked."""
        notes = self.site.notes
        wrong = (notes / "wrong").read_text().splitlines()
        found = [f"a wrong tuple was delivered: {line}" for line in wrong[:5]]
        (notes / "stop").touch()
        until = time.monotonic() + WAIT_SECS
        while not (notes / "done").exists():
            if time.monotonic() > until:
                return [*found, f"not all tuples were acked within {WAIT_SECS:.0f} s after the attack"]
            time.sleep(0.1)
        emitted = int((notes / "done").read_text())
        got = {int(line) for path in notes.glob("bolt-*") for line in path.read_text().split()}
        if got != set(range(1, emitted + 1)):
            found.append(f"{len(got)} different numbers arrived, {emitted} were emitted")
        return found

    def notes(self) -> list[str]:
        emitted = (self.site.notes / "done").read_text()
        return [
            f"{emitted} tuples emitted meanwhile, all acked, none wrong",
            f"{self.forged} cases were not sent: a worker would take them for another's",
        ]


def shake_and_send(data: bytes, port: int) -> None:
    """As `send_case`, but a sound handshake waits for the other side's: what comes earlier is a part of it."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=CONNECT_SECS) as sock:
        sock.settimeout(ANSWER_SECS)
        with contextlib.suppress(OSError):
            if data.startswith(SHAKEN):
                sock.sendall(SHAKEN)
                told(sock, len(ZMTP_GREETING) + 8)
                data = data[len(SHAKEN) :]
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 16):
            pass


def told(sock: socket.socket, least: int) -> bytes:
    """What the other side said, at least so many bytes unless it closes."""
    found = b""
    while len(found) < least and (part := sock.recv(4096)):
        found += part
    return found


def split(data: bytes) -> list[bytes]:
    """The messages after a sound handshake."""
    messages: list[bytes] = []
    if not data.startswith(SHAKEN):
        return messages
    at = len(SHAKEN)
    while at + 2 <= len(data):
        is_long = data[at] & 2
        size = int.from_bytes(data[at + 1 : at + 9], "big") if is_long else data[at + 1]
        at += 9 if is_long else 2
        if size > len(data) - at:
            break
        messages.append(data[at : at + size])
        at += size
    return messages


class Lanes:
    """What a worker's lanes would have been given, of tuples for bolts and of tracking."""

    def __init__(self, tasks: frozenset[TaskId], bolts: frozenset[TaskId]) -> None:
        self._tasks = tasks
        self._bolts = bolts
        self.given = 0

    def deliver(self, target: TaskId, tuples: list[Tuple]) -> bool:
        self.given += target in self._bolts
        return target in self._bolts

    def deliver_tracking(
        self, kind: Tracking, target: TaskId, source: TaskId, pairs: array[int] | memoryview
    ) -> object:
        self.given += 1
        return True

    def origin(self, task: TaskId, stream: StreamId) -> Origin:
        if task not in self._tasks or stream != "default":
            raise KeyError(task)
        return Origin("numbers", stream, task, ("number", "text"))


class Oracle:
    """Says whether one of the workers would take anything of a frame: what is right in every respect is no attack."""

    def __init__(self, site: worker_site.Site) -> None:
        everybody = frozenset(
            task for executors in site.executors.values() for executor in executors for task in executor.tasks()
        )
        self._lanes = Lanes(everybody, frozenset(site.bolt_tasks))
        self._receivers = [
            Receive(
                self._lanes,
                frozenset(task for executor in site.executors[slot] for task in executor.tasks()),
                connections.view(site.assignment, slot),
            )
            for slot in (site.a, site.b)
        ]

    def would_be_taken(self, frame: bytes) -> bool:
        try:
            batch.read_frame(frame)
        except FrameError:
            return False
        given = self._lanes.given
        return any(receive.take(frame) is not None or self._lanes.given > given for receive in self._receivers)


def own_frames(site: worker_site.Site) -> Iterator[tuple[str, bytes]]:
    """Frames as worker a sends them to worker b, and each thing that can be wrong with one."""
    a = WorkerAddress(batch.topology_hash(worker_site.TOPOLOGY_ID), batch.node_hash(worker_site.NODE), site.a.port, 1)
    bolt = site.bolt_tasks[0]
    spout = site.executors[site.a][-1].start_task
    origin = Origin("numbers", "default", spout, ("number", "text"))
    rows: list[list[Any]] = [[7, "made up"], [8, "made up"]]

    def section(
        rows: list[list[Any]], target: int = bolt, origin: Origin = origin, values: bytes | None = None
    ) -> bytes:
        columns = Columns(rows, None, {}, True)
        return batch.tuple_section(target, origin, columns, encode_rows(rows) if values is None else values)

    def frame(*sections: bytes, source: WorkerAddress = a) -> bytes:
        return batch.batch_frame(source, sections)

    good = frame(section(rows))
    yield "own-bit-flipped", good[:20] + bytes([good[20] ^ 1]) + good[21:]
    yield "own-cut-short", good[:-3]
    yield "own-checksum-wrong", good[:4] + bytes(4) + good[8:]
    yield "own-version-wrong", with_checksum(good[:8] + bytes([batch.NEWEST + 1]) + good[9:])
    yield "own-kind-unknown", with_checksum(good[:9] + b"\x63" + good[10:])
    yield "own-topology-wrong", frame(section(rows), source=a._replace(topology_hash=1))
    yield "own-epoch-old", frame(section(rows), source=a._replace(epoch=0))
    yield "own-target-unknown", frame(section(rows, target=9999))
    yield "own-target-of-a-spout", frame(section(rows, target=spout))
    yield "own-source-unknown", frame(section(rows, origin=Origin("numbers", "default", 9999, ("number", "text"))))
    yield "own-stream-unknown", frame(section(rows, origin=Origin("numbers", "nowhere", spout, ("number", "text"))))
    yield "own-too-many-values", frame(section([[1, "a", "b"]]))
    yield "own-too-few-values", frame(section([[1]]))
    yield "own-count-wrong", frame(section(rows, values=encode_rows(rows * 3)))
    yield "own-values-that-are-no-list", frame(section(rows, values=b"\x80"))
    yield "own-values-of-nothing", frame(section(rows, values=b""))
    yield "own-values-claim-4-billion", frame(section(rows, values=b"\xdd\xff\xff\xff\xff"))
    yield "own-values-nested-100000", frame(section(rows, values=b"\x91" * 100_000))
    yield "own-values-of-empty-maps", frame(section(rows, values=b"\xdd\x00\x0f\x42\x40" + b"\x80" * 1_000_000))
    yield "own-values-of-an-unknown-extension", frame(section(rows, values=b"\x91\xd4\x63\x00"))
    yield "own-values-of-a-registered-type", frame(section(rows, values=b"\x91\xc7\x04\x04\x92\xa1x\xc0"))
    yield "own-section-unknown", frame(b"\x09" + bytes(40))
    yield "own-section-of-4-gigabytes", frame(section(rows)[:16] + b"\xff" * 16)
    yield "own-tracking-of-unknown-kind", frame(struct.pack("<BBHiiI", 2, 99, 0, 1, spout, 1) + bytes(16))
    yield "own-tracking-that-claims-more", frame(struct.pack("<BBHiiI", 2, 1, 0, 1, spout, 2**32 - 1))
    yield "own-hello-too-short", batch.hello_frame(a, Hello(True, 1))[:-1]
    yield "own-hello-of-a-stranger", batch.hello_frame(a._replace(port=1, epoch=99), Hello(True, 1))
    yield "own-throttle-that-lies", with_checksum(batch.throttle_frame(a, Throttle(1000, (1, 2)))[:-4])
    yield "own-nothing-in-it", frame()


def with_checksum(frame: bytes) -> bytes:
    return PREFIX.pack(batch.MAGIC, zlib.crc32(frame[PREFIX.size :])) + frame[PREFIX.size :]
