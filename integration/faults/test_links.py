"""Links between hosts that share one address: each is cut for itself, in one direction, and goes on when healed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from links import ROUTED_LINKS, LinkProxies
from network import Loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcp_proxy import Direction

WAIT_SECS = 10.0


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):  # whoever closes a proxy may reset what is under way
                while part := connection.recv(1024):
                    connection.sendall(part)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def network() -> Loopback:
    return Loopback()


@pytest.fixture
def links(network: Loopback, tmp_path: Path) -> Iterator[LinkProxies]:
    found = LinkProxies(network, tmp_path)
    yield found
    found.close()


def is_held(way: Direction) -> bool:
    return way.stalled and way.passed_bytes == 0


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        return not connection.recv(1024)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(WAIT_SECS)


@pytest.mark.parametrize("is_the_way_back", [False, True])
def test_what_is_dropped_comes_when_the_link_is_healed_and_other_links_go_on(
    network: Loopback, links: LinkProxies, echo: int, is_the_way_back: bool
) -> None:
    a, b, c = (network.place(name) for name in "abc")
    cut, other = (links.between(source, b, echo) for source in (a, c))
    with (
        socket.create_connection(("127.0.0.1", cut.port), WAIT_SECS) as from_a,
        socket.create_connection(("127.0.0.1", other.port), WAIT_SECS) as from_c,
    ):
        network.drop([b] if is_the_way_back else [a], [a] if is_the_way_back else [b])
        from_a.sendall(b"one")
        from_c.sendall(b"two")
        assert from_c.recv(1024) == b"two"
        assert is_silent(from_a)
        assert is_held(cut.to_client if is_the_way_back else cut.to_server)
        assert other.to_server.passed_bytes == other.to_client.passed_bytes == len(b"two")
        network.deliver()
        assert from_a.recv(1024) == b"one"


def test_a_host_without_its_cable_is_reached_by_nobody(network: Loopback, links: LinkProxies, echo: int) -> None:
    a, b = (network.place(name) for name in "ab")
    proxy = links.between(a, b, echo)
    network.unplug(b)
    with socket.create_connection(("127.0.0.1", proxy.port), WAIT_SECS) as connection:
        connection.sendall(b"hello")
        assert is_silent(connection)
        assert is_held(proxy.to_server)
        assert is_held(proxy.to_client)
        network.plug(b)
        assert connection.recv(1024) == b"hello"


def test_what_no_proxy_carries_cannot_be_cut(network: Loopback) -> None:
    with pytest.raises(LookupError, match="what a sends to b passes through no proxy"):
        network.drop([network.place("a")], [network.place("b")])


def test_a_worker_reaches_the_others_by_the_proxies_of_its_own_host(
    network: Loopback, links: LinkProxies, echo: int, tmp_path: Path
) -> None:
    a, b = (network.place(name) for name in "ab")
    assert links.worker_environment == {}
    proxies = links.route_workers({a: [], b: [echo]})
    routes = json.loads((tmp_path / "routes.json").read_text())
    assert routes == {"a": {str(echo): proxies[0].port}, "b": {str(echo): proxies[1].port}}
    module: Any = _module()
    launch_file = tmp_path / "host-a" / "local" / "workers" / "w1" / "launch.json"
    mine = module.routes_of(Path(links.worker_environment["FAULTS_ROUTES"]), launch_file)
    assert module.routed(f"tcp://127.0.0.1:{echo}", mine) == f"tcp://127.0.0.1:{proxies[0].port}"
    for address in ("tcp://127.0.0.1:1", "inproc://x", f"tcp://10.0.0.1:{echo}"):
        assert module.routed(address, mine) == address


def test_what_is_no_worker_has_no_routes(tmp_path: Path) -> None:
    assert _module().routes_of(tmp_path / "routes.json", Path("pass")) == {}


def _module() -> Any:
    spec = importlib.util.spec_from_file_location("routed_links", ROUTED_LINKS / "sitecustomize.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
