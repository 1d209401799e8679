"""Figures with a name and labels, and their way from a worker to whoever shows them: JSON of a bounded length."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from storm.metrics.distribution import LAST_BUCKET, ZERO_BUCKET, Distribution
from storm.metrics.families import COUNTER, GAUGE, HISTOGRAM, SUMMARY, WORKER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LINE_BYTES_MAX = 64 << 10  # two of them go with a heartbeat, every few seconds
LEFT_OUT = "storm_worker_series_left_out"
ROOM_FOR_LEFT_OUT = 100  # bytes


class Summary(NamedTuple):
    """A sum of seconds, and of how many."""

    secs: float
    number: int


Value: TypeAlias = "float | Summary | Distribution"


class Series(NamedTuple):
    """One figure of a family of `storm.metrics.families`."""

    name: str
    labels: Mapping[str, str]
    value: Value


def encode(own: Sequence[Series], components: Sequence[Series]) -> str:
    """What a worker tells: a line of `own`, what it and its executors count, and one of what components measure.

    The second is what the supervisor passes on to Nimbus; it is empty where there is nothing.
    """
    return f"{_line(own)}\n{_line(components) if components else ''}"


def components_part(text: str) -> str:
    """The second line."""
    return text.partition("\n")[2]


def _line(series: Sequence[Series]) -> str:
    """ASCII text of at most LINE_BYTES_MAX; the last ones are left out, and counted, if need be."""
    parts, size = [], ROOM_FOR_LEFT_OUT
    for each in series:
        part = json.dumps([each.name, dict(each.labels), _plain(each.value)], separators=(",", ":"))
        size += len(part) + 1
        if size > LINE_BYTES_MAX:
            break
        parts.append(part)
    left_out = len(series) - len(parts)
    if left_out:
        parts.append(json.dumps([LEFT_OUT, {}, left_out]))
    return f"[{','.join(parts)}]"


def decode(text: str) -> list[Series]:
    """The way back, of one line or both. What cannot be read, or has no family known here, is passed over: another
    release may know more.
    """
    entries: list[Any] = []
    for line in text.split("\n")[:2]:
        if not line or len(line) > LINE_BYTES_MAX:
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        entries += found if isinstance(found, list) else []
    series = []
    for entry in entries:
        try:
            name, labels, value = entry
            kind = WORKER[name].kind
            told = {str(key): str(each) for key, each in labels.items()}
            "".join(told.values()).encode()  # raises for what UTF-8 has not
            series.append(Series(name, told, _value(kind, value)))
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError):
            continue
    return series


def _plain(value: Value) -> Any:
    if isinstance(value, Distribution):
        return [value.count, value.total, value.least, value.most, sorted(value.buckets.items())]
    return list(value) if isinstance(value, Summary) else value


def _value(kind: str, plain: Any) -> Value:
    if kind in (COUNTER, GAUGE):
        return float(plain)
    if kind == SUMMARY:
        secs, number = plain
        return Summary(float(secs), int(number))
    assert kind == HISTOGRAM
    count, total, least, most, buckets = plain
    found = {int(bucket): int(n) for bucket, n in buckets}
    if any(not ZERO_BUCKET <= bucket <= LAST_BUCKET for bucket in found):
        raise ValueError("there is no such bucket")
    return Distribution(int(count), float(total), float(least), float(most), found)
