"""Figures with a name and labels, and their way from a worker to whoever shows them: JSON of a bounded length."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from storm.metrics.distribution import LAST_BUCKET, ZERO_BUCKET, Distribution
from storm.metrics.families import COUNTER, GAUGE, HISTOGRAM, WORKER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LINE_BYTES_MAX = 64 << 10  # two of them go with a heartbeat, every few seconds
LEFT_OUT = "storm_worker_series_left_out"
ROOM_FOR_LEFT_OUT = 100  # bytes
LEFT_OUT_MAX = 1 << 30  # that a line tells of: more is nonsense
BUCKETS = "buckets"


# Sum and number, and the buckets in an entry of their own behind it: the release before this one had only the former,
# and passes over the latter.
LATENCIES = frozenset({"storm_spout_complete_seconds", "storm_bolt_execute_seconds", "storm_bolt_process_seconds"})

Value: TypeAlias = "float | Distribution"


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
        part = _entry(each)
        size += len(part) + 1
        if size > LINE_BYTES_MAX:
            break
        parts.append(part)
    left_out = len(series) - len(parts)
    if left_out:
        parts.append(json.dumps([LEFT_OUT, {}, left_out]))
    return f"[{','.join(parts)}]"


def _entry(series: Series) -> str:
    name, labels, value = series
    if not isinstance(value, Distribution):
        return _compact([name, dict(labels), value])
    buckets = sorted(value.buckets.items())
    if name in LATENCIES:
        short = _compact([name, dict(labels), [value.total, value.count]])
        return f"{short},{_compact([BUCKETS, buckets])}" if buckets else short
    return _compact([name, dict(labels), [value.count, value.total, value.least, value.most, buckets]])


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


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
    series: list[Series] = []
    told: Series | None = None  # by the entry before
    left_out = 0
    for entry in entries:
        try:
            before, told = told, None
            if len(entry) == 2 and entry[0] == BUCKETS and before is not None:
                series[-1] = _with_buckets(before, entry[1])
                continue
            name, labels, value = entry
            kind = WORKER[name].kind
            if name == LEFT_OUT:
                left_out += min(max(int(value), 0), LEFT_OUT_MAX)  # each line tells of its own
                continue
            texts = {str(key): str(each) for key, each in labels.items()}
            "".join(texts.values()).encode()  # raises for what UTF-8 has not
            told = Series(name, texts, _times(value) if name in LATENCIES else _value(kind, value))
            series.append(told)
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError):
            continue
    return [*series, Series(LEFT_OUT, {}, float(left_out))] if left_out else series


def _with_buckets(series: Series, buckets: Any) -> Series:
    """Raises TypeError or ValueError where there can be none."""
    if not isinstance(series.value, Distribution):
        raise TypeError("only times and values have buckets")
    return series._replace(value=replace(series.value, buckets=_buckets(buckets)))


def _times(plain: Any) -> Distribution:
    """Its buckets come next."""
    total, count = plain
    return Distribution(int(count), float(total))


def _value(kind: str, plain: Any) -> Value:
    if kind in (COUNTER, GAUGE):
        return float(plain)
    assert kind == HISTOGRAM
    count, total, least, most, buckets = plain
    return Distribution(int(count), float(total), float(least), float(most), _buckets(buckets))


def _buckets(plain: Any) -> dict[int, int]:
    found = {int(bucket): int(n) for bucket, n in plain}
    if any(not ZERO_BUCKET <= bucket <= LAST_BUCKET for bucket in found):
        raise ValueError("there is no such bucket")
    return found
