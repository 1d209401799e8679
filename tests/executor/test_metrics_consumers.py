from __future__ import annotations

import http.server
import json
import logging
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from storm.errors import StormError
from storm.executor.metrics_consumers import HttpConsumer, LogConsumer
from storm.metrics.data_points import DataPoint, TaskInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

INFO = TaskInfo("host", 6700, "count", 4, 1_700_000_000, 60)
POINTS = [DataPoint("lines", 7), DataPoint("__execute-count", {"words:default": 3})]


class Context(NamedTuple):
    topology_id: str = "wc-1-0"


class Service:
    def __init__(self) -> None:
        self.bodies: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                service.bodies.append(({key.lower(): value for key, value in self.headers.items()}, body))
                self.send_response(service.status)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/metrics"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    yield found
    found.close()


def http_consumer(argument: Any) -> HttpConsumer:
    consumer = HttpConsumer()
    consumer.prepare({}, argument, Context())  # type: ignore[arg-type]
    return consumer


def test_a_line_a_point_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "storm.metrics"):
        LogConsumer().handle_data_points(INFO, POINTS)
    first, second = [record.getMessage().split("\t") for record in caplog.records]
    assert [part.strip() for part in first] == ["1700000000", "host:6700", "4:count", "lines", "7"]
    assert second[-1] == "{'words:default': 3}"
    with caplog.at_level(logging.INFO, "storm.metrics"):
        LogConsumer().handle_data_points(INFO._replace(worker_host="::1"), POINTS)
    assert "\t            [::1]:6700\t" in caplog.messages[-1]


def test_all_reports_in_one_request_a_line_each(service: Service) -> None:
    consumer = http_consumer({"url": service.url, "headers": {"x-key": 5}})
    consumer.handle_all([(INFO, POINTS), (INFO._replace(task_id=5), [])])
    [(headers, body)] = service.bodies
    first, second = [json.loads(line) for line in body.splitlines()]
    assert first == {
        "topology_id": "wc-1-0",
        "worker_host": "host",
        "worker_port": 6700,
        "component_id": "count",
        "task_id": 4,
        "timestamp": 1_700_000_000,
        "interval_secs": 60,
        "data_points": [{"name": "lines", "value": 7}, {"name": "__execute-count", "value": {"words:default": 3}}],
    }
    assert (second["task_id"], second["data_points"]) == (5, [])
    assert (headers["content-type"], headers["x-key"]) == ("application/x-ndjson", "5")


def test_what_the_service_does_not_take_is_an_error_that_names_it(service: Service) -> None:
    service.status = 500
    with pytest.raises(StormError, match=f"1 metrics reports were not taken by {service.url}: HTTP Error 500"):
        http_consumer(service.url).handle_data_points(INFO, POINTS)


def test_a_service_that_is_not_there_is_an_error() -> None:
    gone = Service()
    gone.close()
    with pytest.raises(StormError, match=r"were not taken by .*refused"):
        http_consumer(gone.url).handle_data_points(INFO, POINTS)


@pytest.mark.parametrize("argument", [None, "", "file:///etc/passwd", "http://", {"headers": {}}, 5])
def test_an_argument_that_is_no_url_is_refused(argument: Any) -> None:
    with pytest.raises(StormError, match="its argument must be a URL of http"):
        http_consumer(argument)


@pytest.mark.parametrize("more", [{"headers": ["a"]}, {"timeout.secs": 0}, {"timeout.secs": "10"}])
def test_other_arguments_are_checked_too(more: Any) -> None:
    with pytest.raises(StormError, match=r"headers must be a mapping, and timeout.secs a number above 0"):
        http_consumer({"url": "http://localhost/", **more})
