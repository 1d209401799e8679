from __future__ import annotations

from storm.config.settings import Settings
from storm.exposition.place import Place


def test_it_is_on_loopback_unless_somebody_says_otherwise() -> None:
    assert Place.from_settings(Settings.of(), "nimbus.metrics.port") == Place("127.0.0.1", 9627, "nimbus.metrics.port")
    insecure = Settings.of({"storm.security.insecure": True})
    assert Place.from_settings(insecure, "supervisor.metrics.port").host == "127.0.0.1"
    open_ = Settings.of({"storm.metrics.host": "0.0.0.0", "supervisor.metrics.port": 9100})
    assert Place.from_settings(open_, "supervisor.metrics.port") == Place("0.0.0.0", 9100, "supervisor.metrics.port")
