"""The word count as Bytewax's users write it for speed: batches of 100 sentences, a stateful operator by word.

Run by Bytewax's own `bytewax.run` in an environment of its own: it imports nothing of Storm.
"""

from __future__ import annotations

import os
import random
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from counts import counts

BATCH = 100
SENTENCES = 5000
WORDS_A_SENTENCE = 8


def sentences(vocabulary: int) -> list[str]:
    """As topologies.sentences."""
    draw = random.Random(7)
    return [" ".join(f"word{draw.randrange(vocabulary)}" for _ in range(WORDS_A_SENTENCE)) for _ in range(SENTENCES)]


class SentencePartition(StatelessSourcePartition[str]):
    def __init__(self, vocabulary: int) -> None:
        lines = sentences(vocabulary)
        self.batches = [lines[i : i + BATCH] for i in range(0, SENTENCES, BATCH)]
        self.n = 0

    def next_batch(self) -> list[str]:
        self.n += 1
        return self.batches[self.n % len(self.batches)]


class SentenceSource(DynamicSource[str]):
    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary

    def build(self, step_id: str, worker_index: int, worker_count: int) -> SentencePartition:
        return SentencePartition(self.vocabulary)


class WordCount(StatefulBatchLogic[int, tuple[str, int], int]):
    def __init__(self, resumed: int | None) -> None:
        self.count = resumed or 0

    def on_batch(self, values: list[int]) -> tuple[list[int], bool]:
        self.count += len(values)
        return [self.count] * len(values), False

    def snapshot(self) -> int:
        return self.count


class CountingPartition(StatelessSinkPartition[Any]):
    def __init__(self) -> None:
        self.executed = 0
        counts({"bench.dir": os.environ["BENCH_DIR"]}).watch(self, "executed")

    def write_batch(self, items: list[Any]) -> None:
        self.executed += len(items)


class CountingSink(DynamicSink[Any]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> CountingPartition:
        return CountingPartition()


def flow(vocabulary: int) -> Dataflow:
    dataflow = Dataflow("words")
    lines = op.input("lines", dataflow, SentenceSource(vocabulary))
    words = op.flat_map_batch("split", lines, lambda batch: [(word, 1) for line in batch for word in line.split(" ")])
    totals = op.stateful_batch("count", words, WordCount)
    op.output("counted", totals, CountingSink())
    return dataflow
