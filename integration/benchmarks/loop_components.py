"""The user code of the loop cases: the same objects run in the engine and in a bare Python loop.

The shapes are those of the cases on a cluster: a hop is a spout of `["some data", n]` and a sink; sentences of 8 words
from a vocabulary of 5,003 are split and counted. The spouts of acked cases number their messages.
"""

from __future__ import annotations

import random
from typing import Any

from storm import Bolt, Spout, Tuple

VOCABULARY = 5003
WORDS_A_LINE = 8
LINES = 5000
ROWS_A_BATCH = 100  # of the spouts that use emit_many

opened: list[Any] = []  # every component that was opened or prepared in this process, in that order


class Counting:
    """Counts what is done with it. Like most components, it has state when it is pickled."""

    def __init__(self) -> None:
        self.done = 0

    def open(self, conf: Any, context: Any, collector: Any) -> None:
        super().open(conf, context, collector)  # type: ignore[misc]
        opened.append(self)

    def prepare(self, conf: Any, context: Any, collector: Any) -> None:
        super().prepare(conf, context, collector)  # type: ignore[misc]
        opened.append(self)


class ConstSpout(Counting, Spout):
    """`done`: messages acked."""

    outputs = ["data", "n"]
    emitted = 0

    def next_tuple(self) -> None:
        self.emitted += 1
        self.collector.emit(["some data", self.emitted])

    def ack(self, message_id: Any) -> None:
        self.done += 1


class AckedConstSpout(ConstSpout):
    def next_tuple(self) -> None:
        self.emitted += 1
        self.collector.emit(["some data", self.emitted], self.emitted)


class BatchConstSpout(ConstSpout):
    def next_tuple(self) -> None:
        first = self.emitted + 1
        self.emitted += ROWS_A_BATCH
        self.collector.emit_many([["some data", n] for n in range(first, self.emitted + 1)])


class AckedBatchConstSpout(ConstSpout):
    def next_tuple(self) -> None:
        ids = range(self.emitted + 1, self.emitted + ROWS_A_BATCH + 1)
        self.emitted += ROWS_A_BATCH
        self.collector.emit_many([["some data", n] for n in ids], ids)


def sentences(vocabulary: int = VOCABULARY) -> list[str]:
    rng = random.Random(7)
    return [" ".join(f"word{rng.randrange(vocabulary)}" for _ in range(WORDS_A_LINE)) for _ in range(LINES)]


class SentenceSpout(Counting, Spout):
    """`done`: lines acked."""

    outputs = ["sentence"]
    emitted = 0

    def open(self, conf: Any, context: Any, collector: Any) -> None:
        super().open(conf, context, collector)
        self.lines = sentences()

    def next_tuple(self) -> None:
        self.emitted += 1
        self.collector.emit([self.lines[self.emitted % LINES]])

    def ack(self, message_id: Any) -> None:
        self.done += 1


class AckedSentenceSpout(SentenceSpout):
    def next_tuple(self) -> None:
        self.emitted += 1
        self.collector.emit([self.lines[self.emitted % LINES]], self.emitted)


class BatchSentenceSpout(SentenceSpout):
    def next_tuple(self) -> None:
        first = self.emitted % LINES
        self.emitted += ROWS_A_BATCH
        self.collector.emit_many([[line] for line in self.lines[first : first + ROWS_A_BATCH]])


class AckedBatchSentenceSpout(SentenceSpout):
    def next_tuple(self) -> None:
        first = self.emitted % LINES
        ids = range(self.emitted + 1, self.emitted + ROWS_A_BATCH + 1)
        self.emitted += ROWS_A_BATCH
        self.collector.emit_many([[line] for line in self.lines[first : first + ROWS_A_BATCH]], ids)


class Sink(Counting, Bolt):
    """`done`: tuples executed."""

    def execute(self, tup: Tuple) -> None:
        self.done += 1
        self.collector.ack(tup)


class BatchSink(Sink):
    def execute_batch(self, tuples: list[Tuple]) -> None:
        self.done += len(tuples)
        ack = self.collector.ack
        for tup in tuples:
            ack(tup)


class Split(Counting, Bolt):
    outputs = ["word"]

    def execute(self, tup: Tuple) -> None:
        for word in tup[0].split(" "):
            self.collector.emit([word], tup)
        self.collector.ack(tup)


class BatchSplit(Split):
    def execute_batch(self, tuples: list[Tuple]) -> None:
        emit_many, ack = self.collector.emit_many, self.collector.ack
        for tup in tuples:
            emit_many([[word] for word in tup[0].split(" ")], tup)
            ack(tup)


class Count(Counting, Bolt):
    """`done`: words counted."""

    def prepare(self, conf: Any, context: Any, collector: Any) -> None:
        super().prepare(conf, context, collector)
        self.counts: dict[str, int] = {}

    def execute(self, tup: Tuple) -> None:
        word = tup[0]
        self.counts[word] = self.counts.get(word, 0) + 1
        self.done += 1
        self.collector.ack(tup)


class BatchCount(Count):
    def execute_batch(self, tuples: list[Tuple]) -> None:
        counts, ack = self.counts, self.collector.ack
        for tup in tuples:
            word = tup[0]
            counts[word] = counts.get(word, 0) + 1
            ack(tup)
        self.done += len(tuples)
