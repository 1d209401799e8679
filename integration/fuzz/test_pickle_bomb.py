"""A topology whose component is a pickle that runs code when it is loaded: only a worker may ever load it."""

from __future__ import annotations

import io
import json
import re
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cluster_site import QUICK, Daemon, free_ports, start_site

from storm.errors import StormError
from storm.thrift.interface import storm_thrift
from storm.thrift.nimbus_client import NimbusClient
from storm.ui.pages.table import PAGES
from storm.ui.rest.endpoints import ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster_site import ClusterSite

pytestmark = pytest.mark.timeout(180)

NAME, OWNER = "bomb", "ann"


class Bomb:
    """Its pickle appends the command line of the process that loads it to a file, and gives nothing usable."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        lines = (
            "from pathlib import Path",
            f"with open({str(self.file)!r}, 'a') as file:",
            "    file.write(Path('/proc/self/cmdline').read_text().replace(chr(0), ' ') + chr(10))",
        )
        return exec, ("\n".join(lines),)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ClusterSite]:
    settings = {**QUICK, "logviewer.embedded": True, "logviewer.port": next(free_ports())}
    started = start_site(tmp_path, "embedded", ("a",), settings)
    yield started
    started.close()


def bomb_topology(file: Path) -> Any:
    import pickle

    t = storm_thrift()
    code = pickle.dumps(Bomb(file))
    common = t.ComponentCommon(
        inputs={},
        streams={"default": t.StreamInfo(output_fields=["word"], direct=False)},
        parallelism_hint=1,
        json_conf="{}",
    )
    spout = t.SpoutSpec(spout_object=t.ComponentObject(serialized_python=code), common=common)
    return t.StormTopology(spouts={"words": spout}, bolts={}, state_spouts={})


def upload(nimbus: NimbusClient) -> str:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", "x = 1\n")
    location: str = nimbus.call("beginFileUpload")
    nimbus.call("uploadChunk", location, package.getvalue())
    nimbus.call("finishFileUpload", location)
    return location


LOG_PATHS = ("/", "/api/v1/listLogs", "/log?file={log}", "/download?file={log}", "/find?topoId={id}&search-string=bomb")
SEARCHES = ("/api/v1/search?file={log}&search-string=bomb", "/api/v1/deepSearch/{id}?search-string=bomb")
UI_PATHS = (*(f"/api/v1{one.path}" for one in ENDPOINTS if one.method == "GET"), *(page.path for page in PAGES))


def look_at_everything(site: ClusterSite, topology_id: str) -> None:
    """Ask the UI and the log viewer for all that they show of the topology."""
    ui_port = next(free_ports())
    ui = Daemon("ui", "ui", site.directory / "ui", {**site.settings, "ui.port": ui_port})
    ui.start()
    try:
        with closing(httpx.Client(timeout=30)) as client:
            at_ui, at_logs = f"http://127.0.0.1:{ui_port}", f"http://127.0.0.1:{site.settings['logviewer.port']}"
            site.wait(lambda: is_there(client, f"{at_ui}/live"), "the UI answers")
            [worker] = client.get(f"{at_ui}/api/v1/topology-workers/{topology_id}").json()["hostPortList"]
            values = {
                "id": topology_id,
                "component": "words",
                "host_port": f"{worker['host']}:{worker['port']}",
                "owner": OWNER,
                "log": f"{topology_id}/{worker['port']}/worker.log",
            }
            for path in [*(at_ui + path for path in UI_PATHS), *(at_logs + path for path in (*LOG_PATHS, *SEARCHES))]:
                own = {**values, "id": site.node_id("a")} if "/supervisor/{id}" in path else values
                address = re.sub(r"\{(\w+)(?::\w+)?\}", lambda found, own=own: own[found[1]], path)  # type: ignore[misc]
                query = {} if "?" in path else {"sys": "true", "text": "bomb", "host": worker["host"]}
                answer = client.get(address, params=query or None)
                assert answer.status_code == 200, (address, answer.text)
    finally:
        ui.stop()


def is_there(client: httpx.Client, address: str) -> bool:
    try:
        return client.get(address).status_code == 200
    except httpx.TransportError:
        return False


def test_only_workers_load_what_a_component_is_made_of(site: ClusterSite, tmp_path: Path) -> None:
    loaded = tmp_path / "loaded"
    topology = bomb_topology(loaded)
    with NimbusClient(["127.0.0.1"], site.settings["nimbus.thrift.port"], 10.0) as nimbus:
        conf = json.dumps({"topology.submitter.user": OWNER})
        nimbus.call("submitTopology", NAME, upload(nimbus), conf, topology)
        [summary] = nimbus.call("getTopologySummaries")
        for method in ("getTopology", "getUserTopology", "getTopologyConf"):
            nimbus.call(method, summary.id)
        nimbus.call("getTopologyPageInfo", summary.id, ":all-time", False)
        nimbus.call("getComponentPageInfo", summary.id, "words", ":all-time", False)
    for words in (["list"], ["status", NAME], ["get-errors", NAME]):
        site.storm(*words)
    site.wait(loaded.exists, "a worker loads the component")
    look_at_everything(site, summary.id)
    site.supervisors["a"].stop()
    site.start_supervisor("a")
    site.nimbus.stop()
    site.start_nimbus()
    site.storm("status", NAME)
    site.storm("kill", NAME, "-w", "0")
    site.wait(lambda: not site.call("getTopologySummaries"), "the topology is gone")

    lines = loaded.read_text().splitlines()
    assert lines
    assert [line for line in lines if " -m storm.worker " not in line] == []


def test_the_bomb_goes_off_in_whoever_loads_it(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    import pickle

    pickle.loads(pickle.dumps(Bomb(tmp_path / "loaded")))
    assert "storm.worker" not in (tmp_path / "loaded").read_text()


def test_a_package_that_is_a_pickle_is_no_package(site: ClusterSite, tmp_path: Path) -> None:
    import pickle

    with NimbusClient(["127.0.0.1"], site.settings["nimbus.thrift.port"], 10.0) as nimbus:
        location = nimbus.call("beginFileUpload")
        nimbus.call("uploadChunk", location, pickle.dumps(Bomb(tmp_path / "loaded")))
        nimbus.call("finishFileUpload", location)
        with pytest.raises(StormError, match="not a zip archive"):
            nimbus.call("submitTopology", NAME, location, "{}", bomb_topology(tmp_path / "loaded"))
    assert not (tmp_path / "loaded").exists()
