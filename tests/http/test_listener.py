from __future__ import annotations

import socket

import pytest

from storm.errors import AlreadyRunningError, ConfigError
from storm.http.listener import listen


def test_it_listens() -> None:
    with listen("127.0.0.1", 0, "ui") as listener:
        socket.create_connection(listener.getsockname(), 60).close()


def test_a_port_that_is_taken_is_told_with_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(AlreadyRunningError, match=r"logviewer\.port"):
        listen("127.0.0.1", taken.getsockname()[1], "logviewer")


def test_an_address_that_is_not_this_hosts_is_told_with_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"ui\.host, ui\.port: cannot listen on 192\.0\.2\.1:8080"):
        listen("192.0.2.1", 8080, "ui")
