from __future__ import annotations

from pathlib import Path

from storm.cli.dev import announcement, join_lines, plan_from
from storm.cli.dev_cluster import DevCluster, DevPlan
from storm.clock import SystemClock
from storm.config.loading import load_settings

OPTIONS = {"directory": Path("x"), "supervisors": 2, "slots": 3, "port_base": None, "insecure": False}


def test_a_port_base_gives_every_daemon_its_own_port() -> None:
    plan = plan_from(load_settings(None, (), {}), {**OPTIONS, "port_base": 30_000})
    assert sorted(plan.ports()) == list(range(30_000, 30_010))
    assert plan.logviewer_port > 30_009


def test_what_was_set_here_is_passed_on() -> None:
    settings = load_settings(None, ("nimbus.monitor.freq.secs=2", "storm.local.dir=/elsewhere"), {})
    assert plan_from(settings, OPTIONS).settings == {"nimbus.monitor.freq.secs": 2}


def test_the_command_that_joins_another_machine_is_printed() -> None:
    closed = join_lines(DevPlan(Path("x"), zookeeper_port=9001))
    opened = join_lines(DevPlan(Path("x"), settings={"storm.security.insecure": True}))
    assert "started with --insecure" in closed
    assert "storm.zookeeper.port=9001" in closed
    assert opened.startswith("another machine joins with:\n  storm supervisor -c")


def test_other_ports_than_storms_need_a_word_to_the_other_terminal(tmp_path: Path) -> None:
    clock = SystemClock()
    assert "STORM_CONF_DIR" not in announcement(DevCluster(DevPlan(tmp_path), clock))
    moved = announcement(DevCluster(DevPlan(tmp_path, nimbus_port=9002), clock))
    assert f"export STORM_CONF_DIR={tmp_path}/conf" in moved
