from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from storm.cluster.records import Assignment, KnownTopology, TopologyStatus
from storm.errors import WorkerStartError
from storm.ids import ExecutorId, WorkerSlot
from storm.supervisor.assignment_sync import BlobHash, LocalAssignment
from storm.supervisor.slot_runner import WorkerHandle
from storm.supervisor.worker_launch import (
    launch_record,
    launched_with,
    read_handle,
    topology_environment,
    worker_command,
    worker_environment,
    write_launch_file,
)
from storm.worker.launch import read_launch

WORDS = LocalAssignment("words-1-1", (ExecutorId(1, 2), ExecutorId(5, 5)), 7, (BlobHash("k", "h"),))


def test_the_launch_file_says_who_the_worker_is(tmp_path: Path) -> None:
    record = launch_record(WORDS, worker_id="w1", port=6700, node_id="n")
    path = write_launch_file(tmp_path / "w1", record)
    assert json.loads(path.read_bytes())["executors"] == [[1, 2], [5, 5]]
    assert path.stat().st_mode & 0o077 == 0
    assert read_handle(path, 42) == WorkerHandle("w1", 6700, WORDS, 42)
    assert worker_command(record, path) == [
        sys.executable, "-m", "storm.worker", "words-1-1", "6700", "w1", str(path),
    ]  # fmt: skip


def test_beside_it_is_what_was_known_of_the_topology(tmp_path: Path) -> None:
    slot = WorkerSlot("n", 6700)
    assignment = Assignment("words-1-1", 7, {ExecutorId(1, 2): slot}, {}, {"n": "host"}, {slot: 7})
    known = KnownTopology(assignment, TopologyStatus.INACTIVE)
    more = {"node_id": "n", "host": "h", "bind_host": "h", "supervisor_port": 1, "dist_dir": "/d", "log_dir": "/l"}
    record = launch_record(WORDS, worker_id="w1", port=6700, **more)
    told = read_launch(write_launch_file(tmp_path / "w1", record, known))
    assert told.known == known
    (tmp_path / "w1" / ".assignment").write_bytes(b"torn")
    assert read_launch(tmp_path / "w1" / "launch.json").known is None
    assert read_launch(write_launch_file(tmp_path / "w2", record)).known is None
    later = write_launch_file(tmp_path / "w3", record, known)
    later.write_text(later.read_text().replace("INACTIVE", "OF A LATER RELEASE"))
    assert read_launch(later).known is None


def test_a_topology_with_an_environment_runs_on_its_python(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    record = launch_record(WORDS, worker_id="w1", port=6700, python=str(python))
    assert worker_command(record, tmp_path)[:3] == [str(python), "-m", "storm.worker"]
    found = worker_environment({"PATH": "/bin", "VIRTUAL_ENV": "/ours"}, {}, tmp_path / "w1", python)
    assert (found["VIRTUAL_ENV"], found["PATH"]) == (str(tmp_path), f"{python.parent}:/bin")
    assert worker_environment({"PATH": "/bin"}, {"PATH": "/own"}, tmp_path / "w1", python)["PATH"] == "/own"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"worker_id": "w1", "port": 1}'])
def test_a_launch_file_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "w1" / "launch.json"
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(ValueError):  # noqa: PT011
        read_handle(path, 1)


def test_the_launch_file_of_another_worker_is_refused(tmp_path: Path) -> None:
    path = write_launch_file(tmp_path / "w2", launch_record(WORDS, worker_id="w1", port=6700))
    with pytest.raises(ValueError, match="is not the launch file of worker w2"):
        read_handle(path, 1)


def test_what_launch_files_say_is_found_where_they_can_be_read(tmp_path: Path) -> None:
    write_launch_file(tmp_path / "w1", {"node_id": "n1"})
    write_launch_file(tmp_path / "w2", {})
    (tmp_path / "w2" / "launch.json").write_bytes(b"\xff")
    assert launched_with(tmp_path, "node_id") == ["n1"]


def test_a_worker_gets_what_is_allowed_then_its_topologys_then_ours() -> None:
    environ = {"PATH": "/bin", "LC_ALL": "C", "AWS_SECRET_ACCESS_KEY": "s", "HOME": "/root"}
    found = worker_environment(environ, {"HOME": "/app", "X": "1", "STORM_WORKER_ID": "no"}, Path("/storm/workers/w1"))
    expected = {"PATH": "/bin", "LC_ALL": "C", "HOME": "/app", "X": "1", "STORM_WORKER_ID": "w1"}
    expected |= {"STORM_WORKER_DIRECTORY": "/storm/workers/w1"}
    assert expected.items() <= found.items()
    assert "AWS_SECRET_ACCESS_KEY" not in found


def test_the_topologys_environment_is_read_from_its_conf(tmp_path: Path) -> None:
    conf = tmp_path / "stormconf.ser"
    conf.write_text('{"topology.environment": {"A": "1"}}')
    assert topology_environment(conf) == {"A": "1"}
    conf.write_text("{}")
    assert topology_environment(conf) == {}


BAD_CONFS = [
    "",
    "[",
    '{"topology.environment": ["A"]}',
    '{"topology.environment": {"A=": "1"}}',
    '{"topology.environment": {"A": 1}}',
    '{"topology.environment": {"A": "\\u0000"}}',
    '{"topology.environment": {"\\ud800": "x"}}',
    '{"topology.environment": {"A": "\\ud800"}}',
]


@pytest.mark.parametrize("text", BAD_CONFS)
def test_a_conf_that_no_process_can_be_started_with_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "conf").write_text(text)
    with pytest.raises(WorkerStartError):
        topology_environment(tmp_path / "conf")
