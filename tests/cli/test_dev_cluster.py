from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest

from storm.cli.dev_cluster import DevCluster, DevPlan, free_port_base
from storm.clock import SystemClock
from storm.errors import StormError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Puts back what Ctrl-C does in the tests."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_every_port_has_one_user(tmp_path: Path) -> None:
    plan = DevPlan(tmp_path, supervisors=3, slots=4)
    assert len(plan.ports()) == 2 + 3 + 12
    assert plan.slot_ports(2) == [6708, 6709, 6710, 6711]


def test_commands_are_told_where_the_cluster_is(tmp_path: Path) -> None:
    plan = DevPlan(tmp_path, zookeeper_port=9001, nimbus_port=9002, settings={"nimbus.monitor.freq.secs": 1})
    assert plan.shared_settings() == {
        "storm.zookeeper.servers": ["127.0.0.1"],
        "storm.zookeeper.port": 9001,
        "nimbus.seeds": ["127.0.0.1"],
        "nimbus.thrift.port": 9002,
        "logviewer.port": 8000,
        "nimbus.monitor.freq.secs": 1,
    }


def test_a_port_in_use_is_seen(tmp_path: Path) -> None:
    base = free_port_base(8)
    plan = DevPlan(tmp_path, zookeeper_port=base, nimbus_port=base + 1, supervisor_port=base + 2, first_slot=base + 3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 1))
        taken.listen()
        assert plan.taken() == {base + 1: "Nimbus"}


@pytest.mark.usefixtures("interrupts")
def test_a_cluster_that_cannot_start_says_why_and_has_nothing_to_stop(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    base = free_port_base(8)
    plan = DevPlan(tmp_path / "file", base, base + 1, supervisor_port=base + 2, first_slot=base + 3)
    cluster = DevCluster(plan, SystemClock())
    with pytest.raises(StormError, match=r"cannot write .*/file/conf/storm.yaml: Not a directory"):
        cluster.start()
    cluster.stop()
    with pytest.raises(StormError, match="needs ports up to 65537, and 65535 is the last one"):
        DevCluster(DevPlan(tmp_path, first_slot=65_534), SystemClock()).start()
