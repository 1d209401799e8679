"""What real daemons show to Prometheus, and what a consumer on the other side of HTTP is given."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster_site import ClusterSite

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)]

TOTAL = 200  # two spout tasks, a hundred numbers each


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


def test_prometheus_and_a_consumer_see_every_tuple(cluster: ClusterSite, topologies: Path, reports: Reports) -> None:
    settings = {"measures.url": reports.url, "topology.workers": 2}
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

    cluster.wait(lambda: sums() == [TOTAL] * 4, "supervisors show what the bolt counted")
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
    assert sum_of("storm_spout_complete_seconds_bucket", component="numbers", le="64") == TOTAL
    reasons = {dict(labels)["reason"] for samples in of_all for labels in samples.get("storm_spout_failures_total", {})}
    assert reasons == {"failed", "timeout", "worker-died"}
    assert sum_of("storm_spout_failures_total") == 0
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
