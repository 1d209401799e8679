from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from storm.cli.monitor import component_list, counted, heads, of_component
from storm.errors import StormError
from storm.thrift.interface import storm_thrift


def executor(component: str, emitted: int = 0, **specific: Any) -> SimpleNamespace:
    stats = SimpleNamespace(
        emitted={":all-time": {"default": emitted, "other": 99}},
        specific=SimpleNamespace(spout=specific.get("spout"), bolt=specific.get("bolt")),
    )
    return SimpleNamespace(component_id=component, stats=stats)


def test_without_a_component_those_there_are_are_listed_as_storm_does() -> None:
    executors = [executor("words"), executor("__acker"), executor("split"), executor("split")]
    assert component_list("wc", executors, False).splitlines() == [
        "Available components for wc :",
        "-" * 18,
        "split",
        "words",
        "-" * 18,
        "Please use -m to specify one component",
    ]
    assert json.loads(component_list("wc", executors, True)) == {"topology": "wc", "components": ["split", "words"]}


def test_the_columns_are_storms() -> None:
    assert "\t".join(heads("emitted")) == (
        "topology\tcomponent\tparallelism\tstream\ttime-diff ms\temitted\tthroughput (Kt/s)"
    )


def test_an_unknown_component_gets_the_known_ones() -> None:
    executors = [executor("words"), executor("split"), executor("__acker")]
    with pytest.raises(StormError, match="no component 'wrods'; there are split, words"):
        of_component(executors, "wrods")
    assert of_component(executors, "__acker") == executors[2:]


def test_an_unknown_stream_gets_the_known_ones() -> None:
    with pytest.raises(StormError, match="emits on no stream 'defualt'; there are default, other"):
        counted([executor("words", 5)], "emitted", "defualt")
    assert counted([SimpleNamespace(component_id="words", stats=None)], "emitted", "defualt") == 0


def test_counts_are_of_one_stream_and_skip_who_has_not_beaten_yet() -> None:
    silent = SimpleNamespace(component_id="words", stats=None)
    assert counted([executor("words", 5), executor("words", 7), silent], "emitted", "default") == 12


def test_acks_of_bolts_are_by_input_stream() -> None:
    source, other = (storm_thrift().GlobalStreamId(componentId="words", streamId=s) for s in ("default", "other"))
    bolt = executor("split", bolt=SimpleNamespace(acked={":all-time": {source: 3, other: 4}}))
    spout = executor("words", spout=SimpleNamespace(acked={":all-time": {"default": 8}}))
    assert counted([bolt, spout], "acked", "default") == 11
