"""What the UI's pages and answers take and weigh, and what it costs a topology to be watched.

`ui-page-*` and `ui-api-*`: the UI of ui_site.py, a request at a time. Their figures are of requests for which the UI
asks Nimbus; those that share its answers, which hold for two seconds, are in the remark.
"""

from __future__ import annotations

import html
import math
import os
import re
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
from bench_cluster import cpu_secs, rss_mb, shared
from case import Case, Options, Result
from throughput_cases import conf_of
from ui_site import UiSite, ui_in_memory, ui_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bench_cluster import RunningTopology
    from windows import Windows

REQUESTS_A_SECOND = 10  # of --seconds: so many requests of each kind
PATHS = {
    "page-cluster": ("/", "the cluster's page, 50 topologies"),
    "page-topology": ("/topology/{large}", "a topology's page, 300 executors"),
    "page-component": ("/topology/{large}/component/split", "a component's page, 100 executors"),
    "page-worker": ("/topology/{large}/worker/{worker}", "a worker's page, of a topology with 300 executors"),
    "page-worker-wide": ("/topology/{wide}/worker/{wide_worker}", "a worker's page, 101 components"),
    "page-supervisor": ("/supervisor/host0", "a supervisor's page"),
    "page-owners": ("/owners", "the owners' page"),
    "api-topologies": ("/api/v1/topology/summary", "REST: all topologies"),
    "api-topology": ("/api/v1/topology/{large}", "REST: a topology, 300 executors"),
    "api-component": ("/api/v1/topology/{large}/component/split", "REST: a component, 100 executors"),
}
POLL_SECS = 2.0
ROUNDS = 8  # of a span alone and one that is watched
SPAN_WARMUP_SECS = 1  # of each but the first one


def case(name: str) -> Case:
    path, about = PATHS[name]

    def run(options: Options) -> Result:
        with ui_in_memory() as site:
            return requests(f"ui-{name}", site, path, options.seconds * REQUESTS_A_SECOND)

    return Case(f"ui-{name}", f"{about}; Nimbus in memory", run)


def requests(name: str, site: UiSite, path: str, count: int) -> Result:
    large, wide = site.large, site.wide
    path = path.format(large=large, wide=wide, worker=worker_of(site, large), wide_worker=worker_of(site, wide))
    size = len(site.get(path).content)

    def ask() -> None:
        site.get(path)

    anew, kept = [], []
    for _ in range(count):
        site.forget()
        anew.append(millis(ask))
        kept.append(millis(ask))
    with_kept = percentiles(kept)
    return Result(
        name,
        "ms",
        tuple(anew),
        latency_ms=percentiles(anew),
        rss_mb={"ui": rss_mb(site.daemon.pid)},
        notes=f"with shared answers p50 {with_kept['p50']} ms, p99 {with_kept['p99']} ms; {size / 1_000:.1f} kB",
        others={"kB": size / 1_000},
    )


def worker_of(site: UiSite, topology_id: str) -> str:
    """The first one's host:port."""
    [worker, *_] = site.get(f"/api/v1/topology-workers/{topology_id}").json()["hostPortList"]
    return f"{worker['host']}:{worker['port']}"


def millis(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1_000


def percentiles(times_ms: list[float]) -> dict[str, float]:
    """p50 and p99 of at least two times."""
    cuts = statistics.quantiles(times_ms, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2)}


# --- being watched


class Watcher:
    """Does what a browser does that shows a topology's page, and what a script does beside it: reads the stream of
    changes, and asks the REST API for the topology and the cluster every two seconds."""

    def __init__(self, address: str, topology_id: str) -> None:
        self.received = 0  # bytes of the stream
        self._client = httpx.Client(base_url=address, timeout=60)
        self._paths = (f"/api/v1/topology/{topology_id}", "/api/v1/cluster/summary")
        page = self._client.get(f"/topology/{topology_id}").raise_for_status().text
        found = re.search(r'data-events="([^"]+)"', page)
        assert found is not None, "the page has no stream of changes"
        self._events = html.unescape(found[1])
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._listen), threading.Thread(target=self._poll)]

    def __enter__(self) -> Watcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def _listen(self) -> None:
        with self._client.stream("GET", self._events) as answer:
            for piece in answer.iter_raw():
                self.received += len(piece)
                if self._ended.is_set():
                    return

    def _poll(self) -> None:
        while not self._ended.wait(POLL_SECS):
            for path in self._paths:
                self._client.get(path).raise_for_status()


