"""What real daemons show to Prometheus, what consumers are given, and what hooks are told: all of the same tuples."""

from __future__ import annotations

import ast
import http.server
import json
import threading
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cluster_site import ClusterSite

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)]

TOTAL, FAILED = 200, 20  # two spout tasks, a hundred numbers each, of which the bolt fails one in ten
ACKED = TOTAL - FAILED
# Of what the components did, each name's sum over streams, tasks and reports.
TOLD = {
    "numbers": {"__emit-count": TOTAL, "__transfer-count": TOTAL, "__ack-count": ACKED, "__fail-count": FAILED},
    "measure": {"__emit-count": ACKED, "__execute-count": TOTAL, "__ack-count": ACKED, "__fail-count": FAILED},
}
BUILT_IN = {
    "numbers": {
        "__complete-latency",
        "__sendqueue",
        "__pending",
        "__skipped-max-spout-ms",
        "__skipped-backpressure-ms",
    },
    "measure": {"__execute-latency", "__process-latency", "__receive", "__sendqueue"},
    "__system": {
        "uptimeSecs",
        "startTimeSecs",
        "newWorkerEvent",
        "memory/heap",
        "CPU",
        "GC/generation0",
        "__sendqueue",
    },
}
HOOKS = {
    "numbers": {"emit": TOTAL, "ack": ACKED, "fail": FAILED},
    "measure": {"emit": ACKED, "execute": TOTAL, "ack": ACKED, "fail": FAILED},
}


