from __future__ import annotations

import socket

import pytest

from storm.config.settings import Settings
from storm.errors import ConfigError
from storm.ui.options import UiOptions


def test_it_listens_on_loopback_and_goes_by_the_hosts_names() -> None:
    options = UiOptions.from_settings(
        Settings.of({"storm.local.hostname": "Node-1", "ui.allowed.hosts": ["storm.example.org"], "ui.port": 9090})
    )
    assert (options.host, options.port) == ("127.0.0.1", 9090)
    assert {"node-1", "storm.example.org", socket.gethostname().lower()} <= options.names
    assert (options.nimbus_seeds, options.nimbus_port, options.logviewer_port) == (("localhost",), 6627, 8000)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "node-1"])
def test_other_hosts_reach_it_only_where_somebody_said_so(host: str) -> None:
    with pytest.raises(ConfigError, match=r"storm\.security\.insecure"):
        UiOptions.from_settings(Settings.of({"ui.host": host}))
    assert UiOptions.from_settings(Settings.of({"ui.host": host, "storm.security.insecure": True})).host == host


def test_any_address_of_loopback_is_loopback() -> None:
    assert UiOptions.from_settings(Settings.of({"ui.host": "::1"})).host == "::1"
