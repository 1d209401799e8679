from __future__ import annotations

import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

from storm.errors import InvalidTopologyError
from storm.ids import GlobalStreamId
from storm.topology.builder import TopologyBuilder
from storm.topology.component import BasicBolt, Bolt, CustomGrouping, Spout
from storm.topology.output_fields import DirectStream, OutputFieldsDeclarer
from storm.topology.structure import Grouping, GroupingKind, PythonObject, StreamInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Words(Spout):
    outputs = {"default": ["word"], "direct": DirectStream(["word"])}

    def __init__(self, words: Sequence[str] = ()) -> None:
        self.words = words


class Count(BasicBolt):
    outputs = ("word", "count")

    def component_configuration(self) -> Mapping[str, Any]:
        return {"topology.tick.tuple.freq.secs": 1, "topology.debug": True}


class Says(Words):
    def __init__(self, conf: Any) -> None:
        super().__init__()
        self.conf = conf

    def component_configuration(self) -> Any:
        return self.conf


class Declares(Bolt):
    def declare_output_fields(self, declarer: OutputFieldsDeclarer) -> None:
        declarer.declare_stream("errors", ["text"])


class First(CustomGrouping):
    def choose_tasks(self, task_id: int, values: Sequence[Any]) -> Sequence[int]:
        return [self.target_tasks[0]]


@pytest.fixture
def builder() -> TopologyBuilder:
    found = TopologyBuilder()
    found.set_spout("words", Words(["a"]))
    return found


def test_a_whole_topology(builder: TopologyBuilder) -> None:
    builder.set_bolt("count", Count(), 4).fields_grouping("words", ["word"]).set_num_tasks(8)
    builder.set_bolt("declares", Declares()).shuffle_grouping("count")
    topology = builder.create_topology()
    assert set(topology.spouts) == {"words"}
    assert topology.spouts["words"].streams["direct"] == StreamInfo(("word",), direct=True)
    count = topology.bolts["count"]
    assert count.parallelism == 4
    assert count.conf["topology.tasks"] == 8
    assert count.inputs == {GlobalStreamId("words", "default"): Grouping(GroupingKind.FIELDS, ("word",))}
    assert topology.bolts["declares"].streams == {"errors": StreamInfo(("text",))}
    spout = topology.spouts["words"].component
    assert isinstance(spout, PythonObject)
    assert pickle.loads(spout.serialized).words == ["a"]


def test_every_grouping(builder: TopologyBuilder) -> None:
    bolt = builder.set_bolt("count", Count())
    for i in range(9):
        builder.set_spout(f"s{i}", Words())
    bolt.shuffle_grouping("s0").fields_grouping("s1", ["word"]).all_grouping("s2").global_grouping("s3")
    bolt.none_grouping("s4").direct_grouping("s5", stream="direct").local_or_shuffle_grouping("s6")
    bolt.partial_key_grouping("s7", ["word"]).custom_grouping("s8", First())
    inputs = builder.create_topology().bolts["count"].inputs
    kinds = {source.component_id: grouping.kind for source, grouping in inputs.items()}
    assert [kinds[f"s{i}"] for i in range(9)] == [
        GroupingKind.SHUFFLE,
        GroupingKind.FIELDS,
        GroupingKind.ALL,
        GroupingKind.GLOBAL,
        GroupingKind.NONE,
        GroupingKind.DIRECT,
        GroupingKind.LOCAL_OR_SHUFFLE,
        GroupingKind.PARTIAL_KEY,
        GroupingKind.CUSTOM,
    ]
    custom = inputs[GlobalStreamId("s8", "default")]
    assert custom.serialized is not None
    assert isinstance(pickle.loads(custom.serialized), First)


def test_configure_wins_over_what_the_component_says(builder: TopologyBuilder) -> None:
    bolt = builder.set_bolt("count", Count()).shuffle_grouping("words")
    bolt.configure({"topology.tick.tuple.freq.secs": 5}, threshold=3)
    assert builder.create_topology().bolts["count"].conf == {
        "topology.tick.tuple.freq.secs": 5,
        "topology.debug": True,
        "threshold": 3,
    }


