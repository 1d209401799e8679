from __future__ import annotations

import json
import logging
import urllib.request
from typing import TYPE_CHECKING, Any

from storm.clock import SystemClock
from storm.config.settings import Settings
from storm.exposition.daemon_pages import DaemonPages, serve
from storm.exposition.place import Place
from storm.metrics.families import NIMBUS
from storm.metrics.series import Series

if TYPE_CHECKING:
    import pytest


class Daemon:
    trouble = ""

    def pages(self) -> DaemonPages:
        return DaemonPages(
            NIMBUS, lambda: [Series("storm_nimbus_leader", {}, 1)], lambda: self.trouble, {"daemon": "nimbus"}
        )


def body(answer: Any) -> Any:
    return answer.status, json.loads(answer.body)


def test_health_follows_what_is_wrong_and_live_does_not() -> None:
    daemon = Daemon()
    pages = daemon.pages().pages()
    assert body(pages["/health"]()) == (200, {"status": "ok", "daemon": "nimbus"})
    daemon.trouble = "ZooKeeper cannot be reached."
    assert body(pages["/health"]()) == (
        503,
        {"status": "failing", "daemon": "nimbus", "errorMessage": "ZooKeeper cannot be reached."},
    )
    assert body(pages["/live"]()) == (200, {"status": "ok"})


def test_metrics_are_served_where_the_settings_say() -> None:
    place = Place.from_settings(Settings.of({"nimbus.metrics.port": 0}), "nimbus.metrics.port")
    server = serve(place, Daemon().pages(), SystemClock())
    assert server is not None
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/plain")
        assert b"\nstorm_nimbus_leader 1.0\n" in answer.read()
    server.stop()


def test_a_port_that_is_taken_stops_no_daemon(caplog: pytest.LogCaptureFixture) -> None:
    first = serve(Place(port=0), Daemon().pages(), SystemClock())
    assert first is not None
    with caplog.at_level(logging.WARNING):
        assert serve(Place(port=first.port, key="nimbus.metrics.port"), Daemon().pages(), SystemClock()) is None
    assert "Address already in use; nimbus.metrics.port names another port, null none" in caplog.text
    first.stop()


def test_null_switches_it_off() -> None:
    place = Place.from_settings(Settings.of({"nimbus.metrics.port": None}), "nimbus.metrics.port")
    assert serve(place, Daemon().pages(), SystemClock()) is None
