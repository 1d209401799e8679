from __future__ import annotations

import logging
import re
import socket
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from storm.clock import SystemClock
from storm.config.settings import Settings
from storm.logviewer.daemon import EmbeddedLogviewer, beside_supervisor, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def embedded(host: Any) -> Iterator[EmbeddedLogviewer]:
    found = EmbeddedLogviewer(replace(host.options, port=0), SystemClock())
    found.start()
    yield found
    found.stop()


def test_it_serves_in_a_thread_and_ends_when_it_is_told(host: Any, embedded: EmbeddedLogviewer) -> None:
    host.put("words-1-1/6700/worker.log", "hello")
    with httpx.Client(base_url=f"http://127.0.0.1:{embedded.port}", timeout=60) as client:
        for _ in range(2):
            assert client.get("/api/v1/listLogs").json() == ["words-1-1/6700/worker.log"]
        content = client.get("/api/v1/download?file=words-1-1/6700/worker.log").content
        assert content == b"hello"
        assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC<", client.get("/").text)
    embedded.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", embedded.port or 0), 60)


def test_it_ends_though_nobody_ever_asked_it(embedded: EmbeddedLogviewer) -> None:
    embedded.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", embedded.port or 0), 60)


def test_a_taken_port_is_told_and_nothing_ends(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = EmbeddedLogviewer(replace(host.options, port=port), SystemClock())
        found.start()
        assert found.port is None
        assert "Logs of this host cannot be seen in a browser" in caplog.text
        assert "logviewer.port names another port" in caplog.text
        found.stop()


def test_beside_a_supervisor_where_it_is_wanted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    elsewhere = {"storm.local.dir": str(tmp_path), "logviewer.embedded": False, "logviewer.port": 8123}
    with beside_supervisor(Settings.of(elsewhere)) as viewer:
        assert (caplog.text, viewer.port) == ("", 8123)
    with beside_supervisor(Settings.of({"storm.local.dir": str(tmp_path), "logviewer.host": "10.0.0.1"})) as viewer:
        assert "logviewer.host: other hosts reach 10.0.0.1" in caplog.text
        assert viewer.port == 0


def test_a_supervisor_is_told_its_port_and_has_it_search(host: Any) -> None:
    host.put("words-1-1/6700/worker.log", "2026-01-31T23:59:59.123Z INFO [-] app: needle\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {"storm.local.dir": str(host.workers_dir.parent), "storm.log.dir": str(host.log_dir)}
        with beside_supervisor(Settings.of({**settings, "logviewer.port": port})) as viewer:
            assert viewer.port == 0
    with beside_supervisor(Settings.of({**settings, "logviewer.port": port})) as viewer:
        assert viewer.port == port
        (host.log_dir / "supervisor.log").write_text("x")
        assert viewer.daemon_logs(host.log_dir) == ("supervisor.log",)
        [found] = viewer.search(host.artifacts, "words-1-1", "needle", 5).records
        assert (found.port, found.time) == (6700, "2026-01-31T23:59:59.123")


def test_nothing_of_a_server_is_imported_before_somebody_asks() -> None:
    """A supervisor whose logs nobody looks at does without its memory."""
    code = "import sys, storm.logviewer.daemon; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'starlette'" not in done.stdout
    assert "'uvicorn'" not in done.stdout


def test_a_daemon_without_its_port_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {"storm.local.dir": str(tmp_path), "logviewer.port": taken.getsockname()[1]}
        assert run(Settings.of(settings)) == 1
    assert "is in use" in caplog.text
