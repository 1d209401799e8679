from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from storm.errors import NotAuthorizedError, TopologyNotAliveError
from storm.log_lines import json_line
from storm.log_names import OLD_LOGS_KEPT
from storm.supervisor.worker_logs import (
    PART_MAX_BYTES,
    LogCap,
    LogPart,
    log_path,
    open_log,
    read_part,
    tail,
    turn,
)

if TYPE_CHECKING:
    from pathlib import Path


def write(artifacts: Path, data: bytes) -> Path:
    path = log_path(artifacts, "words-1-1", 6700)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_log_is_appended_to_until_it_is_too_large(tmp_path: Path) -> None:
    path = log_path(tmp_path, "words-1-1", 6700)
    for text in (b"one", b"two"):
        log = open_log(path, 100)
        os.write(log, text)
        os.close(log)
    assert path.read_bytes() == b"onetwo"
    for _ in range(OLD_LOGS_KEPT + 2):
        log = open_log(path, 3)
        os.write(log, b"more")
        os.close(log)
    kept = sorted(each.name for each in path.parent.iterdir())
    assert kept == ["worker.log", *(f"worker.log.{n}" for n in range(1, OLD_LOGS_KEPT + 1))]


def test_the_samples_of_a_worker_are_beside_its_log_and_no_other_file_is_shown(tmp_path: Path) -> None:
    write(tmp_path, b"log")
    events = log_path(tmp_path, "words-1-1", 6700, "events.log")
    with pytest.raises(TopologyNotAliveError):
        read_part(tmp_path, "words-1-1", 6700, 0, 10, "events.log")
    events.write_bytes(b"events")
    assert read_part(tmp_path, "words-1-1", 6700, 0, 10, "events.log").data == b"events"
    assert read_part(tmp_path, "words-1-1", 6700, 0, 10).data == b"log"
    for name in ("", "worker.log.6", "../6700/events.log", "/etc/passwd"):
        with pytest.raises(NotAuthorizedError):
            read_part(tmp_path, "words-1-1", 6700, 0, 10, name)


def test_a_running_workers_log_is_put_aside_and_its_worker_writes_on(tmp_path: Path) -> None:
    path = log_path(tmp_path, "words-1-1", 6700)
    log = open_log(path, 100)
    cap = LogCap(tmp_path, 10)
    for number in range(OLD_LOGS_KEPT + 3):
        os.write(log, b"%d123456789" % number)
        cap.hold([("words-1-1", 6700), ("never-started", 6701)])
        assert path.stat().st_size == 10
        os.write(log, b"+")
        cap.hold([("words-1-1", 6700)])
        assert path.stat().st_size == 0
        assert path.with_name("worker.log.1").read_bytes() == b"%d123456789+" % number
    os.close(log)
    kept = {each.name: each.read_bytes() for each in path.parent.iterdir() if each != path}
    assert kept == {f"worker.log.{n}": b"%d123456789+" % (OLD_LOGS_KEPT + 3 - n) for n in range(1, OLD_LOGS_KEPT + 1)}


def test_a_disk_without_room_for_the_copy_is_emptied_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, b"x" * 100)
    real, room = os.write, [30]

    def full(descriptor: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(descriptor, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", full)
    turn(path, 10)
    assert {each.name: each.stat().st_size for each in path.parent.iterdir()} == {"worker.log": 0, "worker.log.1": 0}
    assert "No space left on device" in caplog.text


def test_a_log_that_grows_faster_than_it_is_copied_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, b"x" * 100)
    real = os.read

    def growing(descriptor: int, size: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"y" * 100)
        return real(descriptor, min(size, 10))

    monkeypatch.setattr(os, "read", growing)
    turn(path, 50)
    assert (path.stat().st_size, path.with_name("worker.log.1").stat().st_size) == (0, 105)


def test_what_cannot_be_put_aside_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, b"x" * 100)
    path.with_name("worker.log.4").touch()
    path.with_name("worker.log.5").mkdir()  # in the way of the other
    cap = LogCap(tmp_path, 10)
    for _ in range(3):
        cap.hold([("words-1-1", 6700), ("../x", 6700)])
    assert len(caplog.records) == 2


