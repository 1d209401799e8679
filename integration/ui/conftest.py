"""A cluster of real processes, the word count on it, and `storm ui` in front; shared by all tests here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster"))

from cluster_site import QUICK, ClusterSite, Daemon, free_ports, start_site

if TYPE_CHECKING:
    from collections.abc import Iterator

TOPOLOGY = Path(__file__).parent / "topologies" / "word_count_with_side.py"
ENOUGH_ERRORS = 2


class UiSite:
    """The cluster, its UI daemon, and a client of it."""

    topology_file = TOPOLOGY

    def __init__(self, cluster: ClusterSite) -> None:
        self.cluster = cluster
        self.port = next(free_ports())
        self.daemon = Daemon("ui", "ui", cluster.directory / "ui", {**cluster.settings, "ui.port": self.port})
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def start(self) -> None:
        self.daemon.start()
        self.cluster.wait(self.is_there, "the UI answers")

    def is_there(self) -> bool:
        assert self.daemon.is_running, self.daemon.log.read_text()
        try:
            return self.client.get("/live").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str) -> Any:
        answer = self.client.get(f"/api/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def run_word_count(self) -> str:
        """Submit it, and wait until every component has told of all that it does; its id."""
        topology_id = self.cluster.submit(
            TOPOLOGY,
            "wordcount",
            topology__workers=2,
            topology__max__spout__pending=50,
            topology__sleep__spout__wait__strategy__time__ms=20,
        )

        def all_is_told() -> bool:
            page = f"/topology/{topology_id}/component"
            words, split, count = (self.get(f"{page}/{name}") for name in ("words", "split", "count"))
            drawn = self.get(f"/topology/{topology_id}/visualization")
            return (
                len(split["componentErrors"]) >= ENOUGH_ERRORS
                and {one["stream"] for one in words["outputStats"]} == {"default", "side"}
                and {one["stream"] for one in count["inputStats"]} == {"default", "side"}
                and any(one["failed"] for one in split["executorStats"])
                and all(one[":transferred"] is not None for each in drawn.values() for one in each[":stats"])
            )

        self.cluster.wait(all_is_told, "the word count has told all")
        return topology_id

    def close(self) -> None:
        self.client.close()
        if self.daemon.is_running:
            self.daemon.stop()


@pytest.fixture(scope="module")
def ui_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiSite]:
    settings = {**QUICK, "logviewer.embedded": True, "logviewer.port": next(free_ports())}
    cluster = start_site(tmp_path_factory.mktemp("ui_cluster"), "embedded", ("a",), settings)
    site = UiSite(cluster)
    try:
        site.start()
        yield site
    finally:
        site.close()
        cluster.close()


@pytest.fixture(scope="module")
def word_count(ui_site: UiSite) -> str:
    """The id of the topology that runs."""
    return ui_site.run_word_count()
