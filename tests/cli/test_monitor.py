from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from storm.cli.monitor import chosen_executors, counted
from storm.errors import StormError
from storm.thrift.interface import storm_thrift


def executor(component: str, emitted: int = 0, **specific: Any) -> SimpleNamespace:
    stats = SimpleNamespace(
        emitted={":all-time": {"default": emitted, "other": 99}},
        specific=SimpleNamespace(spout=specific.get("spout"), bolt=specific.get("bolt")),
    )
    return SimpleNamespace(component_id=component, stats=stats)


def test_system_components_are_left_out() -> None:
    executors = [executor("words"), executor("__acker"), executor("split")]
    assert [e.component_id for e in chosen_executors(executors, None)] == ["words", "split"]


def test_an_unknown_component_gets_the_known_ones() -> None:
    with pytest.raises(StormError, match="no component 'wrods'; there are split, words"):
        chosen_executors([executor("words"), executor("split")], "wrods")


def test_counts_are_of_one_stream_and_skip_who_has_not_beaten_yet() -> None:
    silent = SimpleNamespace(component_id="words", stats=None)
    assert counted([executor("words", 5), executor("words", 7), silent], "emitted", "default") == 12


def test_acks_of_bolts_are_by_input_stream() -> None:
    source, other = (storm_thrift().GlobalStreamId(componentId="words", streamId=s) for s in ("default", "other"))
    bolt = executor("split", bolt=SimpleNamespace(acked={":all-time": {source: 3, other: 4}}))
    spout = executor("words", spout=SimpleNamespace(acked={":all-time": {"default": 8}}))
    assert counted([bolt, spout], "acked", "default") == 11
