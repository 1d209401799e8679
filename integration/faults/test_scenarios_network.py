"""Somebody else's process listens on a port as soon as that is free, or it is said that it could not."""

from __future__ import annotations

import socket

import pytest
import scenarios_network
from network import Loopback, listens
from scenarios_network import listener

PLACE = Loopback().place("a")
HERE_ANY = ("127.0.0.1", 0)


def test_another_process_listens_as_soon_as_the_port_is_free() -> None:
    with socket.create_server(HERE_ANY) as taken:
        port = taken.getsockname()[1]
        with listener(PLACE, port, taken.close):
            assert listens(PLACE, port)
    with listener(PLACE, port):  # which was free: both of its words may come at once
        assert listens(PLACE, port)
    assert not listens(PLACE, port)


def test_a_port_that_somebody_else_has_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(HERE_ANY) as taken:
        port = taken.getsockname()[1]
        begun = listener(PLACE, port, lambda: monkeypatch.setattr(scenarios_network, "LISTENS_SECS", 0.1))
        with pytest.raises(AssertionError, match=f"did not get port {port}"), begun:
            pass
