"""What needs no process; `integration/supervisor/test_supervisor_worker_process.py` has the others."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from storm.errors import WorkerStartError
from storm.ids import ExecutorId
from storm.supervisor.assignment_sync import LocalAssignment
from storm.supervisor.options import SupervisorOptions
from storm.supervisor.worker_process import WorkerProcesses

WORDS = LocalAssignment("words-1-1", (ExecutorId(1, 2),), 1)


@pytest.mark.parametrize(
    ("conf", "argument"), [('{"topology.environment": {"\\ud800": "x"}}', "-V"), ("{}", "\0"), ("{}", "\ud800")]
)
def test_a_text_that_no_process_can_be_given_is_a_worker_that_cannot_start(
    tmp_path: Path, conf: str, argument: str
) -> None:
    options = SupervisorOptions(tmp_path, tmp_path / "logs", node_id="n1")
    dist_dir = options.supervisor_dir / "stormdist" / WORDS.topology_id
    dist_dir.mkdir(parents=True)
    (dist_dir / "stormconf.ser").write_text(conf)
    workers = WorkerProcesses(options, {}, lambda: "w1", lambda record, file: ["/bin/true", argument])
    with pytest.raises(WorkerStartError):
        workers.launch(6700, WORDS)
    assert not (options.workers_dir / "w1").exists()
    workers.close()


def test_a_worker_that_cannot_be_watched_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = SupervisorOptions(tmp_path, tmp_path / "logs", node_id="n1")
    dist_dir = options.supervisor_dir / "stormdist" / WORDS.topology_id
    dist_dir.mkdir(parents=True)
    (dist_dir / "stormconf.ser").write_text("{}")
    pids = []

    def refused(pid: int) -> int:
        pids.append(pid)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", refused)
    workers = WorkerProcesses(options, {}, lambda: "w1", lambda record, file: ["/bin/sleep", "60"])
    with pytest.raises(WorkerStartError, match="Too many open files"):
        workers.launch(6700, WORDS)
    assert not Path(f"/proc/{pids[0]}").exists()
    assert not (options.workers_dir / "w1").exists()
    workers.close()
