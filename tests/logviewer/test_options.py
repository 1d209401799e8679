from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from storm.config.settings import Settings
from storm.errors import ConfigError
from storm.logviewer.options import LogviewerOptions
from storm.logviewer.retention import Limits

if TYPE_CHECKING:
    from pathlib import Path


def test_it_reads_what_its_hosts_supervisor_writes(tmp_path: Path) -> None:
    options = LogviewerOptions.from_settings(
        Settings.of({"storm.local.dir": str(tmp_path), "storm.local.hostname": "Node-1", "ui.allowed.hosts": ["proxy"]})
    )
    assert (options.host, options.port, options.cleanup_secs) == ("127.0.0.1", 8000, 600)
    assert options.artifacts_dir == tmp_path / "logs" / "workers-artifacts"
    assert options.workers_dir == tmp_path / "workers"
    assert {"node-1", "proxy", socket.gethostname().lower()} <= options.names
    assert options.limits == Limits()  # Storm's


def test_other_hosts_reach_it_only_where_somebody_said_so() -> None:
    with pytest.raises(ConfigError, match=r"storm\.security\.insecure"):
        LogviewerOptions.from_settings(Settings.of({"logviewer.host": "0.0.0.0"}))
    insecure = {"storm.security.insecure": True}
    assert LogviewerOptions.from_settings(Settings.of(insecure)).host in {"::", "0.0.0.0"}
    at_home = Settings.of({**insecure, "logviewer.host": "::1"})
    assert LogviewerOptions.from_settings(at_home).host == "::1"


def test_its_limits_have_storms_units() -> None:
    settings = {
        "logviewer.cleanup.age.mins": 2,
        "logviewer.max.per.worker.logs.size.mb": 3,
        "logviewer.max.sum.worker.logs.size.mb": 4,
        "logviewer.cleanup.interval.secs": None,
    }
    options = LogviewerOptions.from_settings(Settings.of(settings))
    assert options.limits == Limits(age_secs=120, worker_bytes=3 << 20, sum_bytes=4 << 20)
    assert options.cleanup_secs is None
