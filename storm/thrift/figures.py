"""About how long executors' figures become as bytes, without encoding them: what bounds heartbeats.

Whoever takes a message counts its bytes and its values, the fields and elements in it. A value of figures has more
than 5 bytes, so that whoever bounds the bytes bounds the values as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.thrift.interface import Struct

EXECUTOR_BYTES = 15  # an ExecutorInfo
_EMPTY = 200  # all fields and maps with nothing in them
_INSIGHT = 200  # its numbers; its texts come on top
_FAILURE = 80  # likewise
_WINDOW = 10  # a map's entry: its key's length, and the head of the map that it leads to
_STREAM = 12  # a map's entry: its key's length, and a number
_INPUT = 23  # the same with a component and a stream for a key


def stats_bytes(stats: Struct) -> int:
    """Of an ExecutorStats, a little more than it takes; names are counted as ASCII."""
    bolt, spout = stats.specific.bolt, stats.specific.spout
    size = _EMPTY + _by_stream(stats.emitted) + _by_stream(stats.transferred)
    if bolt is not None:
        size += sum(
            _by_input(each)
            for each in (bolt.acked, bolt.failed, bolt.executed, bolt.process_ms_avg, bolt.execute_ms_avg)
        )
    if spout is not None:
        size += sum(map(_by_stream, (spout.acked, spout.failed, spout.complete_ms_avg)))
    if stats.insight is not None:
        size += _INSIGHT + _texts(stats.insight)
    for failure in stats.failures or []:
        size += _FAILURE + _texts(failure)
    return size


def entry_bytes(stats: Struct) -> int:
    """Of an ExecutorStats with the ExecutorInfo that is its key, likewise."""
    return EXECUTOR_BYTES + stats_bytes(stats)


def insight_bytes(insight: Struct | None) -> int:
    """Of a WorkerInsight, likewise; 0 where there is none."""
    return 0 if insight is None else _INSIGHT + _texts(insight)


def _by_stream(figures: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(
        _WINDOW + len(window) + sum(_STREAM + len(stream) for stream in streams) for window, streams in figures.items()
    )


def _by_input(figures: Mapping[str, Mapping[Struct, Any]]) -> int:
    return sum(
        _WINDOW + len(window) + sum(_INPUT + len(each.componentId) + len(each.streamId) for each in inputs)
        for window, inputs in figures.items()
    )


def _texts(struct: Struct) -> int:
    """What the texts in its fields, and in lists and maps of these, take beyond their heads."""
    return sum(map(_text, vars(struct).values()))


def _text(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(4 + len(each) for each in value)
    if isinstance(value, dict):
        return sum(_STREAM + len(key) + _text(each) for key, each in value.items())
    return 0
