"""Projects with dependencies that no host has: shipped, built, shared, refused."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from wheels import make_wheel
from zookeeper_servers import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from cluster_site import ClusterSite

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)]

TOPOLOGY = """
import os
from pathlib import Path

from storm import BasicBolt, TopologyBuilder
from storm.testing.spouts_and_bolts import FixedTupleSpout


class Report(BasicBolt):
    def prepare(self, conf, context, collector):
        import colours  # on the hosts only
        import storm

        text = f"{colours.version} {colours.shade} {Path(storm.__file__).parent}"
        Path(conf["report.dir"], f"{context.task_id}-{os.getpid()}").write_text(text)

    def execute(self, tup):
        pass


builder = TopologyBuilder()
builder.set_spout("numbers", FixedTupleSpout([[1]], ["number"]))
builder.set_bolt("report", Report(), 3).shuffle_grouping("numbers")
topology = builder.create_topology()
"""


SOURCE_PROJECT = {
    "src/{name}/__init__.py": "",
    "src/{name}/reports.py": """
from pathlib import Path
from storm import BasicBolt

class Report(BasicBolt):
    def prepare(self, conf, context, collector):
        from {name}.late import WORD  # not before it runs

        at = Path(__file__).relative_to(context.code_dir)
        Path(conf["report.dir"], str(context.task_id)).write_text(f"{{WORD}} {{at}}")

    def execute(self, tup):
        pass
""",
    "src/{name}/late.py": "WORD = 'found'",
    "src/{name}/flow.py": """
from storm import TopologyBuilder
from storm.testing import FixedTupleSpout
from .reports import Report

builder = TopologyBuilder()
builder.set_spout("numbers", FixedTupleSpout([[1]], ["number"]))
builder.set_bolt("report", Report(), 3).shuffle_grouping("numbers")
topology = builder.create_topology()
""",
    "pyproject.toml": '[tool.storm]\ntopology = "src/{name}/flow.py"\n',
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that needs colours 2.0, which needs shades; both are wheels in `wheels` beside it."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / f"reporting_{tmp_path.name.replace('-', '_')}.py").write_text(TOPOLOGY)
    (directory / "pyproject.toml").write_text(
        f'[tool.storm]\ntopology = "reporting_{tmp_path.name.replace("-", "_")}.py"\n'
        '[project]\nname = "reporting"\nversion = "1"\ndependencies = ["colours==2.0", "storm-cluster"]\n'
    )
    body = "import shades\nversion = '2.0'\nshade = shades.version\n"
    make_wheel(tmp_path / "wheels", "colours", "2.0", requires=["shades"], body=body)
    make_wheel(tmp_path / "wheels", "shades", "1.5")
    return directory


def environments(cluster: ClusterSite) -> dict[str, list[str]]:
    """{supervisor: what is in its directory of environments}."""
    return {
        name: sorted(path.name for path in (daemon.local_dir / "supervisor" / "environments").glob("*"))
        for name, daemon in cluster.supervisors.items()
    }


def submit(cluster: ClusterSite, project: Path, name: str, reports: Path, *more: str, code: int = 0) -> str:
    reports.mkdir(exist_ok=True)
    conf = ("-c", "topology.workers=3", "-c", f"report.dir={reports}")
    done = cluster.storm("submit", str(project), "--name", name, *conf, *more, code=code)
    return done.stdout if code == 0 else done.stderr


def test_a_dependency_that_no_host_has_is_there_in_every_worker_and_built_once_a_host(
    cluster: ClusterSite, project: Path, tmp_path: Path
) -> None:
    wheelhouse = ("--wheelhouse", str(tmp_path / "wheels"))
    submit(cluster, project, "first", tmp_path / "first", *wheelhouse)
    submit(cluster, project, "second", tmp_path / "second", *wheelhouse)
    for name in ("first", "second"):
        cluster.wait(lambda name=name: len(os.listdir(tmp_path / name)) == 3, f"the bolts of {name} are prepared")
        for report in (tmp_path / name).iterdir():
            version, shade, storm_directory = report.read_text().split()
            assert (version, shade) == ("2.0", "1.5")
            assert storm_directory == str(REPOSITORY / "storm")
    built = environments(cluster)
    assert {len(names) for names in built.values()} == {1}
    assert len({name for names in built.values() for name in names}) == 1, "the same one everywhere"

    # A worker that dies is there again, in its environment, and so it is under a supervisor that was started anew.
    daemon = cluster.supervisors["a"]
    daemon.stop()
    cluster.start_supervisor("a")
    for pid in cluster.worker_pids():
        os.kill(pid, signal.SIGKILL)
    cluster.wait(lambda: len(os.listdir(tmp_path / "first")) == 6, "every bolt is prepared again")
    assert environments(cluster) == built


def test_packages_in_a_src_directory_are_found_in_every_worker(cluster: ClusterSite, tmp_path: Path) -> None:
    package = f"shop_{tmp_path.name.replace('-', '_')}"
    for name, text in SOURCE_PROJECT.items():
        path = tmp_path / "project" / name.format(name=package)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(name=package))

    def said(what: str, reports: Path) -> set[str]:
        """By the bolts of the topology there."""
        submit(cluster, tmp_path / "project" / what, reports.name, reports)
        cluster.wait(lambda: len(os.listdir(reports)) == 3, "every bolt is prepared")
        return {report.read_text() for report in reports.iterdir()}

    assert said("", tmp_path / "project-of-it") == {f"found src/{package}/reports.py"}
    (tmp_path / "project" / "pyproject.toml").unlink()
    assert said(f"src/{package}/flow.py", tmp_path / "file-of-it") == {f"found {package}/reports.py"}


def test_what_cannot_be_installed_is_said_with_its_host_and_nothing_is_left(
    cluster: ClusterSite, project: Path, tmp_path: Path
) -> None:
    make_wheel(tmp_path / "wheels", "colours", "1.0")
    (tmp_path / "wheels" / "colours-2.0-py3-none-any.whl").unlink()
    before = environments(cluster)
    said = submit(cluster, project, "missing", tmp_path / "no", "--wheelhouse", str(tmp_path / "wheels"), code=1)
    assert "missing is not started, and was removed again:" in said
    assert "could not build its environment: " in said
    assert "colours==2.0" in said
    cluster.wait(lambda: not cluster.call("getTopologySummaries"), "nothing of it is there")
    cluster.wait(lambda: environments(cluster) == before, "nor on a disk")
    assert os.listdir(tmp_path / "no") == []


def test_what_lacks_is_refused_before_anything_is_sent(cluster: ClusterSite, project: Path, tmp_path: Path) -> None:
    (tmp_path / "wheels" / "shades-1.5-py3-none-any.whl").unlink()
    said = submit(cluster, project, "lacking", tmp_path / "no", "--wheelhouse", str(tmp_path / "wheels"), code=1)
    assert "has no wheel of shades, which colours-2.0-py3-none-any.whl needs" in said
    (project / "requirements.txt").write_text("-r ../outside.txt\n")
    assert "outside of the project" in submit(cluster, project, "lacking", tmp_path / "no", code=1)
    assert cluster.call("getTopologySummaries") == []


def test_without_an_environment_it_runs_on_the_hosts_python(
    cluster: ClusterSite, project: Path, tmp_path: Path
) -> None:
    said = submit(cluster, project, "bare", tmp_path / "no", "--no-env", code=1)
    assert "No module named 'colours'" in said
