from __future__ import annotations

from storm.config.settings import Settings
from storm.worker.options import WorkerOptions


def test_settings_are_typed() -> None:
    options = WorkerOptions.from_settings(
        Settings.of({"storm.zookeeper.servers": ["a", "b:77"], "storm.zookeeper.port": 5, "zmq.linger.millis": 60_000})
    )
    assert options.zookeeper_servers == ("a:5", "b:77")
    assert options.zookeeper_auth is None
    assert options.linger_ms < options.shutdown_secs * 1000


def test_credentials_for_zookeeper() -> None:
    settings = Settings.of({"storm.zookeeper.auth.scheme": "digest", "storm.zookeeper.auth.payload": "u:p"})
    assert WorkerOptions.from_settings(settings).zookeeper_auth == ("digest", "u:p")
