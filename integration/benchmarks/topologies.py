"""The topologies of the benchmarks: ordinary user code, in the shapes of the rig for Apache Storm.

Settings, given by the case: `bench.dir` and `bench.report_secs` (see counts.py); `bench.shape`, one of SHAPES;
`bench.acked`; `bench.parallelism`, tasks of each component; the others where they are read.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counts import bucket, counts

from storm import Bolt, CustomGrouping, Spout, StormTopology, TopologyBuilder, Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from storm import OutputCollector, SpoutOutputCollector, TopologyContext
    from storm.ids import GlobalStreamId
    from storm.topology.builder import BoltDeclarer

SENTENCES = 5000
WORDS_A_SENTENCE = 8
KEYS = 1_000_000
KEY_STEP = 514_229  # prime to KEYS: every key comes once before any comes again
LATENCY_MASK = 63  # where spouts are saturated, the latency of one tuple in 64 is measured
ROWS = 100  # tuples in a call of emit_many


# --- spouts


class MeasuredSpout(Spout):
    """Counts what it emits and what comes back. Its message ids are the numbers of its tuples."""

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector = collector
        self.n = self.acked = self.failed = 0
        self.started: dict[int, int] = {}
        here = counts(conf)
        here.watch(self, "n", "acked", "failed")
        self.latencies = here.histogram()

    def ack(self, message_id: int) -> None:
        self.acked += 1
        if not message_id & LATENCY_MASK:
            self.latencies[bucket(time.perf_counter_ns() - self.started.pop(message_id))] += 1

    def fail(self, message_id: int) -> None:
        self.failed += 1
        self.started.pop(message_id, None)


class ConstSpout(MeasuredSpout):
    outputs = ["data", "n"]

    def next_tuple(self) -> None:
        self.n = n = self.n + 1
        self.collector.emit(["some data", n])


class AckedConstSpout(MeasuredSpout):
    outputs = ["data", "n"]

    def next_tuple(self) -> None:
        self.n = n = self.n + 1
        if not n & LATENCY_MASK:
            self.started[n] = time.perf_counter_ns()
        self.collector.emit(["some data", n], n)


class PacedSpout(MeasuredSpout):
    """`bench.rate` tuples a second, all tasks together. A message id is the time of emission; every latency counts."""

    outputs = ["data", "n"]

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        super().open(conf, context, collector)
        self.rate = conf["bench.rate"] / len(context.tasks_of(context.component_id))
        self.start = time.perf_counter()

    def next_tuple(self) -> None:
        if self.n < (time.perf_counter() - self.start) * self.rate:
            self.n = n = self.n + 1
            self.collector.emit(["some data", n], time.perf_counter_ns())

    def ack(self, message_id: int) -> None:
        self.acked += 1
        self.latencies[bucket(time.perf_counter_ns() - message_id)] += 1


class BatchConstSpout(MeasuredSpout):
    outputs = ["data", "n"]

    def next_tuple(self) -> None:
        n = self.n
        self.n = n + ROWS
        self.collector.emit_many([["some data", i] for i in range(n, n + ROWS)])


class AckedBatchConstSpout(MeasuredSpout):
    outputs = ["data", "n"]

    def next_tuple(self) -> None:
        n = self.n
        self.n = n + ROWS
        ids = range(n, n + ROWS)
        now = time.perf_counter_ns()
        for i in range((n + LATENCY_MASK) & ~LATENCY_MASK, n + ROWS, LATENCY_MASK + 1):
            self.started[i] = now
        self.collector.emit_many([["some data", i] for i in ids], ids)


class SentenceSpout(MeasuredSpout):
    """Sentences of 8 words, drawn beforehand from `bench.vocabulary` words."""

    outputs = ["sentence"]

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        super().open(conf, context, collector)
        self.sentences = sentences(conf["bench.vocabulary"])

    def next_tuple(self) -> None:
        self.n = n = self.n + 1
        self.collector.emit([self.sentences[n % SENTENCES]])


class AckedSentenceSpout(SentenceSpout):
    def next_tuple(self) -> None:
        self.n = n = self.n + 1
        if not n & LATENCY_MASK:
            self.started[n] = time.perf_counter_ns()
        self.collector.emit([self.sentences[n % SENTENCES]], n)


class AckedBatchSentenceSpout(SentenceSpout):
    def next_tuple(self) -> None:
        n = self.n
        self.n = n + ROWS
        ids = range(n, n + ROWS)
        now = time.perf_counter_ns()
        for i in range((n + LATENCY_MASK) & ~LATENCY_MASK, n + ROWS, LATENCY_MASK + 1):
            self.started[i] = now
        lines = self.sentences
        self.collector.emit_many([[lines[i % SENTENCES]] for i in ids], ids)


class PayloadSpout(MeasuredSpout):
    """Payloads of `bench.size` bytes."""

    outputs = ["payload"]

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        super().open(conf, context, collector)
        self.payload = os.urandom(conf["bench.size"])

    def next_tuple(self) -> None:
        self.n = n = self.n + 1
        if not n & LATENCY_MASK:
            self.started[n] = time.perf_counter_ns()
        self.collector.emit([self.payload], n)


class KeySpout(MeasuredSpout):
    """A million keys, each in its turn: no cache of keys helps."""

    outputs = ["key"]

    def next_tuple(self) -> None:
        self.n = n = self.n + 1
        if not n & LATENCY_MASK:
            self.started[n] = time.perf_counter_ns()
        self.collector.emit([f"user-{n * KEY_STEP % KEYS}"], n)


class IdleSpout(Spout):
    outputs = ["data"]

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.executed = 1  # it counts as under way at once
        counts(conf).watch(self, "executed")

    def next_tuple(self) -> None:
        pass


class UncountedSpout(Spout):
    """Keeps its bolt busy; only that bolt counts."""

    outputs = ["data"]

    def next_tuple(self) -> None:
        self.collector.emit(["some data"], 0)


# --- bolts


class SinkBolt(Bolt):
    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector = collector
        self.executed = 0
        counts(conf).watch(self, "executed")

    def execute(self, tup: Tuple) -> None:
        self.executed += 1
        self.collector.ack(tup)


class BatchSinkBolt(SinkBolt):
    def execute_batch(self, tuples: list[Tuple]) -> None:
        self.executed += len(tuples)
        self.collector.ack_many(tuples)


class ForwardBolt(Bolt):
    outputs = ["data", "n"]

    def execute(self, tup: Tuple) -> None:
        self.collector.emit(tup.values, tup)
        self.collector.ack(tup)


class SplitBolt(Bolt):
    outputs = ["word"]

    def execute(self, tup: Tuple) -> None:
        emit = self.collector.emit
        for word in tup[0].split(" "):
            emit([word], tup)
        self.collector.ack(tup)


class BatchSplitBolt(SplitBolt):
    def execute_batch(self, tuples: list[Tuple]) -> None:
        collector = self.collector
        for tup in tuples:
            collector.emit_many([[word] for word in tup[0].split(" ")], tup)
        collector.ack_many(tuples)


class CountBolt(SinkBolt):
    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        super().prepare(conf, context, collector)
        self.counts: dict[str, int] = {}

    def execute(self, tup: Tuple) -> None:
        word = tup[0]
        self.counts[word] = self.counts.get(word, 0) + 1
        self.executed += 1
        self.collector.ack(tup)


class BatchCountBolt(CountBolt):
    def execute_batch(self, tuples: list[Tuple]) -> None:
        found = self.counts
        for tup in tuples:
            word = tup[0]
            found[word] = found.get(word, 0) + 1
        self.executed += len(tuples)
        self.collector.ack_many(tuples)


class AwaitBolt(SinkBolt):
    """Awaits for a millisecond, as a call of a web service would."""

    async def execute(self, tup: Tuple) -> None:  # type: ignore[override]
        await asyncio.sleep(0.001)
        self.executed += 1
        self.collector.ack(tup)


class SleepBolt(Bolt):
    """Blocks for `bench.sleep_secs`, as a call of a database would. It counts as `slept`."""

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector = collector
        self.secs = conf["bench.sleep_secs"]
        self.slept = 0
        counts(conf).watch(self, "slept")

    def execute(self, tup: Tuple) -> None:
        time.sleep(self.secs)
        self.slept += 1
        self.collector.ack(tup)


class FirstBolt(SinkBolt):
    """Writes down when its first tuple came, and what CPU time its process had used by then."""

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        super().prepare(conf, context, collector)
        self.file = Path(conf["bench.dir"], f"{os.getpid()}.first")

    def execute(self, tup: Tuple) -> None:
        if not self.executed:
            self.file.write_text(json.dumps({"t": time.time(), "cpu_secs": time.process_time()}))
        super().execute(tup)


class OtherWorkerGrouping(CustomGrouping):
    """The tasks of the other workers in turn: every tuple crosses."""

    def prepare(self, context: TopologyContext, stream: GlobalStreamId, target_tasks: Sequence[int]) -> None:
        self.away = [[task] for task in target_tasks if task not in context.worker_tasks]
        self.turn = 0

    def choose_tasks(self, task_id: int, values: Sequence[Any]) -> Sequence[int]:
        self.turn = (self.turn + 1) % len(self.away)
        return self.away[self.turn]


# --- shapes


def sentences(vocabulary: int) -> list[str]:
    draw = random.Random(7)
    return [" ".join(f"word{draw.randrange(vocabulary)}" for _ in range(WORDS_A_SENTENCE)) for _ in range(SENTENCES)]


def shuffled(bolt: BoltDeclarer, source: str, conf: Mapping[str, Any]) -> None:
    """By `bench.grouping`: shuffle, local (or shuffle), or away: always to another worker."""
    grouping = conf.get("bench.grouping", "shuffle")
    if grouping == "local":
        bolt.local_or_shuffle_grouping(source)
    elif grouping == "away":
        bolt.custom_grouping(source, OtherWorkerGrouping())
    else:
        bolt.shuffle_grouping(source)


def pair(spout: Spout, bolt: Bolt) -> Callable[[TopologyBuilder, Mapping[str, Any]], None]:
    """A spout and a bolt."""

    def build(builder: TopologyBuilder, conf: Mapping[str, Any]) -> None:
        tasks = conf["bench.parallelism"]
        builder.set_spout("spout", spout, tasks)
        shuffled(builder.set_bolt("sink", bolt, tasks), "spout", conf)

    return build


def words(spout: Spout, split: Bolt, count: Bolt) -> Callable[[TopologyBuilder, Mapping[str, Any]], None]:
    def build(builder: TopologyBuilder, conf: Mapping[str, Any]) -> None:
        tasks = conf["bench.parallelism"]
        builder.set_spout("spout", spout, tasks)
        shuffled(builder.set_bolt("split", split, tasks), "spout", conf)
        builder.set_bolt("count", count, tasks).fields_grouping("split", ["word"])

    return build


def keys(builder: TopologyBuilder, conf: Mapping[str, Any]) -> None:
    builder.set_spout("spout", KeySpout(), conf["bench.parallelism"])
    builder.set_bolt("sink", SinkBolt(), conf["bench.parallelism"]).fields_grouping("spout", ["key"])


def fan_out(builder: TopologyBuilder, conf: Mapping[str, Any]) -> None:
    builder.set_spout("spout", AckedConstSpout())
    builder.set_bolt("sink", SinkBolt(), 4).all_grouping("spout")


def chain(builder: TopologyBuilder, conf: Mapping[str, Any]) -> None:
    """Five bolts in a row, the last of them a sink; `bench.fused`: by the none grouping."""
    builder.set_spout("spout", AckedConstSpout())
    source = "spout"
    for i in range(1, 6):
        bolt = builder.set_bolt(f"bolt{i}", ForwardBolt() if i < 5 else SinkBolt())
        if conf.get("bench.fused"):
            bolt.none_grouping(source)
        else:
            bolt.shuffle_grouping(source)
        source = f"bolt{i}"


def neighbours(builder: TopologyBuilder, conf: Mapping[str, Any]) -> None:
    """An acked pair, and where `bench.sleep_secs` is not 0 beside it another whose bolt blocks."""
    pair(AckedConstSpout(), SinkBolt())(builder, conf)
    if conf["bench.sleep_secs"]:
        builder.set_spout("other", UncountedSpout())
        builder.set_bolt("sleeper", SleepBolt()).shuffle_grouping("other")


SHAPES: dict[str, Callable[[TopologyBuilder, Mapping[str, Any]], None]] = {
    "hop-unacked": pair(ConstSpout(), SinkBolt()),
    "hop-acked": pair(AckedConstSpout(), SinkBolt()),
    "hop-latency": pair(PacedSpout(), SinkBolt()),
    "words-unacked": words(SentenceSpout(), SplitBolt(), CountBolt()),
    "words-acked": words(AckedSentenceSpout(), SplitBolt(), CountBolt()),
    "batch-hop-unacked": pair(BatchConstSpout(), BatchSinkBolt()),
    "batch-hop-acked": pair(AckedBatchConstSpout(), BatchSinkBolt()),
    "batch-words-acked": words(AckedBatchSentenceSpout(), BatchSplitBolt(), BatchCountBolt()),
    "size": pair(PayloadSpout(), SinkBolt()),
    "keys": keys,
    "fan-out": fan_out,
    "chain": chain,
    "async-io": pair(AckedConstSpout(), AwaitBolt()),
    "neighbours": neighbours,
    "slow-bolt": pair(AckedConstSpout(), SleepBolt()),
    "slow-bolt-unacked": pair(ConstSpout(), SleepBolt()),
    "idle": pair(IdleSpout(), SinkBolt()),
    "first": pair(AckedConstSpout(), FirstBolt()),
}


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    SHAPES[conf["bench.shape"]](builder, conf)
    return builder.create_topology()
