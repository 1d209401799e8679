"""Logs of workers and daemons on a disk, and the log viewer in front of them, in this process."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from storm.http.request_guard import Tokens
from storm.logviewer.app import Logviewer, build_app
from storm.logviewer.options import LogviewerOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_795_000_000
ADDRESS = "http://127.0.0.1:8000"


class LogClock:
    """Stands still; `step_secs` pass at each look."""

    def __init__(self) -> None:
        self.secs = 0.0
        self.step_secs = 0.0
        self.ahead_secs = 0  # of the right wall clock

    def now(self) -> float:
        self.secs += self.step_secs
        return self.secs

    def wall_secs(self) -> int:
        return NOW + int(self.secs) + self.ahead_secs

    def thread_busy_secs(self) -> float:
        return 0.0

    def sleep(self, secs: float) -> None:
        self.secs += secs


class LogHost:
    """The directories of a supervisor, and who asks its log viewer. `put` writes a log, so many seconds ago."""

    def __init__(self, directory: Path) -> None:
        self.clock = LogClock()
        self.log_dir = directory / "logs"
        self.artifacts = self.log_dir / "workers-artifacts"
        self.workers_dir = directory / "workers"
        self.artifacts.mkdir(parents=True)
        self.options = LogviewerOptions(
            self.log_dir, self.artifacts, self.workers_dir, names=frozenset({"logs.example.org"})
        )
        self.viewer = Logviewer(self.options, self.clock, lambda secs: f"{secs:.0f}")
        self._client: httpx.AsyncClient | None = None
        self._runner = asyncio.Runner()

    def put(self, file: str, data: bytes | str = b"", age_secs: float = 0.0) -> Path:
        path = self.artifacts / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        os.utime(path, (NOW - age_secs, NOW - age_secs))
        return path

    def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        if self._client is None:
            app = build_app(self.viewer, Tokens(b"secret"))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            self._client = httpx.AsyncClient(transport=transport, base_url=ADDRESS, timeout=60)
        return self._runner.run(self._client.request(method, path, headers=headers))

    def api(self, path: str) -> Any:
        answer = self.get(f"/api/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self) -> None:
        if self._client is not None:
            self._runner.run(self._client.aclose())
        self._runner.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LogHost]:
    host = LogHost(tmp_path)
    yield host
    host.close()
