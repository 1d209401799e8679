from __future__ import annotations

from one_worker import OneWorker

from storm.testing.spouts_and_bolts import (
    AckTracker,
    Capture,
    FeederSpout,
    FixedTupleSpout,
    SplitSentence,
    TupleCaptureBolt,
    WordCounter,
)
from storm.topology.builder import TopologyBuilder


def test_what_is_fed_comes_out_counted_and_is_acked() -> None:
    feeder, capture = FeederSpout(["sentence"]), Capture()
    builder = TopologyBuilder()
    builder.set_spout("sentences", feeder)
    builder.set_bolt("split", SplitSentence()).shuffle_grouping("sentences")
    builder.set_bolt("count", WordCounter()).fields_grouping("split", ["word"])
    builder.set_bolt("capture", TupleCaptureBolt(capture)).global_grouping("count")
    worker = OneWorker(builder.create_topology())
    feeder.feed(["a b a"], message_id="one")
    feeder.feed(["b"])
    worker.run(lambda: len(capture.tuples()) == 4 and len(feeder.tracker.acked) == 1)
    assert [captured.values for captured in capture.tuples("count", "default")] == [
        ["a", 1],
        ["b", 1],
        ["a", 2],
        ["b", 2],
    ]
    assert capture.tuples("split") == []
    assert feeder.tracker.acked == ["one"]
    assert feeder.tracker.failed == []
    assert feeder.tracker.wait_settled(1, 0)
    assert not feeder.tracker.wait_settled(2, 0)
    assert capture.wait(4, 0)


def test_several_tasks_share_the_fixed_rows() -> None:
    tracker, capture = AckTracker(), Capture()
    builder = TopologyBuilder()
    builder.set_spout("rows", FixedTupleSpout([[n] for n in range(10)], ["n"], tracker), 3)
    builder.set_bolt("capture", TupleCaptureBolt(capture)).global_grouping("rows")
    worker = OneWorker(builder.create_topology())
    worker.run(lambda: len(tracker.acked) == 10)
    assert sorted(captured.values[0] for captured in capture.tuples()) == list(range(10))
    assert sorted(tracker.acked) == list(range(10))