def test_the_tail_is_whole_lines_of_the_end(tmp_path: Path) -> None:
    path = write(tmp_path, b"".join(b"line %d %s\n" % (n, b"x" * 300) for n in range(100)))
    lines = tail(path).splitlines()
    assert lines[-1].startswith("line 99 ")
    assert all(line.startswith("line ") for line in lines)
    assert tail(write(tmp_path, b"\xff\n")) == "\N{REPLACEMENT CHARACTER}"
    assert tail(tmp_path / "none") == ""


def test_the_tail_of_a_log_in_json_is_text(tmp_path: Path) -> None:
    time = "2026-01-31T23:59:59.123Z"
    fields = {"time": time, "level": "ERROR", "logger": "app", "message": "no", "exception": "Traceback\nValueError"}
    assert tail(write(tmp_path, json_line(None, fields, {}).encode() + b"\n")) == (
        f"{time} ERROR app: no\nTraceback\nValueError"
    )


@pytest.mark.parametrize(
    ("offset", "length", "part"),
    [
        (0, 3, LogPart(b"abc", 0, 6)),
        (4, 99, LogPart(b"ef", 4, 6)),
        (-2, 99, LogPart(b"ef", 4, 6)),
        (-99, 99, LogPart(b"abcdef", 0, 6)),
        (99, 99, LogPart(b"", 6, 6)),
        (0, -1, LogPart(b"", 0, 6)),
    ],
)
def test_a_part_is_read(tmp_path: Path, offset: int, length: int, part: LogPart) -> None:
    write(tmp_path, b"abcdef")
    assert read_part(tmp_path, "words-1-1", 6700, offset, length) == part


def test_one_answer_is_bounded(tmp_path: Path) -> None:
    write(tmp_path, bytes(PART_MAX_BYTES + 1))
    assert len(read_part(tmp_path, "words-1-1", 6700, 0, 1 << 40).data) == PART_MAX_BYTES


@pytest.mark.parametrize("topology_id", ["..", ".", "", "../x", "a/b", "a\\b", "a\0b", "/etc", "x" * 300])
def test_an_id_that_is_a_path_is_refused(tmp_path: Path, topology_id: str) -> None:
    with pytest.raises(NotAuthorizedError):
        read_part(tmp_path, topology_id, 6700, 0, 10)


def test_a_link_out_of_the_logs_is_refused(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    path = log_path(artifacts, "words-1-1", 6700)
    path.parent.mkdir(parents=True)
    (tmp_path / "artifacts-secret").write_text("secret")
    path.symlink_to(tmp_path / "artifacts-secret")
    with pytest.raises(NotAuthorizedError):
        read_part(artifacts, "words-1-1", 6700, 0, 10)


def test_a_link_is_refused_that_is_made_while_the_log_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "artifacts", b"log")
    (tmp_path / "secret").write_text("secret")
    real = os.open

    def swapping(name: object, *arguments: Any, **more: Any) -> int:
        """The worker's code has its moment before the last name is opened."""
        if name == path.name:
            path.unlink()
            path.symlink_to(tmp_path / "secret")
        return real(name, *arguments, **more)

    monkeypatch.setattr(os, "open", swapping)
    with pytest.raises(NotAuthorizedError, match="is a link"):
        read_part(tmp_path / "artifacts", "words-1-1", 6700, 0, 10)


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    log_path(tmp_path / "other", "words-1-1", 6700).parent.mkdir(parents=True)
    log_path(tmp_path / "other", "words-1-1", 6700).write_text("secret")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "words-1-1").symlink_to(tmp_path / "other" / "words-1-1")
    with pytest.raises(NotAuthorizedError, match="behind one"):
        read_part(tmp_path / "artifacts", "words-1-1", 6700, 0, 10)


@pytest.mark.timeout(30)
def test_nobody_waits_for_a_pipe_in_place_of_a_log(tmp_path: Path) -> None:
    path = log_path(tmp_path, "words-1-1", 6700)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(TopologyNotAliveError, match="no regular file"):
        read_part(tmp_path, "words-1-1", 6700, 0, 10)
    assert tail(path) == ""


def test_no_log_is_said(tmp_path: Path) -> None:
    with pytest.raises(TopologyNotAliveError, match="no worker of words-1-1 has logged on port 6700"):
        read_part(tmp_path, "words-1-1", 6700, 0, 10)
