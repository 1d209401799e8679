from __future__ import annotations

from typing import Any

import pytest
from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to
from several_workers import SeveralWorkers

from storm.executor.latencies import Latencies
from storm.executor.task import OutputStream
from storm.ids import GlobalStreamId
from storm.metrics.distribution import LATENCY_BUCKETS, SECONDS_BOUNDS, Distribution, upper_bound
from storm.topology.builder import TopologyBuilder
from storm.tuples import Origin

SOURCE = GlobalStreamId("spout", "default")


def shown(buckets: dict[int, int]) -> list[int]:
    """As Prometheus is shown them: how many up to each bound."""
    return Distribution(buckets=buckets).at_most(SECONDS_BOUNDS)


def test_there_is_a_bucket_below_each_bound_and_one_above_all() -> None:
    assert tuple(upper_bound(bucket) for bucket in LATENCY_BUCKETS[:-1]) == SECONDS_BOUNDS
    assert upper_bound(LATENCY_BUCKETS[-1]) > SECONDS_BOUNDS[-1]


@pytest.mark.parametrize("i", range(len(SECONDS_BOUNDS)))
def test_a_value_counts_from_the_first_bound_that_it_does_not_exceed(i: int) -> None:
    latencies = Latencies()
    latencies.add(SECONDS_BOUNDS[i], 2)
    latencies.add(SECONDS_BOUNDS[i] * 1.01, 3)
    assert shown(latencies.read())[i : i + 2] == [2, 5][: len(SECONDS_BOUNDS) - i]
    assert sum(latencies.read().values()) == 5


def test_what_takes_no_time_or_very_long_is_counted_too_and_what_is_empty_is_not_told() -> None:
    latencies = Latencies()
    for secs in (-1.0, 0.0, 1e9):
        latencies.add(secs, 1)
    assert latencies.read() == {LATENCY_BUCKETS[0]: 2, LATENCY_BUCKETS[-1]: 1}
    assert Latencies().read() == {}


def test_each_sample_of_acks_stands_for_those_beside_it() -> None:
    out = OutputStream(Origin("spout", "default", 1, ["n"]), direct=False)
    for since in [10.0] * 16 + [9.0] * 16 + [2.0] * 3:
        out.count_acked(since)
    out.told(10.1)
    assert out.latencies.read() == {LATENCY_BUCKETS[8]: 16, LATENCY_BUCKETS[10]: 16, LATENCY_BUCKETS[11]: 3}
    out.count_acked(10.0)
    out.told(10.1)
    out.told(99.0)
    assert sum(out.latencies.read().values()) == out.acked == 36


def totals(one: SeveralWorkers, component: str) -> Any:
    [executor] = [each for each in one.workers[0].executors if each.component == component]
    return executor.totals()


def test_executors_tell_how_long_everything_took() -> None:
    script = Script(next_tuple=emit_up_to(40), execute=lambda bolt, tup: slow(bolt, tup))
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("bolt", ScriptedBolt(script)).shuffle_grouping("spout")
    one = SeveralWorkers(builder.create_topology())

    def slow(bolt: Any, tup: Any) -> None:
        one.clock.jump_to(one.clock.now() + 0.5)
        ack_it(bolt, tup)

    one.run_for(60)
    bolt, spout = totals(one, "bolt"), totals(one, "spout")
    secs, number = bolt.times["execute"][SOURCE]
    assert (secs, number) == (pytest.approx(20.0), 40)
    assert bolt.buckets["execute"][SOURCE] == {LATENCY_BUCKETS[9]: 40}
    assert sum(bolt.buckets["process"][SOURCE].values()) == bolt.times["process"][SOURCE][1] > 0
    assert sum(spout.buckets["complete"]["default"].values()) == spout.times["complete"]["default"][1] == 40
    assert max(spout.buckets["complete"]["default"]) > LATENCY_BUCKETS[9]
