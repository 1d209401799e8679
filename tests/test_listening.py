from __future__ import annotations

import errno
import socket

import pytest

from storm.listening import listening_socket


def test_it_listens_and_answers_leave_at_once_however_they_are_cut() -> None:
    with listening_socket("127.0.0.1", 0, 10) as listener, socket.create_connection(listener.getsockname(), 60):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this host has no IPv6")
def test_all_addresses_are_those_of_ipv4_too() -> None:
    with listening_socket("::", 0, 10) as listener:
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), 60).close()


def test_a_port_has_one_listener() -> None:
    with (
        listening_socket("127.0.0.1", 0, 10) as listener,
        pytest.raises(OSError, match=r"Address already in use$") as refused,
    ):
        listening_socket("127.0.0.1", listener.getsockname()[1], 10)
    assert refused.value.errno == errno.EADDRINUSE


def test_an_address_that_is_not_this_hosts_is_refused() -> None:
    with pytest.raises(OSError, match=r"assign requested address$"):
        listening_socket("192.0.2.1", 8080, 10)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(OSError, match=r"[Nn]ame"):
        listening_socket("no host at all", 8080, 10)
