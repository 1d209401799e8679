from __future__ import annotations

import json
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from exchange_parts import StandingClock
from one_worker import OneWorker
from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to

from storm.cluster.records import DebugOptions
from storm.topology.builder import TopologyBuilder
from storm.tuples import Origin
from storm.worker import sampling
from storm.worker.sampling import SAMPLES_A_SEC, VALUES_CHARS_MAX, EventLog, Samples, Sampling, parts, wanted_shares

if TYPE_CHECKING:
    from pathlib import Path

ALL, OFF = DebugOptions(True, 100.0), DebugOptions(False, 100.0)
WORDS = Origin("words", "default", 3, ["word"])


@pytest.mark.parametrize(
    ("debug", "shares"),
    [
        ({}, {}),
        ({"wc-1-1": DebugOptions(True, 25.0)}, {"split": 0.25, "words": 0.25}),
        ({"wc-1-1": ALL, "split": OFF}, {"words": 1.0}),
        ({"wc-1-1": OFF, "split": DebugOptions(True, 1.0)}, {"split": 0.01}),
        ({"words": DebugOptions(True, 0.0), "other": ALL}, {}),
        ({"words": DebugOptions(True, 900.0)}, {"words": 1.0}),
    ],
)
def test_what_is_set_for_a_component_goes_before_what_is_set_for_all(
    debug: dict[str, DebugOptions], shares: dict[str, float]
) -> None:
    assert wanted_shares(debug, "wc-1-1", ["__acker", "split", "words"]) == shares


def samples(share: float = 1.0) -> tuple[Samples, StandingClock]:
    clock = StandingClock()
    found = Samples(clock, random.Random(1))
    found.want({"words": share}, {"words": ["default"]})
    return found, clock


def test_a_sample_says_who_emitted_what() -> None:
    found, clock = samples()
    found.take(WORDS, ["a", 1])
    [line] = found.taken()
    assert json.loads(line) == {
        "time": clock.wall_secs(),
        "component": "words",
        "task": 3,
        "stream": "default",
        "values": "['a', 1]",
    }
    assert found.taken() == []


def test_a_share_of_the_tuples_is_taken() -> None:
    found, clock = samples(0.1)
    count = 0
    for _ in range(1_000):
        found.take(WORDS, ["a"])
        count += len(found.taken())
        clock.sleep(1)
    assert 60 < count < 140
    found.take(Origin("others", "default", 4, ["word"]), ["a"])
    assert found.taken() == []


def test_more_samples_than_may_be_in_a_second_are_counted() -> None:
    found, clock = samples()
    for _ in range(SAMPLES_A_SEC + 20):
        found.take(WORDS, ["a"])
    *lines, last = found.taken()
    assert len(lines) == SAMPLES_A_SEC
    assert json.loads(last)["dropped"] == 20
    clock.sleep(1)
    found.take(WORDS, ["a"])
    assert len(found.taken()) == 1


@pytest.mark.parametrize(
    ("streams", "found"),
    [
        ({"words": ["default"]}, {("words", "default"): 100}),
        ({"words": ["default"], "split": ["default", "late"]},
         {("words", "default"): 50, ("split", "default"): 25, ("split", "late"): 25}),
        ({"words": ["default"], "sink": []}, {("words", "default"): 100}),
        ({"words": [f"s{number}" for number in range(300)]}, {("words", f"s{number}"): 1 for number in range(300)}),
        ({}, {}),
    ],
)  # fmt: skip
def test_components_and_their_streams_have_equal_parts(
    streams: dict[str, list[str]], found: dict[tuple[str, str], int]
) -> None:
    assert parts(streams) == found


def taken_by(found: Samples) -> Counter[str]:
    """{component and stream: samples since the last look}."""
    lines = [json.loads(line) for line in found.taken()]
    return Counter(f"{line['component']}/{line['stream']}" for line in lines if "component" in line)


def test_a_busy_component_leaves_a_slow_one_its_part() -> None:
    found, clock = samples()
    found.want({"words": 1.0, "slow": 1.0}, {"words": ["default"], "slow": ["default"]})
    slow = Origin("slow", "default", 9, ["word"])
    seen = []
    for tuples in (0, 3, 60, 60, 0):
        for _ in range(1_000):
            found.take(WORDS, ["a"])
        for _ in range(tuples):
            found.take(slow, ["b"])
        seen.append(taken_by(found))
        clock.sleep(1)
    assert [one["slow/default"] for one in seen[1:4]] == [3, 50, 50]
    assert seen[3]["words/default"] == 50
    assert seen[4]["words/default"] == 50  # what was left in the second before was nothing
    total = sum(one.total() for one in seen)
    assert total <= (len(seen) + 1) * SAMPLES_A_SEC
    for _ in range(1_000):
        found.take(WORDS, ["a"])
    assert taken_by(found) == {"words/default": SAMPLES_A_SEC}  # the other one said nothing in the second before


