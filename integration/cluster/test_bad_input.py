"""Whatever people give it: the command says what is wrong and where, and nothing is left in the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cluster_site import ClusterSite

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)]

GOOD_PART = """
from storm import TopologyBuilder
from storm.testing.spouts_and_bolts import FixedTupleSpout, WordCounter

builder = TopologyBuilder()
builder.set_spout("numbers", FixedTupleSpout([[1]], ["number"]))
bolt = builder.set_bolt("counts", WordCounter())
"""
BAD_FILES = {
    "an import that fails": ("import no_such_module_of_mine\n", ["No module named 'no_such_module_of_mine'", "line 1"]),
    "a syntax error": ("def topology(conf:\n", ["SyntaxError", "line 1"]),
    "a function that raises": (
        "def topology(conf):\n    return conf['nothing']\n",
        ["KeyError: 'nothing'", "line 2", "in topology"],
    ),
    "no topology": ("x = 1\n", ["has no topology", "def topology(conf)"]),
    "something else": ("topology = 3\n", ["create_topology()", "int"]),
    "an unknown component": (
        GOOD_PART + "bolt.shuffle_grouping('nubmers')\ntopology = builder.create_topology()\n",
        ["nubmers", "numbers", "line 9"],
    ),
    "an unknown field": (
        GOOD_PART + "def topology(conf):\n    bolt.fields_grouping('numbers', ['nunber'])\n"
        "    return builder.create_topology()\n",
        ["nunber", "number", "line 10"],
    ),
    "an object that cannot be pickled": (
        GOOD_PART + "bolt.shuffle_grouping('numbers')\nclass Locked(WordCounter):\n    def __init__(self):\n"
        "        import threading\n        self.guard = threading.Lock()\n"
        "builder.set_bolt('locked', Locked()).shuffle_grouping('numbers')\ntopology = builder.create_topology()\n",
        ["locked", "guard"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_FILES)
def test_a_wrong_topology_file_is_refused_with_its_own_traceback(
    cluster: ClusterSite, tmp_path: Path, what: str
) -> None:
    text, wanted = BAD_FILES[what]
    file = tmp_path / "bad_topology.py"
    file.write_text(text)
    done = cluster.storm("submit", str(file), "--name", "bad", code=1)
    for words in ["bad_topology.py", *wanted]:
        assert words in done.stderr
    for frame_of_ours in ("storm/cli", "storm/client", "storm/topology", "importlib"):
        assert frame_of_ours not in done.stderr
    assert cluster.call("getTopologySummaries") == []


def test_a_name_that_exists_and_an_illegal_one_are_refused(cluster: ClusterSite, tmp_path: Path) -> None:
    file = tmp_path / "good_topology.py"
    file.write_text(GOOD_PART + "bolt.shuffle_grouping('numbers')\ntopology = builder.create_topology()\n")
    cluster.submit(file, "taken")
    assert "'taken' exists" in cluster.storm("submit", str(file), "--name", "taken", code=1).stderr
    assert "a/b" in cluster.storm("submit", str(file), "--name", "a/b", code=1).stderr
    assert "no such file" in cluster.storm("submit", str(tmp_path / "missing.py"), "--name", "missing", code=1).stderr
    assert [summary.name for summary in cluster.call("getTopologySummaries")] == ["taken"]


def test_a_wrong_setting_is_refused_before_anything_is_sent(cluster: ClusterSite, topologies: Path) -> None:
    words = ["submit", str(topologies / "ledger.py"), "--name", "bad"]
    done = cluster.storm(*words, "-c", "topology.workers=many", code=1)
    assert "topology.workers" in done.stderr
    assert "many" in done.stderr
    assert cluster.call("getTopologySummaries") == []


def test_a_component_that_raises_in_prepare_is_shown_with_host_port_and_traceback(
    cluster: ClusterSite, topologies: Path
) -> None:
    done = cluster.storm("submit", str(topologies / "raises_in_prepare.py"), "--name", "raising", "--no-wait")
    assert "raising" in done.stdout

    def errors_in_status() -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = cluster.read("status", "raising")["errors"]
        return found

    cluster.wait(lambda: "database" in errors_in_status(), "storm status shows the error of the component")
    [error] = cluster.read("get-errors", "raising")["database"]
    slots = [port for daemon in cluster.supervisors.values() for port in daemon.settings["supervisor.slots.ports"]]
    assert error["host"] == "127.0.0.1"
    assert error["port"] in slots
    assert "Traceback" in error["error"]
    assert "in prepare" in error["error"]
    assert "ConnectionRefusedError: nobody listens on db.example.org" in error["error"]
    for words in (["status", "raising"], ["get-errors", "raising"]):
        shown = cluster.storm(*words).stdout
        assert f"127.0.0.1:{error['port']}" in shown
        assert "nobody listens on db.example.org" in shown


def test_submit_ends_with_the_last_lines_of_a_worker_that_cannot_start(cluster: ClusterSite, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "parts.py").write_text(
        "import os\nassert 'STORM_WORKER_ID' not in os.environ, 'the moon is not in the right house'\n"
        "from storm.testing.spouts_and_bolts import FixedTupleSpout\nclass MoonSpout(FixedTupleSpout): pass\n"
    )
    (project / "topology.py").write_text(
        "from storm import TopologyBuilder\nfrom parts import MoonSpout\nbuilder = TopologyBuilder()\n"
        "builder.set_spout('moon', MoonSpout([[1]], ['number']))\ntopology = builder.create_topology()\n"
    )
    done = cluster.storm("submit", str(project), "--name", "moonstruck", code=1)
    assert "127.0.0.1" in done.stderr
    assert "the moon is not in the right house" in done.stderr
    assert "storm kill moonstruck" in done.stderr
    shown = cluster.storm("status", "moonstruck").stdout
    assert "starting" in shown
    assert "it could not start" in shown
    [failure] = cluster.read("status", "moonstruck")["slot_failures"]
    assert failure["deaths"] > 0
    assert failure["reason"] == "exited with code 13 (it could not start)"
    assert "the moon is not in the right house" in failure["last_lines"]