class Reports:
    """A web service that keeps what it is sent: {(component, task): {name: value}}, the latest."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, int], dict[str, Any]] = {}
        reports = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                for line in self.rfile.read(int(self.headers["content-length"])).splitlines():
                    told = json.loads(line)
                    named = {point["name"]: point["value"] for point in told["data_points"]}
                    reports.points[told["component_id"], told["task_id"]] = named
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def total(self, name: str) -> int:
        return sum(
            points.get(name, 0) for (component, _), points in list(self.points.items()) if component == "measure"
        )

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def reports() -> Iterator[Reports]:
    found = Reports()
    yield found
    found.close()


def asked(port: int, path: str) -> tuple[int, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.status, answer.read().decode()


def read(text: str) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """{name of a sample: {labels: value}}, as Prometheus reads it; what it must be is checked."""
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.type != "unknown", family.name
        assert family.documentation, family.name
        for sample in family.samples:
            labels = frozenset(sample.labels.items())
            assert labels not in found.setdefault(sample.name, {}), sample
            found[sample.name][labels] = sample.value
    for name in [name.removesuffix("_bucket") for name in found if name.endswith("_bucket")]:
        by_labels: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
        for labels, value in found[f"{name}_bucket"].items():
            rest = frozenset(each for each in labels if each[0] != "le")
            by_labels.setdefault(rest, []).append((float(dict(labels)["le"]), value))
        for rest, buckets in by_labels.items():
            counts = [value for _, value in sorted(buckets)]
            assert counts == sorted(counts), (name, rest)
            assert counts[-1] == found[f"{name}_count"][rest], (name, rest)
    return found


def counts(points: list[tuple[str, str, Any]], component: str) -> dict[str, int]:
    """{name of a count: its sum} of (component, name, value)."""
    found: Counter[str] = Counter()
    for whose, name, value in points:
        if whose == component and name.startswith("__") and name.endswith("-count"):
            found[name] += sum(value.values())
    return dict(found)


def in_file(directory: Path) -> list[tuple[str, str, Any]]:
    """What the topology's own consumer was given."""
    file = directory / "points.jsonl"
    told = [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [(one["component_id"], name, value) for one in told for name, value in one["points"].items()]


def in_logs(cluster: ClusterSite, topology_id: str) -> list[tuple[str, str, Any]]:
    """What the logging consumer has written into workers' logs, whose columns are Storm's."""
    found = []
    for daemon in cluster.supervisors.values():
        for log in daemon.local_dir.rglob(f"{topology_id}/*/worker.log"):
            for line in log.read_text().splitlines():
                if " storm.metrics: " in line and line.count("\t") == 4:
                    _, where, whose, name, value = line.split("\t")
                    assert where.strip().rpartition(":")[2].isdecimal()
                    found.append((whose.partition(":")[2].strip(), name.strip(), ast.literal_eval(value)))
    return found


def check_consumer(cluster: ClusterSite, given: Callable[[], list[tuple[str, str, Any]]], who: str) -> None:
    """It is told all that components do, with Storm's names, and what they measure themselves."""
    cluster.wait(
        lambda: all(wanted.items() <= counts(given(), component).items() for component, wanted in TOLD.items()),
        f"{who} is told of every tuple",
    )
    for component, names in BUILT_IN.items():
        assert names <= {name for whose, name, _ in given() if whose == component}
    own = {name for whose, name, _ in given() if whose == "measure" and not name.startswith("__")}
    assert {"lines", "index", "work.count", "work.p99"} <= own


def check_last_points(directory: Path) -> None:
    """Of the component's own counters each report has the total."""
    lines = (directory / "points.jsonl").read_text().splitlines()
    last = {(told["component_id"], told["task_id"]): told["points"] for told in map(json.loads, lines)}
    of_tasks = [points for (component, _), points in last.items() if component == "measure"]
    assert sum(points["lines"] for points in of_tasks) == sum(points["work.count"] for points in of_tasks) == TOTAL
    assert {points["index"] for points in of_tasks} == {0, 1}


def check_hooks(cluster: ClusterSite, topology_id: str, directory: Path) -> None:
    """They are called as often as the components' tasks do it, and as Nimbus says that they do."""

    def told() -> dict[str, dict[str, int]]:
        found: dict[str, Counter[str]] = {}
        for file in directory.glob("hooks-*.json"):
            found.setdefault(file.stem.split("-")[1], Counter()).update(json.loads(file.read_text()))
        return {component: dict(found[component]) for component in found}

    def counted() -> dict[str, dict[str, int]]:
        page, found = cluster.page(topology_id), {}
        for component, stats in {**page.id_to_spout_agg_stats, **page.id_to_bolt_agg_stats}.items():
            of_all = stats.common_stats
            found[component] = {"emit": of_all.emitted, "ack": of_all.acked, "fail": of_all.failed}
            if component in page.id_to_bolt_agg_stats:
                found[component]["execute"] = stats.specific_stats.bolt.executed
        return found

    cluster.wait(lambda: told() == HOOKS, "hooks were told of every tuple, and those of no system's task")
    cluster.wait(lambda: counted() == HOOKS, "Nimbus counts as many")
    assert len(list(directory.glob("hooks-*.json"))) == 4, "each task has hooks of its own"


def test_prometheus_consumers_and_hooks_see_every_tuple(
    cluster: ClusterSite, topologies: Path, reports: Reports, tmp_path: Path
) -> None:
    settings = {"measures.url": reports.url, "measures.dir": tmp_path, "topology.workers": 2}
    words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    topology_id = cluster.read("submit", str(topologies / "measures.py"), "--name", "measures", *words)["id"]
    ports = [daemon.settings["supervisor.metrics.port"] for daemon in cluster.supervisors.values()]

    def shown(family: str) -> list[tuple[str, float]]:
        lines = [line for port in ports for line in asked(port, "/metrics")[1].splitlines()]
        found = [line.rpartition(" ") for line in lines if line.startswith(family + "{")]
        return [(labels, float(value)) for labels, _, value in found if f'topology="{topology_id}"' in labels]

    def sums() -> list[float]:
        executed = [value for labels, value in shown("storm_bolt_executed_total") if 'component="measure"' in labels]
        families = ("storm_metric_count_total", "storm_spout_acked_total", "storm_metric_seconds_count")
        return [sum(executed), *(sum(value for _, value in shown(family)) for family in families)]

    cluster.wait(lambda: sums() == [TOTAL, TOTAL, ACKED, TOTAL], "supervisors show what the bolt counted")
    assert sorted(value for _, value in shown("storm_metric_value")) == [0.0, 1.0]
    assert len(shown("storm_worker_resident_bytes")) == 2

    of_all = [read(asked(port, "/metrics")[1]) for port in ports]

    def sum_of(name: str, **wanted: str) -> float:
        wanted["topology"] = topology_id
        return sum(
            value
            for samples in of_all
            for labels, value in samples.get(name, {}).items()
            if wanted.items() <= dict(labels).items()
        )

    assert sum_of("storm_bolt_execute_seconds_count", component="measure") == TOTAL
    assert sum_of("storm_bolt_execute_seconds_bucket", component="measure", le="64") == TOTAL
    assert sum_of("storm_spout_complete_seconds_bucket", component="numbers", le="64") == ACKED
    reasons = {dict(labels)["reason"] for samples in of_all for labels in samples.get("storm_spout_failures_total", {})}
    assert reasons == {"failed", "timeout", "worker-died"}
    assert sum_of("storm_spout_failures_total") == sum_of("storm_spout_failures_total", reason="failed") == FAILED
    assert sum_of("storm_component_emitted_total", component="measure") == ACKED
    assert sum_of("storm_spout_skipped_seconds_total", reason="inactive") > 0

    cluster.wait(lambda: reports.total("lines") == TOTAL, "the consumer is told what the bolt counted")
    everybody = {"numbers", "measure", "__system"}
    cluster.wait(lambda: {component for component, _ in list(reports.points)} == everybody, "and of all components")

    status, text = asked(cluster.settings["nimbus.metrics.port"], "/metrics")
    assert (status, "\nstorm_nimbus_leader 1.0\n" in text) == (200, True)
    assert f'storm_topology_workers{{topology="{topology_id}"}} 2.0' in text
    assert "storm_zookeeper_call_seconds_bucket" in text
    assert read(text)["storm_nimbus_leader"] == {frozenset(): 1.0}
    for port in (*ports, cluster.settings["nimbus.metrics.port"]):
        assert json.loads(asked(port, "/health")[1])["status"] == "ok"

    def lines() -> list[Any]:
        page = cluster.call("getComponentPageInfo", topology_id, "measure", ":all-time", False)
        return [one for one in json.loads(page.metrics) if one["name"] == "lines"]

    wanted = [{"name": "lines", "kind": "count", "value": float(TOTAL)}]
    cluster.wait(lambda: lines() == wanted, "Nimbus is told what the bolt counted")
    check_consumer(cluster, lambda: in_file(tmp_path), "the topology's own consumer")
    check_consumer(cluster, lambda: in_logs(cluster, topology_id), "Storm's logging consumer")
    check_last_points(tmp_path)
    check_hooks(cluster, topology_id, tmp_path)
