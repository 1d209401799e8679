from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from storm.cli.dev_cluster import DevPlan, free_port_base

if TYPE_CHECKING:
    from pathlib import Path


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
        "nimbus.monitor.freq.secs": 1,
    }


def test_a_port_in_use_is_seen(tmp_path: Path) -> None:
    base = free_port_base(8)
    plan = DevPlan(tmp_path, zookeeper_port=base, nimbus_port=base + 1, supervisor_port=base + 2, first_slot=base + 3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 1))
        taken.listen()
        assert plan.taken() == {base + 1: "Nimbus"}
