"""The same user work without a framework: what Python itself can do.

Run as a program: `bare_loop.py hop`, words, words8, send PORT, receive PORT.
Two method calls and a list append for each tuple, in batches; `send` and `receive` are the two ends of a hop over
ZeroMQ on TCP, a msgpack array of rows for each batch.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from counts import counts

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 500
HWM = 20
CONF = {"bench.dir": os.environ["BENCH_DIR"]}


class Spout:
    def __init__(self) -> None:
        self.n = 0
        self.out: list[list[Any]] = []

    def next_tuple(self) -> None:
        self.n = n = self.n + 1
        self.out.append(["some data", n])


class SentenceSpout(Spout):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        from topologies import sentences

        self.sentences = sentences(vocabulary)

    def next_tuple(self) -> None:
        self.n = n = self.n + 1
        self.out.append([self.sentences[n % len(self.sentences)]])


class Split:
    def __init__(self) -> None:
        self.out: list[list[str]] = []

    def execute(self, row: list[str]) -> None:
        for word in row[0].split(" "):
            self.out.append([word])


class Sink:
    def __init__(self) -> None:
        self.executed = 0
        counts(CONF).watch(self, "executed")

    def execute(self, row: list[Any]) -> None:
        self.executed += 1


class Count(Sink):
    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}

    def execute(self, row: list[str]) -> None:
        word = row[0]
        self.counts[word] = self.counts.get(word, 0) + 1
        self.executed += 1


def batch_of(spout: Spout) -> list[list[Any]]:
    spout.out = batch = []
    next_tuple = spout.next_tuple
    for _ in range(BATCH):
        next_tuple()
    return batch


def hop() -> None:
    spout, sink = Spout(), Sink()
    execute = sink.execute
    while True:
        for row in batch_of(spout):
            execute(row)


def words(vocabulary: int) -> None:
    spout, split, count = SentenceSpout(vocabulary), Split(), Count()
    while True:
        split.out = []
        execute = split.execute
        for row in batch_of(spout):
            execute(row)
        execute = count.execute
        for row in split.out:
            execute(row)


def send(port: str) -> None:
    import msgpack
    import zmq

    socket = zmq.Context().socket(zmq.PUSH)
    socket.set_hwm(HWM)
    socket.connect(f"tcp://127.0.0.1:{port}")
    spout = Spout()
    counts(CONF)
    while True:
        socket.send(msgpack.packb(batch_of(spout)))


def receive(port: str) -> None:
    import msgpack
    import zmq

    socket = zmq.Context().socket(zmq.PULL)
    socket.set_hwm(HWM)
    socket.bind(f"tcp://127.0.0.1:{port}")
    execute = Sink().execute
    while True:
        for row in msgpack.unpackb(socket.recv()):
            execute(row)


LOADS: dict[str, Callable[..., None]] = {
    "hop": hop,
    "words": lambda: words(5003),
    "words8": lambda: words(8),
    "send": send,
    "receive": receive,
}

if __name__ == "__main__":
    LOADS[sys.argv[1]](*sys.argv[2:])
