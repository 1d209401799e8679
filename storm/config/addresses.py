"""Addresses as people write them: `host`, `host:port`, `::1`, `[::1]:port`. Pure."""

from __future__ import annotations

import ipaddress


def with_port(server: str, port: int) -> str:
    """`server` with its own port, or with `port` where it names none; an IPv6 address in brackets."""
    if server.startswith("["):
        return server if "]:" in server else f"{server}:{port}"
    if is_ipv6(server):
        return f"[{server}]:{port}"
    return server if ":" in server else f"{server}:{port}"


def joined(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split(address: str) -> tuple[str, int]:
    """The host, without brackets, and the port of what `with_port` and `joined` make. Raises ValueError."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_ipv6(host: str) -> bool:
    """Whether it is an IPv6 address, without brackets."""
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether it is an address that only the same machine reaches; a name is none, but for `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
