"""Prometheus's text format, of series and of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from storm.metrics.distribution import SECONDS_BOUNDS, Distribution
from storm.metrics.families import COUNTER, GAUGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from storm.metrics.families import Family
    from storm.metrics.series import Series

CONTENT_TYPE = CONTENT_TYPE_LATEST
TOTAL = "_total"
VALUE_BOUNDS = tuple(4.0**exponent for exponent in range(-5, 16))  # a thousandth to a thousand million


class Exposition:
    """`text()` is what a scrape is answered with: the series that `read` gives then, and the process's own."""

    def __init__(self, families: Mapping[str, Family], read: Callable[[], Iterable[Series]]) -> None:
        self._families = families
        self._read = read
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def describe(self) -> list[Metric]:
        """Nothing is to be known of the families before they are asked for."""
        return []

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client. Of two series with the same labels the later one is shown."""
        found: dict[str, dict[tuple[str, ...], Any]] = {name: {} for name in self._families}
        for series in self._read():
            family = self._families[series.name]
            found[series.name][tuple(series.labels.get(label, "") for label in family.labels)] = series.value
        for name, by_labels in found.items():
            if by_labels:
                yield _metric(name, self._families[name], by_labels)

    def text(self) -> bytes:
        """The answer. Raises what `read` raises."""
        return generate_latest(self._registry)


def _metric(name: str, family: Family, by_labels: Mapping[tuple[str, ...], Any]) -> Metric:
    labels = family.labels
    if family.kind == COUNTER:
        counter = CounterMetricFamily(name.removesuffix(TOTAL), family.help, labels=labels)
        for values, value in by_labels.items():
            counter.add_metric(values, value)
        return counter
    if family.kind == GAUGE:
        gauge = GaugeMetricFamily(name, family.help, labels=labels)
        for values, value in by_labels.items():
            gauge.add_metric(values, value)
        return gauge
    histogram = HistogramMetricFamily(name, family.help, labels=labels)
    bounds = SECONDS_BOUNDS if name.endswith("_seconds") else VALUE_BOUNDS
    for values, value in by_labels.items():
        assert isinstance(value, Distribution)
        counts = zip(bounds, value.at_most(bounds), strict=True)
        buckets: list[Any] = [(f"{bound:g}", float(count)) for bound, count in counts]
        histogram.add_metric(values, [*buckets, ("+Inf", float(value.count))], sum_value=value.total)
    return histogram
