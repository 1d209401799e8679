from __future__ import annotations

from storm.config.settings import Settings
from storm.worker.options import WorkerOptions


def test_settings_are_typed() -> None:
    options = WorkerOptions.from_settings(
        Settings.of({"supervisor.thrift.socket.timeout.ms": 2_500, "zmq.linger.millis": 60_000})
    )
    assert options.supervisor_timeout_secs == 2.5
    assert options.linger_ms < options.shutdown_secs * 1000
