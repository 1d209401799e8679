"""How Storm's REST API writes times, figures, ids and links; pure.

Storm writes latencies and capacities as text with three decimals, uptimes in words beside their seconds, and every id
twice: once as it is, once as it stands in a URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from storm.diagnosis.wording import pretty_secs
from storm.metrics.stats_records import ALL_TIME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Viewer(NamedTuple):
    """The log viewer beside a supervisor. `port` 0: there is none, None: the supervisor does not say.

    `worker_ports` are those of the supervisor's workers, `daemon_logs` names of daemons' logs that can be seen there.
    """

    port: int | None
    worker_ports: frozenset[int] = frozenset()
    daemon_logs: frozenset[str] = frozenset()


class LogLinks(NamedTuple):
    """Addresses at log viewers, for browsers; empty where there is none. A host may have several, with its supervisors.

    `port`: where they listen whose supervisors do not say. `viewers`: {host: those there}.
    """

    port: int
    viewers: Mapping[str, Sequence[Viewer]] = {}

    def worker(self, host: str, worker_port: int, topology_id: str, file: str = "worker.log") -> str:
        """A file of a worker's."""
        path = encoded(f"{topology_id}/{worker_port}/{file}")
        return self._beside(host, worker_port, f"/api/v1/log?file={path}")

    def events(self, host: str, worker_port: int, topology_id: str) -> str:
        """Of the samples of tuples that a worker writes."""
        return self.worker(host, worker_port, topology_id, "events.log")

    def daemon(self, host: str, name: str) -> str:
        """The log of the daemon `name` on that host ("nimbus", "supervisor"), where a log viewer there has it."""
        ports = [one.port for one in self.viewers.get(host, ()) if f"{name}.log" in one.daemon_logs]
        return self._at(host, ports[0], f"/api/v1/daemonlog?file={name}.log") if ports else ""

    def of_worker(self, host: str, worker_port: int, topology_id: str) -> str:
        """The page of all logs of a worker."""
        return self._beside(host, worker_port, f"/?topoId={encoded(topology_id)}&port={worker_port}")

    def beside_worker(self, host: str, worker_port: int, topology_id: str) -> str:
        """The page of all logs of a topology at the log viewer that has those of this worker."""
        return self._beside(host, worker_port, f"/?topoId={encoded(topology_id)}")

    def dumps(self, host: str, topology_id: str, worker_port: int) -> str:
        """The list of what a worker was asked for and is kept."""
        place = encoded(f"{host}:{worker_port}")
        return self._beside(host, worker_port, f"/api/v1/dumps/{encoded(topology_id)}/{place}")

    def _beside(self, host: str, worker_port: int, path: str) -> str:
        """At the log viewer beside the worker's supervisor; one that is ill offers no ports."""
        there = self.viewers.get(host, ())
        its = [one for one in there if worker_port in one.worker_ports] or there
        return self._at(host, its[0].port if its else None, path)

    def _at(self, host: str, port: int | None, path: str) -> str:
        at = f"[{host}]" if ":" in host else encoded(host)
        return "" if port == 0 else f"http://{at}:{self.port if port is None else port}{path}"


def pretty_window(window: str) -> str:
    """`10m 0s`, `3h 0m 0s`, `1d 0h 0m 0s`, `All time`."""
    return "All time" if window == ALL_TIME else pretty_secs(int(window))


def decimals(value: float | None) -> str:
    """Three of them: "0.000"."""
    return f"{value or 0.0:.3f}"


def encoded(text: str) -> str:
    """As a part of a URL, in its path or its query: no character of it means anything there."""
    return quote(text, safe="*")