class Span(NamedTuple):
    """`daemons`: {role: the share of a core that it took}."""

    windows: Windows
    daemons: dict[str, float]


def watched(options: Options) -> Result:
    """The rate of an acked pair while its page is watched; the ratio is to the spans between, in which nobody looks."""
    cluster = shared()
    conf = {**conf_of("hop-acked", 1, acked=True), **options.conf}
    span = options._replace(seconds=max(2, options.seconds // 4), warmup=min(options.warmup, SPAN_WARMUP_SECS))
    alone, beside = [], []
    with (
        tempfile.TemporaryDirectory(prefix="storm-bench-ui-") as directory,
        cluster.running("ui-watched", conf) as topology,
        ui_of(dict(cluster.site.settings), Path(directory), topology.id) as site,
    ):
        topology.wait_executing(1)
        time.sleep(max(0, options.warmup - span.warmup))
        pids = {"nimbus": cluster.daemon_pids()["nimbus"], "ui": site.daemon.pid}
        for _ in range(ROUNDS):
            alone.append(measured(topology, span, pids))
            with Watcher(site.address, topology.id) as watcher:
                beside.append(measured(topology, span, pids))
            assert watcher.received, "the watcher has seen no change"
    return compared(alone, beside)


def measured(topology: RunningTopology, options: Options, pids: dict[str, int]) -> Span:
    before, began = {role: cpu_secs(pid) for role, pid in pids.items()}, time.monotonic()
    windows = topology.windows(options)
    secs = time.monotonic() - began
    return Span(windows, {role: (cpu_secs(pid) - before[role]) / secs for role, pid in pids.items()})


def compared(alone: list[Span], beside: list[Span]) -> Result:
    rates, usual = rates_of(beside), rates_of(alone)
    if not (rates and usual):
        return Result("ui-watched", "tuples/s", rates, notes="no second in which the worker reported")
    ratio = statistics.median(rates) / statistics.median(usual)
    costs = [told_median(map(cost_of, of)) for of in (alone, beside)]
    cost = watching_percent(alone, beside, os.cpu_count() or 1)
    took = ", ".join(
        f"{role} {statistics.mean(one.daemons[role] for one in alone):.1%} to "
        f"{statistics.mean(one.daemons[role] for one in beside):.1%}"
        for role in beside[0].daemons
    )
    notes = [
        f"{ratio:.3f} of the {statistics.median(usual):,.0f} tuples/s that nobody watches",
        f"CPU s/M of the worker {costs[0]:.3f} to {costs[1]:.3f}",
        f"watching costs {cost:.2f} % of the machine",
        f"of a core: {took}",
        *dict.fromkeys(one.windows.notes for one in (*alone, *beside) if one.windows.notes),
    ]
    return Result(
        "ui-watched", "tuples/s", rates, cpu_secs_per_million=costs[1], notes="; ".join(notes), others={"cost": cost}
    )


def watching_percent(alone: list[Span], beside: list[Span], cores: int) -> float:
    """What watching takes of the machine: how much dearer tuples become for their worker, and what more the daemons do.

    Each span is compared with the one before it, and the median counts: what else the machine does comes and goes.
    NaN: in no pair both workers have reported.
    """
    dearer = told_median(cost_of(one) / cost_of(other) for one, other in zip(beside, alone, strict=True)) - 1
    more = statistics.median(
        sum(one.daemons.values()) - sum(other.daemons.values()) for one, other in zip(beside, alone, strict=True)
    )
    return 100 * (dearer + more / cores)


def told_median(numbers: Iterable[float]) -> float:
    """Without those that are not known, NaN; NaN where none is."""
    told = [one for one in numbers if not math.isnan(one)]
    return statistics.median(told) if told else math.nan


def cost_of(span: Span) -> float:
    """CPU seconds of the worker per million tuples; NaN: it has not reported."""
    return span.windows.cost("acked") or math.nan


def rates_of(spans: list[Span]) -> tuple[float, ...]:
    return tuple(rate for one in spans for rate in one.windows.rates.get("acked", ()))


CASES: list[Case] = [
    *map(case, PATHS),
    Case("ui-watched", "hop-acked while its page is watched, against the spans between", watched),
]
