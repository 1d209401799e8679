"""How Storm's REST API writes times, figures, ids and links; pure.

Storm writes latencies and capacities as text with three decimals, uptimes in words beside their seconds, and every id
twice: once as it is, once as it stands in a URL.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from storm.diagnosis.wording import pretty_secs
from storm.metrics.stats_records import ALL_TIME


class LogLinks(NamedTuple):
    """Addresses of log files, for browsers: the log viewer of each host listens on `port`."""

    port: int

    def worker(self, host: str, worker_port: int, topology_id: str) -> str:
        return self._link(host, "log", f"{topology_id}/{worker_port}/worker.log")

    def daemon(self, host: str, name: str) -> str:
        """Of the daemon `name` on that host: "nimbus", "supervisor"."""
        return self._link(host, "daemonlog", f"{name}.log")

    def kept(self, host: str, topology_id: str, worker_port: int | None = None) -> str:
        """The page of all logs of a topology on that host, or of its worker there."""
        of_worker = "" if worker_port is None else f"&port={worker_port}"
        return f"{self._root(host)}/?topoId={encoded(topology_id)}{of_worker}"

    def dumps(self, host: str, topology_id: str, worker_port: int) -> str:
        """The list of what a worker was asked for and is kept."""
        place = encoded(f"{host}:{worker_port}")
        return f"{self._root(host)}/api/v1/dumps/{encoded(topology_id)}/{place}"

    def _link(self, host: str, page: str, file: str) -> str:
        return f"{self._root(host)}/api/v1/{page}?file={encoded(file)}"

    def _root(self, host: str) -> str:
        at = f"[{host}]" if ":" in host else encoded(host)
        return f"http://{at}:{self.port}"


def pretty_window(window: str) -> str:
    """`10m 0s`, `3h 0m 0s`, `1d 0h 0m 0s`, `All time`."""
    return "All time" if window == ALL_TIME else pretty_secs(int(window))


def decimals(value: float | None) -> str:
    """Three of them: "0.000"."""
    return f"{value or 0.0:.3f}"


def encoded(text: str) -> str:
    """As a part of a URL, in its path or its query: no character of it means anything there."""
    return quote(text, safe="*")
