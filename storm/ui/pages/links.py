"""Where pages are: the addresses that they link to, and those that Storm's own UI had; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from storm.log_names import WORKER_LOG
from storm.metrics.stats_records import ALL_TIME
from storm.ui.rest.formats import encoded

if TYPE_CHECKING:
    from collections.abc import Mapping


class Links(NamedTuple):
    """In templates `link`. `window` and `include_system` are carried on to pages that have them."""

    window: str = ALL_TIME
    include_system: bool = False

    def topology(self, topology_id: str) -> str:
        return self._kept(f"/topology/{encoded(topology_id)}")

    def component(self, topology_id: str, component_id: str) -> str:
        return self._kept(f"/topology/{encoded(topology_id)}/component/{encoded(component_id)}")

    def error(self, topology_id: str, component_id: str, key: str = "") -> str:
        """That of a key, or the newest."""
        path = f"/topology/{encoded(topology_id)}/component/{encoded(component_id)}/error"
        return f"{path}?key={encoded(key)}" if key else path

    def worker(self, topology_id: str, host: str, port: int) -> str:
        return self._kept(f"/topology/{encoded(topology_id)}/worker/{encoded(f'{host}:{port}')}")

    def logs(self, topology_id: str) -> str:
        return f"/topology/{encoded(topology_id)}/logs"

    def log_search(self, topology_id: str) -> str:
        return f"/topology/{encoded(topology_id)}/logs/search"

    def log(self, topology_id: str, host: str, port: int, file: str = WORKER_LOG, **query: object) -> str:
        """Of a worker: its end, or the part that `query` tells; `file`: its present log, or one that was put aside."""
        given = {"file": "" if file == WORKER_LOG else file, **query}
        found = "&".join(f"{name}={encoded(str(value))}" for name, value in given.items() if value != "")
        path = f"/topology/{encoded(topology_id)}/worker/{encoded(f'{host}:{port}')}/log"
        return f"{path}?{found}" if found else path

    def failures(self, topology_id: str) -> str:
        return f"/topology/{encoded(topology_id)}/failures"

    def samples(self, topology_id: str, component_id: str = "", stream: str = "") -> str:
        """Of the topology, or only those that the component emitted, or that it emitted on that stream."""
        given = [("component", component_id), ("stream", stream)]
        query = "&".join(f"{name}={encoded(value)}" for name, value in given if value)
        return f"/topology/{encoded(topology_id)}/samples{'?' if query else ''}{query}"

    def supervisor(self, supervisor_id: str) -> str:
        return f"/supervisor/{encoded(supervisor_id)}"

    def owner(self, owner: str) -> str:
        return f"/owners/{encoded(owner)}"

    def at(self, path: str, window: str | None = None, include_system: bool | None = None) -> str:
        """`path` over another window, or with or without the system's components: None leaves it as it is."""
        changed = Links(
            self.window if window is None else window,
            self.include_system if include_system is None else include_system,
        )
        return changed._kept(path)

    def _kept(self, path: str) -> str:
        query = []
        if self.window != ALL_TIME:
            query.append(f"window={encoded(self.window)}")
        if self.include_system:
            query.append("sys=true")
        return f"{path}?{'&'.join(query)}" if query else path


PAGES_OF_STORM = ("/index.html", "/topology.html", "/component.html", "/supervisor.html", "/owner.html")


def of_storm(path: str, query: Mapping[str, str]) -> str:
    """Where the page is that Storm has at `path`, one of PAGES_OF_STORM; the cluster's where the query lacks an id."""
    link, found = Links(), query.get("id", "")
    if path == "/topology.html" and found:
        return link.topology(found)
    if path == "/component.html" and found and query.get("topology_id"):
        return link.component(query["topology_id"], found)
    if path == "/supervisor.html" and found:
        return link.supervisor(found)
    if path == "/owner.html":
        return link.owner(found) if found else "/owners"
    return "/"