def test_a_rare_stream_is_seen_beside_a_busy_one_of_the_same_component() -> None:
    found, _ = samples()
    found.want({"words": 1.0}, {"words": ["default", "errors"]})
    for _ in range(1_000):
        found.take(WORDS, ["a"])
    found.take(Origin("words", "errors", 3, ["word"]), ["b"])
    assert taken_by(found)["words/errors"] == 1


def test_large_values_are_cut_and_those_that_cannot_be_shown_do_no_harm() -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            raise ValueError("no")

    found, _ = samples()
    found.take(WORDS, ["x" * 10_000] * 50)
    found.take(WORDS, [Unspeakable()])
    large, none = (json.loads(line)["values"] for line in found.taken())
    assert len(large) == VALUES_CHARS_MAX
    assert "Unspeakable" in none


def test_the_file_is_put_aside_when_it_is_large_and_a_full_disk_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sampling, "FILE_BYTES_MAX", 10)
    log = EventLog(tmp_path / "events.log")
    for text in ("first", "second", "third"):
        log.write([text, text])
    assert (tmp_path / "events.log").read_text() == "third\nthird\n"
    assert (tmp_path / "events.log.1").read_text() == "second\nsecond\n"
    nowhere = EventLog(tmp_path / "no" / "events.log")
    nowhere.write(["x"])
    nowhere.write(["x"])
    assert len(caplog.records) == 1


class Story:
    def __init__(self, directory: Path) -> None:
        self.script = Script(next_tuple=emit_up_to(3), execute=ack_it)
        builder = TopologyBuilder()
        builder.set_spout("words", ScriptedSpout(self.script))
        builder.set_bolt("split", ScriptedBolt(self.script)).shuffle_grouping("words")
        self.worker = OneWorker(builder.create_topology())
        self.taken = Samples(self.worker.clock, random.Random(1))
        self.log = EventLog(directory / "events.log")
        self.sampling = Sampling(self.worker.lanes, self.taken, self.log)

    def emit(self, upto: int) -> list[Any]:
        """What was sampled of the tuples up to this number."""
        self.script.on["next_tuple"] = emit_up_to(upto)
        self.worker.run(lambda: len(self.script.made("ack")) == upto)
        lines = [json.loads(line) for line in self.taken.taken()]
        return [line["values"] for line in lines if "values" in line]


def test_components_are_sampled_while_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sampling, "_write", lambda self, stopped: None)  # the test takes the samples itself
    story = Story(tmp_path)
    story.sampling.want({}, "wc-1-1")
    assert story.emit(2) == []
    story.sampling.want({"wc-1-1": ALL}, "wc-1-1")
    assert story.emit(4) == ["[3]", "[4]"]
    story.sampling.want({"wc-1-1": ALL, "words": OFF}, "wc-1-1")
    assert story.emit(5) == []
    story.sampling.want({"words": ALL}, "wc-1-1")
    assert story.emit(6) == ["[6]"]
    story.sampling.want({}, "wc-1-1")
    assert story.emit(7) == []


def test_what_a_bolt_emits_now_and_then_is_among_the_samples_of_a_busy_spout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sampling, "_write", lambda self, stopped: None)
    story = Story(tmp_path)

    def tell_of_the_last(bolt: Any, tup: Any) -> None:
        if tup.values == [300]:
            bolt.collector.emit(["last", "one"], tup, "pair")
        bolt.collector.ack(tup)

    story.script.on["execute"] = tell_of_the_last
    story.sampling.want({"wc-1-1": ALL}, "wc-1-1")
    found = story.emit(300)
    assert len(found) < 300
    assert "['last', 'one']" in found


def test_what_was_taken_is_in_the_file_once_it_is_over(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.sampling.want({"words": ALL}, "wc-1-1")
    story.script.on["next_tuple"] = emit_up_to(3)
    story.worker.run(lambda: len(story.script.made("ack")) == 3)
    writer = story.sampling.writer
    assert writer is not None
    story.sampling.stop()
    writer.join(30)
    lines = (tmp_path / "events.log").read_text().splitlines()
    assert [json.loads(line)["values"] for line in lines] == ["[1]", "[2]", "[3]"]
