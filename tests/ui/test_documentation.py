"""docs/ui.md is true: it names every path, and the limits that are in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import storm
from storm.diagnosis.topology import RECENT_SECS
from storm.http import guard, protocol, request_guard
from storm.http.server import HEAD_BYTES_MAX
from storm.ui import nimbus_answers
from storm.ui.pages import history, last_known, log_part, log_reader, rounds, streams
from storm.ui.pages.links import PAGES_OF_STORM
from storm.ui.pages.table import PAGES
from storm.ui.rest import log_search, worker_calls
from storm.ui.rest.endpoints import ENDPOINTS

TEXT = (Path(storm.__file__).parent.parent / "docs" / "ui.md").read_text()
NAMES = {"{id}": "ID", "{component}": "COMPONENT", "{owner}": "OWNER", "{wait}": "SECS", "{percent}": "PERCENT",
         "{host_port}": "HOST:PORT", "{minutes}": "MINUTES"}  # fmt: skip


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
def test_each_path_is_documented(endpoint: Any) -> None:
    path = endpoint.path.replace("{action}", "enable")
    for name, shown in NAMES.items():
        path = path.replace(name, shown)
    if "/COMPONENT/debug/" in path:
        path = "/topology/ID/component/COMPONENT/debug/..."
    assert f"`{path}`" in TEXT or f"`/{path.rpartition('/')[2]}`" in TEXT


@pytest.mark.parametrize("page", PAGES, ids=lambda one: one.path)
def test_each_page_is_documented(page: Any) -> None:
    path = page.path.replace("{owner:path}", "OWNER").replace("{host_port}", "HOST:PORT")
    for name, shown in NAMES.items():
        path = path.replace(name, shown)
    assert f"`{path}`" in TEXT


def test_what_is_said_of_pages_is_so() -> None:
    assert all(f"`{path}" in TEXT for path in PAGES_OF_STORM)
    assert (streams.LIVE_SECS, streams.SLOW_SECS, streams.SHARE_MAX, RECENT_SECS) == (2, 10, 0.25, 10 * 60)


def test_limits_are_documented() -> None:
    path_kb = request_guard.PATH_BYTES_MAX >> 10
    for row in (
        f"| a request's line and headers | {HEAD_BYTES_MAX >> 10} kB; the path {path_kb} kB |",
        f"| until they are complete | {protocol.HEAD_SECS:g} s |",
        f"| the rest of a body that was answered before it had come | {protocol.REST_BYTES_MAX >> 10} kB, within "
        f"{protocol.HEAD_SECS:g} s | what comes beyond is thrown away for {protocol.LINGER_SECS:g} s, ",
        f"| a body | {request_guard.BODY_BYTES_MAX >> 20} MB, within {guard.BODY_SECS:g} s |",
        f"| connections | {protocol.CONNECTIONS_MAX:,} |",
        f"| requests that are being answered | {guard.ACTIVE_MAX} |",
        f"| requests whose body is still coming | {guard.BODIES_MAX} |",
        f"| pages that are watched | {streams.STREAMS_MAX} |",
        f"| topologies whose rates the cluster's page has, and that have a last hour | {rounds.STEADY_MAX} each |",
        f"| components with a last hour | {history.COMPONENTS_MAX} |",
        f"| a dump of a worker that passes through the UI | {worker_calls.DUMP_BYTES_MAX >> 20} MB |",
        f"| answers of Nimbus that are kept for when it is silent | {last_known.COUNT_MAX:,}, "
        "those looked at last, and within the last hour; ",
        f"| an answer of which the client takes nothing | {protocol.WRITE_SECS:g} s |",
        f"| a part of a log | {log_part.PART_BYTES >> 10} kB |",
        f"| a search in logs | {log_search.RECORDS_MAX} records, of 2,000 characters each; "
        f"{log_search.SUPERVISORS_MAX} supervisors on whose hosts its workers run or ended, and "
        f"{log_search.OTHERS_MAX} others; four at a time, each for 5 s and 2 GB; "
        f"{log_reader.PATIENCE_SECS:g} s until it is shown |",
    ):
        assert row in TEXT
    assert last_known.KEPT_SECS == 3_600
    assert rounds.STEADY_MAX == history.TOPOLOGIES_MAX
    assert nimbus_answers.KEEP_SECS == nimbus_answers.RETRY_SECS == 2
