"""What scripts that were written for Storm's REST API read of it, as streamparse's `stats` and `worker_uptime` do: the
same paths, keys and links, taken as they are.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

pytestmark = pytest.mark.timeout(240)

API = "/api/v1"
IN_SUMMARY = ("name", "id", "status", "uptime", "workersTotal", "executorsTotal", "tasksTotal")
IN_CLUSTER = ("stormVersion", "supervisors", "slotsTotal", "slotsUsed", "slotsFree", "executorsTotal", "tasksTotal")
IN_SUPERVISOR = ("id", "host", "uptime", "slotsTotal", "slotsUsed")
OF_SPOUT = ("emitted", "transferred", "completeLatency", "acked", "failed")
OF_INPUT = ("executeLatency", "processLatency", "executed", "acked", "failed")
OF_BOLT = ("emitted", "transferred", *OF_INPUT)


class Script:
    """It asks one path after another, and stops at the first `error` that an answer has."""

    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=address, timeout=30)

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str) -> Any:
        found = self._client.get(f"{API}{path}").json()
        assert "error" not in found, found["errorMessage"]
        return found

    def topology_id(self, name: str) -> str:
        [found] = [one["id"] for one in self.get("/topology/summary")["topologies"] if one["name"] == name]
        return str(found)


def table(rows: Any, *columns: str) -> list[list[str]]:
    rows = [rows] if isinstance(rows, dict) else rows
    assert rows
    return [[str(row[column]) for column in columns] for row in rows]


@pytest.fixture
def script(ui_site: Any, word_count: str) -> Any:
    with Script(f"http://127.0.0.1:{ui_site.port}") as script:
        yield script


def test_the_cluster_and_a_topology_are_tables(script: Any, word_count: str) -> None:
    assert table(script.get("/cluster/summary"), *IN_CLUSTER)
    assert table(script.get("/topology/summary")["topologies"], *IN_SUMMARY)
    assert table(script.get("/supervisor/summary")["supervisors"], *IN_SUPERVISOR)
    detail = script.get(f"/topology/{script.topology_id('wordcount')}")
    assert table(detail, *IN_SUMMARY)[0][:3] == ["wordcount", word_count, "ACTIVE"]
    assert len(table(detail["topologyStats"], "windowPretty", *OF_SPOUT)) == 4
    assert table(detail["spouts"], "spoutId", *OF_SPOUT)[0][0] == "words"
    bolts = table(detail["bolts"], "boltId", "executors", "tasks", "capacity", *OF_BOLT, "lastError")
    assert [row[0] for row in bolts] == ["count", "split"]
    assert all(float(row[3]) >= 0 for row in bolts)


def test_components_are_tables_by_what_they_are(script: Any, word_count: str) -> None:
    detail = script.get(f"/topology/{word_count}")
    names = [one["spoutId"] for one in detail["spouts"]] + [one["boltId"] for one in detail["bolts"]]
    for name in names:
        found = script.get(f"/topology/{word_count}/component/{name}")
        assert table(found, "id", "name", "executors", "tasks")[0][:2] == [name, "wordcount"]
        if found["componentType"] == "spout":
            assert table(found["spoutSummary"][-1].copy(), "windowPretty", *OF_SPOUT)[0][0] == "All time"
            assert table(found["outputStats"], "stream", *OF_SPOUT)
            assert table(found["executorStats"], "id", "uptime", "host", "port", *OF_SPOUT)
        else:
            assert len(table(found["boltStats"], "windowPretty", *OF_BOLT)) == 4
            assert table(found["inputStats"], "component", "stream", *OF_INPUT)
            if found["outputStats"]:
                assert table(found["outputStats"], "stream", "emitted", "transferred")


def test_workers_and_their_logs_are_found_by_their_executors(script: Any, ui_site: Any, word_count: str) -> None:
    executors = [
        one for name in ("words", "split", "count")
        for one in script.get(f"/topology/{word_count}/component/{name}")["executorStats"]
    ]  # fmt: skip
    workers = sorted({(one["host"], one["port"], one["workerLogLink"]) for one in executors})
    assert len(workers) == 2
    assert all(one["id"].startswith("[") and one["uptime"] for one in executors)
    for _, port, link in workers:
        parts = urlsplit(link)
        assert parts.path == f"{API}/log"
        [file] = parse_qs(parts.query)["file"]
        assert file == f"{word_count}/{port}/worker.log"
        assert httpx.get(link, timeout=30).status_code == 200
        download = httpx.get(f"http://{parts.netloc}{API}/download", params={"file": file}, timeout=30)
        assert (download.status_code, len(download.content) > 0) == (200, True)
