from __future__ import annotations

import contextlib
import os
import resource
from typing import TYPE_CHECKING, Any

import pytest

from storm.http.problems import Problem
from storm.logviewer.log_files import (
    checked_port,
    daemon_logs,
    daemons_present,
    found_logs,
    log_name,
    newest_first,
    open_daemon_log,
    open_worker_log,
    worker_of,
)
from storm.logviewer.logs import LogFile, LogName, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORDS = Worker("words-1-1", 6700)
NOT_LOGS = [
    "", "/", "//", "worker.log", "words-1-1/worker.log", "words-1-1/6700/", "words-1-1/6700/../../secret",
    "../6700/worker.log", "words-1-1/../worker.log", "words-1-1/6700/..", "words-1-1/6700/.hidden",
    "/etc/passwd", "words-1-1/0/worker.log", "words-1-1/65536/worker.log", "words-1-1/+6700/worker.log",
    "words-1-1/6700/worker.log\0", "words\0-1-1/6700/worker.log", "words-1-1\\6700\\worker.log",
    "words-1-1/6700/a/b", "words-1-1/６７００/worker.log", "words-1-1/6700/worker.log\n", "x" * 9_000,
    ".../6700/worker.log", "words-1-1/6700/" + "x" * 300,
]  # fmt: skip


def refused(call: Any, *arguments: Any) -> int:
    with pytest.raises(Problem) as found:
        call(*arguments)
    return found.value.status


@pytest.mark.parametrize("text", NOT_LOGS)
def test_what_names_no_log_of_a_worker_is_refused(text: str) -> None:
    assert refused(log_name, text) == 400


def test_a_name_is_taken_apart() -> None:
    assert log_name("my words-1-1/6700/worker.log.1") == LogName(Worker("my words-1-1", 6700), "worker.log.1")
    assert worker_of("words-1-1", "6700") == WORDS


@pytest.mark.parametrize("port", ["", "0", "-1", "65536", "6700 ", "x", "²", "1" * 400])
def test_a_port_is_a_number(port: str) -> None:
    assert refused(checked_port, port) == 400


def test_a_log_is_opened(host: Any) -> None:
    host.put("words-1-1/6700/worker.log", "hello")
    with open_worker_log(host.artifacts, LogName(WORDS, "worker.log")) as file:
        assert file.read() == b"hello"


def test_what_is_not_there_is_not_found(host: Any) -> None:
    assert refused(open_worker_log, host.artifacts, LogName(WORDS, "worker.log")) == 404
    (host.artifacts / "words-1-1" / "6700" / "worker.log").mkdir(parents=True)
    assert refused(open_worker_log, host.artifacts, LogName(WORDS, "worker.log")) == 404
    assert refused(open_worker_log, host.artifacts / "nowhere", LogName(WORDS, "worker.log")) == 404


@pytest.mark.parametrize("link", ["words-1-1", "words-1-1/6700", "words-1-1/6700/worker.log"])
def test_no_link_is_followed_on_the_way(host: Any, tmp_path: Path, link: str) -> None:
    real = host.put("words-1-1/6700/worker.log", "secret")
    moved = tmp_path / "elsewhere"
    path = host.artifacts / link
    path.rename(moved)
    path.symlink_to(moved)
    assert real.read_text() == "secret"  # by the link
    assert refused(open_worker_log, host.artifacts, LogName(WORDS, "worker.log")) == 404
    assert [file for file in found_logs(host.artifacts) if file.name == "worker.log"] == []


def test_a_pipe_is_no_log_and_nobody_waits_for_it(host: Any) -> None:
    path = host.put("words-1-1/6700/other")
    os.mkfifo(path.with_name("worker.log"))
    assert refused(open_worker_log, host.artifacts, LogName(WORDS, "worker.log")) == 404


@contextlib.contextmanager
def as_nobody_special() -> Iterator[None]:
    """Root may read everything."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65_534)
    yield
    os.seteuid(was)


def test_a_log_that_may_not_be_read_is_told_so(host: Any) -> None:
    host.put("words-1-1/6700/worker.log", "x").chmod(0)
    with as_nobody_special():
        assert refused(open_worker_log, host.artifacts, LogName(WORDS, "worker.log")) == 403


@pytest.fixture
def no_file_more() -> Iterator[None]:
    """Nothing more can be opened in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = os.open("/", os.O_RDONLY)  # the lowest number that is free
    os.close(taken)
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_log_that_cannot_be_opened_for_want_of_descriptors_is_there_all_the_same(
    host: Any, no_file_more: None
) -> None:
    assert refused(open_worker_log, host.artifacts, LogName(WORDS, "worker.log")) == 503
    assert refused(open_daemon_log, host.log_dir, "nimbus.log") == 503


@pytest.mark.parametrize(
    "file", ["", "..", "../nimbus.log", "nimbus.log/../x", "passwd", ".nimbus.log", "nimbus.log\n", "mysql.log", "/x"]
)
def test_daemons_logs_are_those_of_daemons_only(host: Any, file: str) -> None:
    (host.log_dir / "passwd").write_text("secret")
    assert refused(open_daemon_log, host.log_dir, file) == 400
    assert refused(open_daemon_log, host.log_dir, "nimbus.log") == 404


def test_a_daemons_log_is_opened_and_listed(host: Any, tmp_path: Path) -> None:
    (host.log_dir / "supervisor-1.log").write_text("hello")
    (host.log_dir / "mysql.log").write_text("another's")
    (host.log_dir / "nimbus.log").symlink_to(tmp_path)
    with open_daemon_log(host.log_dir, "supervisor-1.log") as file:
        assert file.read() == b"hello"
    assert [name for name, _, _ in daemon_logs(host.log_dir)] == ["supervisor-1.log"]


def test_logs_are_found_of_all_or_of_whom_is_asked_for(host: Any) -> None:
    for path in ("a-1-1/6700/worker.log", "a-1-1/6701/worker.log", "b-2-1/6700/worker.log.1"):
        host.put(path, "xy", 5)
    host.put("a-1-1/notes/x")
    found = {file.path: file for file in found_logs(host.artifacts)}
    assert sorted(found) == ["a-1-1/6700/worker.log", "a-1-1/6701/worker.log", "b-2-1/6700/worker.log.1"]
    assert found["a-1-1/6700/worker.log"].size == 2
    assert {file.path for file in found_logs(host.artifacts, "a-1-1", 6701)} == {"a-1-1/6701/worker.log"}
    assert list(found_logs(host.artifacts, "c-3-1")) == list(found_logs(host.artifacts / "nowhere")) == []


def test_a_search_begins_with_the_newest() -> None:
    files = [LogFile(WORDS, name, 1, at) for name, at in (("b", 1.0), ("worker.log.1", 3.0), ("worker.log", 3.0))]
    assert [file.name for file in newest_first(files)] == ["worker.log", "worker.log.1", "b"]


def test_logs_of_daemons_that_can_be_seen_are_known_by_name(tmp_path: Path) -> None:
    for name in ("nimbus.log", "supervisor.log", "nimbus.log.1", "other.log"):
        (tmp_path / name).write_text("x")
    (tmp_path / "ui.log").symlink_to(tmp_path / "nimbus.log")
    (tmp_path / "drpc.log").mkdir()
    assert daemons_present(tmp_path) == ("nimbus.log", "supervisor.log")
    assert daemons_present(tmp_path / "none") == ()
