"""The metrics consumers that are built in: into the worker's log, and to a web service."""

from __future__ import annotations

import http.client
import json
import logging
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from storm.config.addresses import joined
from storm.errors import StormError
from storm.topology.metrics_consumer import MetricsConsumer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storm.metrics.data_points import DataPoint, TaskInfo
    from storm.topology.context import TopologyContext

logger = logging.getLogger("storm.metrics")

HTTP_SECS = 10.0


class LogConsumer(MetricsConsumer):
    """A line a point into the worker's log, with the columns of Storm's LoggingMetricsConsumer. `class: log`."""

    def handle_data_points(self, task_info: TaskInfo, data_points: Sequence[DataPoint]) -> None:
        where = joined(task_info.worker_host, task_info.worker_port)
        whose = f"{task_info.task_id:>3}:{task_info.component_id:<11}"
        for name, value in data_points:
            logger.info("%15d\t%22s\t%s\t%-23s\t%s", task_info.timestamp, where, whose, name, value)


class HttpConsumer(MetricsConsumer):
    """POSTs reports as JSON lines, all that wait in one request. `class: http`.

    The argument is the URL, or {"url": ..., "headers": {...}, "timeout.secs": 10}. Any answer but 2xx is an error.
    """

    def prepare(self, conf: Mapping[str, Any], argument: Any, context: TopologyContext) -> None:
        """Raises StormError where the argument is wrong."""
        given = argument if isinstance(argument, dict) else {"url": argument}
        url, headers, secs = given.get("url"), given.get("headers") or {}, given.get("timeout.secs", HTTP_SECS)
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise StormError(f"the metrics consumer http: its argument must be a URL of http(s), got {url!r:.100}")
        if not isinstance(headers, dict) or isinstance(secs, bool) or not isinstance(secs, int | float) or secs <= 0:
            raise StormError("the metrics consumer http: headers must be a mapping, and timeout.secs a number above 0")
        self.url = url
        self.secs = float(secs)
        self.headers = {"content-type": "application/x-ndjson", **{str(key): str(headers[key]) for key in headers}}
        self.topology_id = context.topology_id

    def handle_data_points(self, task_info: TaskInfo, data_points: Sequence[DataPoint]) -> None:
        self.handle_all([(task_info, data_points)])

    def handle_all(self, reports: Sequence[tuple[TaskInfo, Sequence[DataPoint]]]) -> None:
        lines = [
            json.dumps(
                {
                    "topology_id": self.topology_id,
                    **task_info._asdict(),
                    "data_points": [point._asdict() for point in data_points],
                }
            )
            for task_info, data_points in reports
        ]
        body = ("\n".join(lines) + "\n").encode()
        request = urllib.request.Request(self.url, body, self.headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self.secs) as answer:
                answer.read(1 << 16)
        except (OSError, http.client.HTTPException) as error:
            raise StormError(f"{len(reports)} metrics reports were not taken by {self.url}: {error}") from error
