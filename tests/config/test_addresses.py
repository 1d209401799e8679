from __future__ import annotations

import pytest

from storm.config.addresses import is_address, is_ipv6, is_loopback, joined, split, with_port


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("zk1", "zk1:2181"),
        ("zk1:2182", "zk1:2182"),
        ("10.0.0.1", "10.0.0.1:2181"),
        ("::1", "[::1]:2181"),
        ("[::1]", "[::1]:2181"),
        ("[fd00::2]:2182", "[fd00::2]:2182"),
    ],
)
def test_a_server_may_name_its_port_and_be_of_either_family(written: str, meant: str) -> None:
    assert with_port(written, 2181) == meant


@pytest.mark.parametrize(("host", "port"), [("h", 1), ("10.0.0.1", 2181), ("::1", 6700), ("fd00::2", 1)])
def test_what_is_joined_is_split_again(host: str, port: int) -> None:
    assert split(joined(host, port)) == (host, port)
    assert split(with_port(host, port)) == (host, port)


def test_what_an_address_is() -> None:
    hosts = ["::1", "127.0.1.1", "localhost", "10.0.0.1", "fd00::2", "h1"]
    assert [is_address(host) for host in hosts] == [True, True, False, True, True, False]
    assert [is_loopback(host) for host in hosts] == [True, True, True, False, False, False]
    assert [is_ipv6(host) for host in hosts] == [True, False, False, False, True, False]
