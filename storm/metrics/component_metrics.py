"""What a component measures by itself, of all its workers together: for people."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from storm.metrics.distribution import QUANTILES, Distribution, together
from storm.metrics.series import LEFT_OUT, decode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.ids import ComponentId
    from storm.metrics.series import Series

LEFT_OUT_MAX = (1 << 31) - 1  # an i32 tells of it
KINDS = {"storm_metric_seconds": "timer", "storm_metric_distribution": "histogram"}


def component_metrics(texts: Iterable[str], component_id: ComponentId) -> str:
    """JSON, a list sorted by name; empty where there is nothing. `texts` are workers' (`series.encode`).

    Each is `{"name", "kind", "value"}` of kind `count`, the sum over all tasks; `{"name", "kind", "task", "value"}` of
    kind `gauge`; or of kind `histogram` or `timer` (in seconds)
    `{"name", "kind", "count", "mean", "min", "max", "p50", "p75", "p95", "p98", "p99", "p999"}`, since the workers'
    start.
    """
    counts: defaultdict[str, float] = defaultdict(float)
    parts: defaultdict[tuple[str, str], list[Distribution]] = defaultdict(list)
    found: list[dict[str, Any]] = []
    for name, labels, value in _of_component(texts, component_id):
        metric = labels.get("name", "")
        if isinstance(value, Distribution):
            parts[metric, KINDS.get(name, "histogram")].append(value)
        elif name == "storm_metric_value":
            found.append({"name": metric, "kind": "gauge", "task": labels.get("task", ""), "value": value})
        elif name == "storm_metric_count_total" and isinstance(value, float):
            counts[metric] += value
    found += [{"name": name, "kind": "count", "value": value} for name, value in counts.items()]
    found += [{"name": name, "kind": kind, **_shape(together(some))} for (name, kind), some in parts.items()]
    found.sort(key=lambda one: (one["name"], one["kind"], one.get("task", "")))
    return json.dumps(found) if found else ""


def left_out(texts: Iterable[str]) -> int:
    """How many series of whichever components had no room in these texts."""
    cut = [each for text in texts if LEFT_OUT in text for each in decode(text) if each.name == LEFT_OUT]
    return min(sum(int(each.value) for each in cut if isinstance(each.value, float)), LEFT_OUT_MAX)


def _of_component(texts: Iterable[str], component_id: ComponentId) -> list[Series]:
    return [each for text in texts for each in decode(text) if each.labels.get("component") == component_id]


def _shape(values: Distribution) -> dict[str, float]:
    shares = {suffix.removeprefix("."): values.quantile(share) for suffix, share in QUANTILES}
    return {"count": values.count, "mean": values.mean(), "min": values.least, "max": values.most, **shares}
