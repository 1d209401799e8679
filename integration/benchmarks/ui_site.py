"""The UI in front of a Nimbus in memory, with 50 topologies: one of 300 executors, one of 101 components.

The Nimbus is the one of tests/ui: its own service and core, on a cluster in memory whose supervisors and workers are
only said to be there and to have told figures. It serves real Thrift from this process; the UI is a process of its own.
"""

from __future__ import annotations

import importlib.util
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from cluster_site import Daemon, free_ports, wait_until

from storm.thrift.server import ThriftServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storm.topology.structure import StormTopology

TOPOLOGIES = 50
SIDE = 100  # executors of each of the three components of the large one
HOSTS = 40  # of four slots each
LARGE = "large"
LARGE_WORKERS = 30
START_SECS = 60.0


def _word_counts() -> Any:
    """The module of tests/ui that has a Nimbus in memory, and a word count whose figures are known."""
    path = Path(__file__).parents[2] / "tests" / "ui" / "conftest.py"
    spec = importlib.util.spec_from_file_location("ui_in_memory", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class OneAtATime:
    """A handler whose methods are called by one thread at a time: Nimbus's core belongs to one."""

    def __init__(self, handler: object) -> None:
        self._handler = handler
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._handler, name)

        def called(*arguments: Any) -> Any:
            with self._lock:
                return method(*arguments)

        return called


class UiSite:
    """`address` of the UI; `large` and `wide`, ids of the topologies of many executors and of many components;
    `get` and `forget` are requests to it.
    """

    def __init__(self, large: str, daemon: Daemon, port: int, wide: str = "") -> None:
        self.large = large
        self.wide = wide
        self.address = f"http://127.0.0.1:{port}"
        self.daemon = daemon
        self.client = httpx.Client(base_url=self.address, timeout=60)

    def is_there(self) -> bool:
        assert self.daemon.is_running, self.daemon.log.read_text()
        try:
            return self.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str) -> httpx.Response:
        answer = self.client.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer

    def forget(self) -> None:
        """Let the UI ask Nimbus anew: a change empties what it shares. This one changes nothing."""
        self.client.post(f"/api/v1/topology/{self.large}/activate").raise_for_status()


def large_topology(word_count: StormTopology) -> StormTopology:
    """The same with 100 executors of each component."""

    def enlarged(components: Any) -> Any:
        return {name: replace(spec, parallelism=SIDE, conf={}) for name, spec in components.items()}

    return replace(word_count, spouts=enlarged(word_count.spouts), bolts=enlarged(word_count.bolts))


def fill(site: Any, tests: Any) -> tuple[str, str]:
    """Let all topologies run on a Nimbus in memory; the ids of the large one and of the wide one."""
    cluster = site.cluster
    for i in range(HOSTS):
        cluster.start_supervisor(f"host{i}")
    stats = {"words": tests.spout_stats(), "split": tests.split_stats(), "count": tests.count_stats()}
    small = tests.word_count()
    asked = [(f"small-{i}", small, 1) for i in range(TOPOLOGIES - 2)]
    for name, topology, workers in [*asked, (LARGE, large_topology(small), LARGE_WORKERS)]:
        conf = {"topology.workers": workers, "topology.submitter.user": "storm"}
        topology_id: str = cluster.submit(name, topology, conf)
        plan = cluster.core.snapshot.plans[topology_id]
        executors = cluster.assignment(topology_id).executor_slots
        told = {one: stats[component] for one in executors if (component := plan.component_of(one)) in stats}
        cluster.beat(topology_id, told)
    return topology_id, site.run_wide()


@contextmanager
def ui_in_memory() -> Iterator[UiSite]:
    """It runs, and answers."""
    tests = _word_counts()
    with tempfile.TemporaryDirectory(prefix="storm-bench-ui-") as directory:
        nimbus = tests.Site(Path(directory))
        large, wide = fill(nimbus, tests)
        server = ThriftServer("Nimbus", OneAtATime(nimbus.service), host="127.0.0.1", port=0)
        server.start()
        try:
            settings = {"nimbus.seeds": ["127.0.0.1"], "nimbus.thrift.port": server.port}
            with ui_of(settings, Path(directory), large, wide) as site:
                yield site
        finally:
            server.stop()


@contextmanager
def ui_of(settings: dict[str, Any], directory: Path, topology_id: str, wide: str = "") -> Iterator[UiSite]:
    """`storm ui` of a Nimbus that these settings name."""
    port = next(free_ports())
    daemon = Daemon("ui", "ui", directory / "ui", {**settings, "ui.port": port})
    daemon.start()
    site = UiSite(topology_id, daemon, port, wide)
    try:
        wait_until(site.is_there, "the UI answers", START_SECS)
        yield site
    finally:
        site.client.close()
        if daemon.is_running:
            daemon.stop()
