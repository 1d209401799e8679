from __future__ import annotations

import json
import os
import subprocess
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from storm.logviewer.cleaning import LogCleaner, living_workers
from storm.logviewer.logs import Worker
from storm.logviewer.retention import Limits

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DAY = 86_400.0


def launch(host: Any, worker_id: str, topology_id: str, port: int) -> None:
    """As a supervisor leaves it while the worker runs."""
    directory = host.workers_dir / worker_id
    directory.mkdir(parents=True)
    (directory / "launch.json").write_text(json.dumps({"log_dir": str(host.artifacts / topology_id / str(port))}))


def cleaner(host: Any, **limits: Any) -> LogCleaner:
    return LogCleaner(replace(host.options, limits=Limits(**limits)), host.clock)


def left(host: Any) -> list[str]:
    return sorted(str(path.relative_to(host.artifacts)) for path in host.artifacts.rglob("*") if path.is_file())


def test_old_logs_go_and_a_living_workers_stays(host: Any) -> None:
    launch(host, "w1", "words-1-1", 6700)
    host.put("words-1-1/6700/worker.log", "living", 30 * DAY)
    host.put("words-1-1/6701/worker.log", "dead", 30 * DAY)
    host.put("words-1-1/6701/worker.log.1", "dead", 31 * DAY)
    host.put("new-2-1/6701/worker.log", "dead, but young", DAY)
    assert living_workers(host.workers_dir) == {Worker("words-1-1", 6700)}
    assert cleaner(host).clean() == ["words-1-1/6701/worker.log.1", "words-1-1/6701/worker.log"]
    assert left(host) == ["new-2-1/6701/worker.log", "words-1-1/6700/worker.log"]


def test_a_log_that_a_process_has_open_comes_back(host: Any) -> None:
    """A worker of which nothing was known when the cleaner chose: it appends to the log that it found."""
    path = host.put("words-1-1/6700/worker.log", "old", 30 * DAY)
    with path.open("ab") as log, subprocess.Popen(["sleep", "600"], stdout=log) as worker:
        try:
            os.utime(path, (0, 0))
            assert cleaner(host).clean() == []
        finally:
            worker.kill()
    assert path.read_text() == "old"
    assert left(host) == ["words-1-1/6700/worker.log"]
    assert cleaner(host).clean() == ["words-1-1/6700/worker.log"]


def test_a_log_that_was_begun_meanwhile_is_left(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host.put("words-1-1/6700/worker.log", "old", 30 * DAY)

    def begun(directory: Path) -> bool:
        path.write_text("new")
        return True

    monkeypatch.setattr("storm.supervisor.process_table.use", begun)
    cleaner(host).clean()
    assert (left(host), path.read_text()) == (["words-1-1/6700/worker.log"], "new")


def test_a_wall_clock_in_2039_takes_no_log(host: Any) -> None:
    host.put("words-1-1/6701/worker.log", "dead, a day ago", DAY)
    host.put("words-1-1/6701/worker.log.1", "dead, 6.9 days ago", 6.9 * DAY)
    (host.artifacts / "young-1-1").mkdir()
    os.utime(host.artifacts / "young-1-1", (host.clock.wall_secs(),) * 2)
    clean = cleaner(host)
    assert clean.clean() == []
    host.clock.ahead_secs = 5_000 * int(DAY)
    for _ in range(3):
        host.clock.sleep(600)
        assert clean.clean() == []
    host.clock.sleep(DAY)
    assert clean.clean() == ["words-1-1/6701/worker.log.1"]
    assert (host.artifacts / "young-1-1").exists()


def test_links_and_what_is_no_log_of_a_worker_are_left_alone(host: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "6700").mkdir(parents=True)
    (outside / "6700" / "worker.log").write_text("precious")
    (host.artifacts / "link-1-1").symlink_to(outside)
    host.put("words-1-1/6700/worker.log", "x", 30 * DAY)
    (host.artifacts / "words-1-1" / "6700" / "worker.log.1").symlink_to(outside / "6700" / "worker.log")
    host.put("words-1-1/notes/readme", "not a port", 30 * DAY)
    host.put("file-at-the-top", "x", 30 * DAY)
    assert cleaner(host).clean() == ["words-1-1/6700/worker.log"]
    assert (outside / "6700" / "worker.log").read_text() == "precious"
    assert (host.artifacts / "words-1-1" / "notes" / "readme").exists()


def test_directories_that_have_long_been_empty_go(host: Any) -> None:
    for name in ("old-1-1/6700", "young-1-1/6700"):
        (host.artifacts / name).mkdir(parents=True)
    for name in ("old-1-1/6700", "old-1-1"):
        os.utime(host.artifacts / name, (0, 0))
    clean = cleaner(host)
    clean.clean()
    assert not (host.artifacts / "old-1-1" / "6700").exists()
    assert (host.artifacts / "young-1-1" / "6700").exists()


def test_what_cannot_be_removed_is_told_and_the_rest_goes(
    host: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host.put("a-1-1/6700/worker.log", "x", 30 * DAY)
    stuck = host.put("a-1-1/6700/worker.log.1", "x", 31 * DAY)
    real = type(stuck).unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path == stuck:
            raise PermissionError(13, "Permission denied")
        real(path, missing_ok)

    monkeypatch.setattr(type(stuck), "unlink", refused)
    assert cleaner(host).clean() == ["a-1-1/6700/worker.log"]
    assert "worker.log.1 cannot be removed: Permission denied" in caplog.text


def test_too_much_that_cannot_be_removed_is_told_once(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    launch(host, "w1", "words-1-1", 6700)
    host.put("words-1-1/6700/worker.log", b"x" * 100)
    clean = cleaner(host, sum_bytes=10)
    for _ in range(3):
        assert clean.clean() == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "logviewer.max.sum.worker.logs.size.mb" in caplog.text


def test_it_runs_until_it_is_told_to_end(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stopping, cleaned = threading.Event(), threading.Event()
    monkeypatch.setattr("storm.logviewer.cleaning.FIRST_SECS", 0.0)
    clean = LogCleaner(replace(host.options, cleanup_secs=0.001), host.clock)
    path = host.put("words-1-1/6700/worker.log", "x", 30 * DAY)
    passes = []

    def counted() -> list[str]:
        passes.append(path.exists())
        if len(passes) == 1:
            raise OSError("the first pass fails")
        found = LogCleaner.clean(clean)
        cleaned.set()
        return found

    monkeypatch.setattr(clean, "clean", counted)
    thread = threading.Thread(target=clean.run, args=(stopping,))
    thread.start()
    assert cleaned.wait(30)
    stopping.set()
    thread.join(30)
    assert not thread.is_alive()
    assert not path.exists()


def test_it_may_be_told_never_to_run(host: Any) -> None:
    LogCleaner(replace(host.options, cleanup_secs=None), host.clock).run(threading.Event())
