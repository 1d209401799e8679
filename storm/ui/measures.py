"""What the UI measures of itself, for Prometheus: requests, calls to Nimbus, and the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from storm.errors import StormError

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NO_ROUTE = "none"  # the label of what was refused, or no path: clients must not make up labels


class Measures:
    """Labels are routes and Thrift methods, never what a client sent: there are no more of them than in the code."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "storm_ui_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._secs = Histogram(
            "storm_ui_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._calls = Counter(
            "storm_ui_nimbus_calls", "Calls to Nimbus.", ("method", "outcome"), registry=self._registry
        )
        self._call_secs = Histogram(
            "storm_ui_nimbus_call_seconds",
            "Time of a call to Nimbus, with the wait for a thread.",
            ("method",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._reads = Counter(
            "storm_ui_reads",
            "What requests wanted to know of Nimbus, and whether a call was shared.",
            ("method", "shared"),
            registry=self._registry,
        )
        self._streams = Gauge("storm_ui_streams", "Pages that are being watched.", registry=self._registry)
        self._up = Gauge("storm_ui_nimbus_up", "Whether Nimbus answered the last call.", registry=self._registry)

    def request(self, method: str, route: str, status: int, secs: float) -> None:
        known = method if method in {"GET", "HEAD", "POST"} else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._secs.labels(route).observe(secs)

    def read(self, method: str, *, is_kept: bool) -> None:
        self._reads.labels(method, "yes" if is_kept else "no").inc()

    def asked(self, method: str, secs: float, error: StormError | None) -> None:
        self._calls.labels(method, "ok" if error is None else type(error).__name__).inc()
        self._call_secs.labels(method).observe(secs)

    def nimbus_is_up(self, is_up: bool) -> None:
        self._up.set(1 if is_up else 0)

    def streams(self, count: int) -> None:
        self._streams.set(count)

    def text(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)
