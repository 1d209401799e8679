"""docs/thrift.md is true: its tables name what the interface and the table of errors hold, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import storm
from storm.config.options import OPTIONS
from storm.nimbus.service import NimbusService
from storm.supervisor.service import SupervisorService
from storm.thrift.connection import MEGABYTE, NIMBUS_LIMITS, ServerLimits
from storm.thrift.exceptions import EXCEPTION_OF
from storm.thrift.interface import service
from storm.thrift.prescan import ScanLimits

TEXT = (Path(storm.__file__).parent.parent / "docs" / "thrift.md").read_text()
SERVICES = ("Nimbus", "Supervisor", "DistributedRPC", "DistributedRPCInvocations")


def documented(service_name: str) -> dict[str, bool]:
    """{method: whether the docs say that it is served}."""
    section = TEXT.split(f"### {service_name}\n")[1].split("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (yes|not yet) \|", section, flags=re.MULTILINE)
    return {method: served == "yes" for method, served in rows}


@pytest.mark.parametrize("name", SERVICES)
def test_each_method_is_documented(name: str) -> None:
    assert list(documented(name)) == service(name).thrift_services


@pytest.mark.parametrize(("name", "handler"), [("Nimbus", NimbusService), ("Supervisor", SupervisorService)])
def test_what_is_documented_as_served_is_served(name: str, handler: type) -> None:
    assert documented(name) == {method: hasattr(handler, method) for method in service(name).thrift_services}


def test_each_error_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+Error)` \| `(\w+Exception)` \|", TEXT, flags=re.MULTILINE)
    assert dict(rows) == {error.__name__: name for error, name in EXCEPTION_OF.items()}


def test_limits_are_documented() -> None:
    limits, scan = ServerLimits(), ScanLimits()
    assert NIMBUS_LIMITS.frame_max_bytes == OPTIONS["nimbus.thrift.max_buffer_size"].default
    for row in (
        f"| frame | {OPTIONS['nimbus.thrift.max_buffer_size'].default // MEGABYTE} MB to Nimbus "
        f"(`nimbus.thrift.max_buffer_size`), {limits.frame_max_bytes // MEGABYTE} MB to others |",
        f"| nesting of structs and containers | {scan.depth_max} |",
        f"| fields and elements of containers in a message | {limits.values_max:,} "
        f"(in an answer that our client reads {scan.values_max:,}) |",
        f"| name of a method | {scan.method_name_max} bytes |",
        f"| connections | {limits.connections_max}, and half of the files that the process may have open |",
        f"| connections of one address (loopback is exempt) | {limits.connections_per_address_max} |",
        f"| bytes kept for all clients together | {limits.buffered_max_bytes // MEGABYTE} MB |",
        f"| calls that run at a time | Nimbus {OPTIONS['nimbus.thrift.threads'].default} (`nimbus.thrift.threads`), "
        f"supervisor {OPTIONS['supervisor.thrift.threads'].default} (`supervisor.thrift.threads`) |",
        f"| until a new client has sent its first byte | {limits.first_byte_secs:g} s |",
        f"| until a frame that began is complete; until a reply is taken | {limits.frame_secs:g} s |",
        f"| between two calls | {limits.idle_secs:g} s |",
        f"A message of more than {limits.small_frame_bytes // 1024} KiB is decoded by one thread",
    ):
        assert row in TEXT
