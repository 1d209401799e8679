from __future__ import annotations

import pytest

from storm.ids import GlobalStreamId
from storm.metrics.insight_records import ExecutorInsight, FailedTuple, Hindrance, WorkerInsight
from storm.metrics.stats_records import WINDOWS, BoltStats, ExecutorStats, SpoutStats
from storm.thrift.binary_protocol import serialize
from storm.thrift.connection import ServerLimits
from storm.thrift.convert import executor_stats_to_thrift
from storm.thrift.figures import insight_bytes, stats_bytes
from storm.thrift.insight_convert import worker_insight_to_thrift
from storm.thrift.prescan import ScanLimits, scan_struct


def bolt(inputs: int, outputs: int) -> ExecutorStats:
    streams = {GlobalStreamId(f"component-{i}", "default"): 1 for i in range(inputs)}
    taken = dict.fromkeys(WINDOWS, streams)
    emitted = {window: {str(i): 1 for i in range(outputs)} for window in WINDOWS}
    insight = ExecutorInsight(Hindrance("back-pressure", ("sink",), ("b:6700", "c:6701"), 1.0, "the sink is full"))
    return ExecutorStats(emitted, emitted, BoltStats(*[taken] * 5), insight=insight)


def spout(outputs: int, failures: int) -> ExecutorStats:
    emitted = {window: {f"stream-{i}": 1 for i in range(outputs)} for window in WINDOWS}
    failed = FailedTuple(3, "17", "timeout", "sink", "it waited in the queue of sink, task 7", 31.5, 1_700_000_000)
    return ExecutorStats(emitted, emitted, SpoutStats(*[emitted] * 3), failures=(failed,) * failures)


@pytest.mark.parametrize(
    "stats", [bolt(0, 0), bolt(1, 1), bolt(40, 3), bolt(3, 40), spout(0, 0), spout(1, 100), spout(30, 2)]
)
def test_the_estimate_is_a_little_more_than_it_takes(stats: ExecutorStats) -> None:
    struct = executor_stats_to_thrift(stats)
    assert len(serialize(struct)) <= stats_bytes(struct) <= 1.2 * len(serialize(struct)) + 400


def test_what_a_worker_tells_of_its_peers_is_estimated_likewise() -> None:
    peers = tuple(f"a-host-somewhere-{i}:6700" for i in range(50))
    dropped = dict.fromkeys(("too-old", "unknown-task"), 7)
    for insight in (
        WorkerInsight(),
        WorkerInsight(("a", "b"), dict.fromkeys(peers, ("a",)), peers, peers, 50, 3, dropped),
    ):
        struct = worker_insight_to_thrift(insight)
        assert len(serialize(struct)) <= insight_bytes(struct) <= 1.2 * len(serialize(struct)) + 400
    assert insight_bytes(None) == 0


def test_so_many_bytes_have_no_more_values_than_a_server_takes() -> None:
    short = GlobalStreamId("a", "b")
    bolts = BoltStats(*[{window: {short: 1} for window in WINDOWS}] * 5)
    for stats in (ExecutorStats({}, {}, bolts), ExecutorStats({"1": {"": 1}}, {"1": {"": 1}}, SpoutStats())):
        data = serialize(executor_stats_to_thrift(stats))
        values_max = ServerLimits().values_max * len(data) // (1 << 20)
        scan_struct(data, limits=ScanLimits(values_max=values_max))
