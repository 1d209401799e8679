from __future__ import annotations

import os
import platform
import socket
import threading
from typing import TYPE_CHECKING

from storm.clock import wall_millis
from storm.hosts import report
from storm.hosts.facts import Resolution
from storm.hosts.report import disk_space, host_report, name_problem, resolved

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_tells_of_this_host(tmp_path: Path) -> None:
    before = wall_millis()
    found = host_report("h1", [tmp_path / "not" / "there" / "yet"], ["127.0.0.1"], "a disk is broken")
    assert before <= found.time_millis <= wall_millis()
    assert (found.host, found.python, found.illness) == ("h1", platform.python_version(), "a disk is broken")
    assert found.versions["kazoo"][0].isdigit()
    assert found.open_files_max > 0
    [disk] = found.disks
    assert 0 < disk.free_bytes <= disk.total_bytes
    assert found.resolutions["127.0.0.1"].addresses == ("127.0.0.1",)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert disk_space(tmp_path / "file" / "below").why_not


def test_a_file_system_that_is_read_only_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.statvfs(tmp_path)
    values = [*found[:8], found.f_flag | os.ST_RDONLY, found.f_namemax, found.f_fsid]
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(values))
    assert disk_space(tmp_path).why_not == "its file system is mounted read-only"


def test_names_that_do_not_resolve_have_no_address() -> None:
    found = resolved(["localhost", "name..with..empty.labels", ""])
    assert set(found["localhost"].addresses) <= {"127.0.0.1", "::1"}
    assert found["localhost"].addresses
    assert found["name..with..empty.labels"] == Resolution()


def test_a_resolver_that_does_not_answer_backwards_resolves_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def silent(address: str) -> tuple[str, list[str], list[str]]:
        answers.wait()
        return "late", [], []

    monkeypatch.setattr(socket, "gethostbyaddr", silent)
    monkeypatch.setattr(report, "BACKWARD_SECS", 0.1)
    found = resolved(["127.0.0.1"])
    answers.set()
    assert found == {"127.0.0.1": Resolution(("127.0.0.1",), (), is_back_late=True)}


def test_a_daemon_whose_name_does_not_resolve_is_told_what_to_set() -> None:
    assert name_problem("127.0.0.1", "Nimbus") is None
    problem = name_problem("name..with..empty.labels", "Nimbus") or ""
    assert "name..with..empty.labels" in problem
    assert "storm.local.hostname" in problem