def test_settings_are_checked(builder: TopologyBuilder) -> None:
    spout = builder.set_spout("more", Words())
    with pytest.raises(InvalidTopologyError, match=r"topology\.workers is set for a whole topology"):
        spout.configure({"topology.workers": 2})
    with pytest.raises(
        InvalidTopologyError, match=r"topology\.debug: expected true or false, got 1 \(from component 'more'"
    ):
        spout.configure({"topology.debug": 1})
    with pytest.raises(InvalidTopologyError, match=r"'more': its number of tasks must be 1\.\.32767, got 0"):
        spout.set_num_tasks(0)


def test_so_is_what_the_component_says(builder: TopologyBuilder) -> None:
    builder.set_spout("says", Says({"topology.message.timeout.secs": 300}))
    with pytest.raises(InvalidTopologyError, match=r"topology\.message\.timeout\.secs is set for a whole topology"):
        builder.create_topology()


def test_settings_that_look_like_a_mistake_are_told(builder: TopologyBuilder, caplog: pytest.LogCaptureFixture) -> None:
    builder.set_spout("says", Says({"topology.tick.tuple.freq.sec": 10}))
    builder.set_spout("nothing", Says(None))
    builder.create_topology()
    [record] = caplog.records
    assert "component 'says': topology.tick.tuple.freq.sec is no key of Storm" in record.getMessage()
    assert "topology.tick.tuple.freq.secs" in record.getMessage()


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (lambda b: b.set_spout("words", Words()), "component 'words' is declared twice"),
        (lambda b: b.set_spout("x", Count()), "spout 'x': expected a Spout, got Count"),
        (lambda b: b.set_bolt("x", Words()), "bolt 'x': expected a Bolt or BasicBolt, got Words"),
        (lambda b: b.set_bolt("x", Count), r"got the class Count: pass an object of it, Count\(\)"),
        (lambda b: b.set_bolt("x", Count(), 0), r"component 'x': its parallelism must be 1\.\.32767, got 0"),
        (lambda b: b.set_bolt("x", Count(), "2"), "its parallelism must be"),
        (lambda b: b.set_bolt("__x", Count()), "ids that begin with __"),
        (
            lambda b: b.set_bolt("x", Count()).fields_grouping("words", "word"),
            "bolt 'x', .* expected a list of field names",
        ),
        (
            lambda b: b.set_bolt("x", Count()).custom_grouping("words", First),
            "expected a CustomGrouping, got the class First",
        ),
        (
            lambda b: b.set_bolt("x", Count()).shuffle_grouping("words").all_grouping("words"),
            "bolt 'x' subscribes to 'words' .stream 'default'. twice",
        ),
    ],
)
def test_mistakes_are_refused_where_they_are_written(builder: TopologyBuilder, declare: Any, text: str) -> None:
    with pytest.raises(InvalidTopologyError, match=text):
        declare(builder)


def test_the_whole_is_checked_when_it_is_created(builder: TopologyBuilder) -> None:
    builder.set_bolt("count", Count()).shuffle_grouping("wrods")
    with pytest.raises(InvalidTopologyError, match="did you mean 'words'"):
        builder.create_topology()


def test_what_cannot_be_pickled_is_named(builder: TopologyBuilder) -> None:
    builder.set_bolt("count", Count()).shuffle_grouping("words")
    bad = Words()
    bad.words = [threading.Lock()]  # type: ignore[list-item]
    builder.set_spout("bad", bad)
    with pytest.raises(
        InvalidTopologyError, match=r"component 'bad' \(Words\) cannot be pickled: its attribute words\[0\]"
    ):
        builder.create_topology()


class Hides(Spout):
    def __init__(self, *fields: str) -> None:
        self.outputs = {"default": list(fields), "more": ["task", "line"]}


def test_a_field_that_an_attribute_of_every_tuple_hides_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    builder = TopologyBuilder()
    builder.set_spout("a", Hides("values", "line", "task"))
    builder.set_spout("b", Hides("values"))
    builder.create_topology()
    assert [record.message for record in caplog.records] == [
        f"component 'a', stream 'default': read the field '{name}' by tup['{name}']; tup.{name} is something else, "
        "which every tuple has"
        for name in ("task", "values")
    ]
