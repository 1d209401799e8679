"""The HTTP ports of a cluster: the UI with its REST API, the log viewer, and where the daemons show how they do.

A case is what one connection sends. `TOPOLOGY` and `PORT` in it are the id of a topology that runs and a port of one of
its workers, so that a case of the corpus gets to where such are looked up. Actions that end a topology are in the
corpus with an id that nobody has.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_site import QUICK, ClusterSite, Daemon, free_ports, start_site, wait_until
from mutator import mutated_lines
from surface import Neighbour, Surface, is_served, send_case

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from neighbour import Sample

TOPOLOGY_FILE = Path(__file__).parents[1] / "ui" / "topologies" / "word_count_with_side.py"
TOPOLOGY, PORT = b"THE-TOPOLOGY", b"THE-PORT"
START_SECS = 30.0


class Http(Surface):
    name = "http"
    about = "the ports of UI, log viewer and /metrics, while a topology runs"
    # One request that is answered, and one whose body does not end.
    endless = (
        b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"
        b"POST /api/v1/topology/none/activate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"400\r\n" + b"x" * 1024 + b"\r\n",
    )

    def start(self, directory: Path) -> None:
        ports = free_ports()
        logviewer, ui = next(ports), next(ports)
        settings = {**QUICK, "logviewer.embedded": True, "logviewer.port": logviewer}
        self.site: ClusterSite = start_site(directory, "embedded", ("a",), settings)
        self.closing.callback(self.site.close)
        self._ui = Daemon("ui", "ui", directory / "ui", {**self.site.settings, "ui.port": ui})
        self._ui.start()
        self.closing.callback(self._ui.stop)
        supervisor = self.site.supervisors["a"].settings
        metrics = (supervisor["supervisor.metrics.port"], self.site.settings["nimbus.metrics.port"])
        self._kinds = {"http-ui": ui, "http-logviewer": logviewer, "http-metrics": metrics[0]}
        self.ports = (ui, logviewer, *metrics)
        wait_until(self.serves_new_client, "all ports answer", START_SECS)
        topology_id = self.site.submit(
            TOPOLOGY_FILE, "wordcount", topology__sleep__spout__wait__strategy__time__ms=20
        ).encode()
        self._names = {TOPOLOGY: topology_id, PORT: str(min(self.site.worker_pids().values())).encode()}
        self._neighbours = [
            self.closing.enter_context(closing(Neighbour(kind, port, directory))) for kind, port in self._kinds.items()
        ]

    def processes(self) -> dict[str, int]:
        return {daemon.name: daemon.pid for daemon in (self._ui, *self.site.daemons) if daemon.is_running}

    def crowded(self) -> list[tuple[int, ...]]:
        ui, logviewer, *metrics = self.ports
        return [(ui,), (logviewer,), tuple(metrics)]

    def samples(self) -> list[Sample]:
        return [sample for neighbour in self._neighbours for sample in neighbour.samples()]

    def change(self, data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
        return mutated_lines(data, rng, seeds)

    def attack(self, data: bytes, ports: Sequence[int]) -> None:
        for name, value in self._names.items():
            data = data.replace(name, value)
        send_case(data, ports[sum(data) % len(ports)])

    def serves_new_client(self) -> bool:
        return all(is_served(kind, port) for kind, port in self._kinds.items())
