from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from storm.errors import InvalidTopologyError
from storm.ids import GlobalStreamId
from storm.topology.structure import (
    ComponentSpec,
    ForeignObject,
    Grouping,
    GroupingKind,
    PythonObject,
    ShellObject,
    StormTopology,
    StreamInfo,
)
from storm.topology.validation import validate, validate_component_id, validate_name

SPOUT = ComponentSpec(PythonObject(b""), streams={"default": StreamInfo(("word",)), "d": StreamInfo(("word",), True)})


def bolt(
    *sources: str, kind: GroupingKind = GroupingKind.SHUFFLE, stream: str = "default", **more: Any
) -> ComponentSpec:
    inputs = {GlobalStreamId(source, stream): Grouping(kind, tuple(more.get("fields", ()))) for source in sources}
    return ComponentSpec(
        PythonObject(b""),
        inputs,
        {"default": StreamInfo(("word", "count"))},
        more.get("parallelism", 1),
        more.get("conf", {}),
    )


def topology(**bolts: ComponentSpec) -> StormTopology:
    return StormTopology({"words": SPOUT}, bolts)


def test_a_legal_topology() -> None:
    validate(topology(split=bolt("words"), count=bolt("split", kind=GroupingKind.FIELDS, fields=["word"])))
    validate(topology(direct=bolt("words", kind=GroupingKind.DIRECT, stream="d")))
    validate(topology())


def test_bolts_may_form_cycles_that_a_spout_feeds() -> None:
    validate(topology(a=bolt("words", "b"), b=bolt("a")))
    validate(topology(a=bolt("words", "a")))


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (StormTopology(), "the topology has no spout"),
        (StormTopology({"a": SPOUT}, {"a": bolt("a")}), "component 'a' is declared twice, as a spout and as a bolt"),
        (topology(count=bolt()), "bolt 'count' subscribes to nothing"),
        (
            topology(count=bolt("wrods")),
            "bolt 'count' subscribes to component 'wrods', which does not exist: did you mean 'words'?",
        ),
        (
            topology(count=bolt("words", stream="defualt")),
            "bolt 'count' subscribes to stream 'defualt' of 'words', .* declare: did you mean 'default'?",
        ),
        (
            topology(count=bolt("words", kind=GroupingKind.FIELDS, fields=["wrd"])),
            "bolt 'count', fields grouping on 'words' .stream 'default'.: .* no field 'wrd': did you mean 'word'?",
        ),
        (topology(count=bolt("words", kind=GroupingKind.FIELDS)), "needs at least one field"),
        (topology(count=bolt("words", kind=GroupingKind.PARTIAL_KEY, fields=["x"])), "has no field 'x'"),
        (
            topology(count=bolt("words", kind=GroupingKind.DIRECT)),
            "bolt 'count', direct .* this is not a direct stream",
        ),
        (topology(count=bolt("words", stream="d")), "bolt 'count', shuffle .* this is a direct stream"),
        (topology(a=bolt("b"), b=bolt("a")), "no tuple of any spout comes to 'a', 'b'"),
        (topology(a=bolt("a")), "no tuple of any spout comes to 'a'"),
        (topology(__a=bolt("words")), "component '__a': ids that begin with __ are the system's"),
        (topology(a=bolt("words", parallelism=0)), "component 'a': its parallelism must be 1..32767, got 0"),
        (topology(a=bolt("words", parallelism=True)), "its parallelism must be 1..32767, got True"),
        (
            topology(a=bolt("words", conf={"topology.max.task.parallelism": "x"})),
            "topology.max.task.parallelism must be",
        ),
        (topology(a=bolt("words", conf={"topology.tasks": 0})), "component 'a': its number of tasks must be"),
        (
            topology(a=bolt("words", parallelism=3, conf={"topology.tasks": 2})),
            "'a' asks for 3 executors and has 2 tasks",
        ),
        (
            topology(a=bolt("words", parallelism=20_000), b=bolt("words", parallelism=20_000)),
            "40001 tasks, and 32767 is the most",
        ),
        (
            topology(a=replace(bolt("words"), component=ForeignObject("x.Y"))),
            r"component 'a' is written in Java \(x.Y\)",
        ),
        (
            topology(a=replace(bolt("words"), component=ShellObject("streamparse_run", "words.Count"))),
            r"component 'a' is a program of its own \(streamparse_run words\.Count\), .* a class of storm\.Spout",
        ),
        (
            topology(a=replace(bolt("words"), streams={"__x": StreamInfo(("a",))})),
            "stream '__x': names that begin with __",
        ),
        (topology(a=replace(bolt("words"), streams={"x": StreamInfo(("a", "a"))})), "a field stands there twice"),
        (StormTopology({"a": SPOUT, "b": replace(SPOUT, inputs=bolt("a").inputs)}), "spout 'b' has inputs"),
    ],
)
def test_what_is_wrong_is_said_with_the_component(built: StormTopology, text: str) -> None:
    with pytest.raises(InvalidTopologyError, match=text):
        validate(built)


def test_none_groupings_do_not_call_in_a_circle() -> None:
    none = GroupingKind.NONE
    validate(topology(a=bolt("words", kind=none), b=bolt("a", kind=none), c=bolt("a", "b", kind=none)))
    in_circle = replace(bolt("a", kind=none), inputs={**bolt("a", kind=none).inputs, **bolt("words").inputs})
    with pytest.raises(InvalidTopologyError, match="a cycle of none groupings"):
        validate(topology(a=bolt("b", kind=none), b=in_circle))


def test_the_cap_of_tasks_counts() -> None:
    validate(
        topology(a=bolt("words", parallelism=20_000), b=bolt("words", parallelism=20_000)),
        {"topology.max.task.parallelism": 9},
    )


@pytest.mark.parametrize("name", ["word-count", "a", "Ünïcode", "a b", "x" * 128])
def test_names(name: str) -> None:
    validate_name(name)


@pytest.mark.parametrize("name", ["", "a/b", "a.b", "a:b", "a\\b", "x" * 129, "a\nb", "a\u202eb", " a", "a\x00"])
def test_illegal_names(name: str) -> None:
    with pytest.raises(InvalidTopologyError, match="name") as caught:
        validate_name(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("component_id", ["", "__a", "a/b", "a\nb", ".", "..", "x" * 129, 3])
def test_illegal_ids(component_id: Any) -> None:
    with pytest.raises(InvalidTopologyError):
        validate_component_id(component_id)
