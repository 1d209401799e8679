from __future__ import annotations

import socket

from storm.config.settings import Settings
from storm.exposition.place import Place


def test_it_is_on_loopback_unless_somebody_says_otherwise() -> None:
    place = Place.from_settings(Settings.of(), "nimbus.metrics.port")
    assert (place.host, place.port, place.key) == ("127.0.0.1", 9627, "nimbus.metrics.port")
    insecure = Settings.of({"storm.security.insecure": True})
    assert Place.from_settings(insecure, "supervisor.metrics.port").host == "127.0.0.1"
    open_ = Settings.of({"storm.metrics.host": "0.0.0.0", "supervisor.metrics.port": 9100})
    place = Place.from_settings(open_, "supervisor.metrics.port")
    assert (place.host, place.port, place.key) == ("0.0.0.0", 9100, "supervisor.metrics.port")


def test_it_goes_by_the_names_of_the_host_and_by_those_that_are_allowed() -> None:
    settings = Settings.of({"storm.local.hostname": "Node-1", "ui.allowed.hosts": ["proxy.example.org"]})
    place = Place.from_settings(settings, "nimbus.metrics.port")
    assert {"node-1", "proxy.example.org", socket.gethostname().lower()} <= place.names
