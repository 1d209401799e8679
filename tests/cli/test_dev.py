from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from storm.cli.dev import announcement, first_lines, join_lines, plan_from, ui_port
from storm.cli.dev_cluster import DevCluster, DevPlan, free_port, free_port_base
from storm.clock import SystemClock
from storm.config.loading import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = {
    "directory": Path("x"),
    "supervisors": 2,
    "slots": 3,
    "port_base": None,
    "ui_port": None,
    "no_ui": False,
    "insecure": False,
}


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Somebody listens there, and the next one is free."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port_base(2)))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_base_gives_every_daemon_its_own_port() -> None:
    plan = plan_from(load_settings(None, (), {}), {**OPTIONS, "port_base": 30_000})
    assert sorted(plan.ports()) == list(range(30_000, 30_011))
    assert plan.ui_port == 30_010
    assert plan.logviewer_port > 30_010
    without = plan_from(load_settings(None, (), {}), {**OPTIONS, "port_base": 30_000, "no_ui": True})
    assert (sorted(without.ports()), without.ui_port) == (list(range(30_000, 30_010)), None)


def test_the_ui_gives_way_only_where_nobody_asked_for_a_port(taken_port: int) -> None:
    asked = load_settings(None, (f"ui.port={taken_port}",), {})
    assert ui_port(asked, OPTIONS) == taken_port
    assert ui_port(asked, {**OPTIONS, "ui_port": 9_000}) == 9_000
    assert free_port(taken_port) > taken_port
    assert ui_port(load_settings(None, (), {}), OPTIONS) >= 8080


def test_the_first_thing_that_is_said_is_where_the_ui_is() -> None:
    settings = load_settings(None, (), {})
    said = click.unstyle(first_lines(DevPlan(Path("x"), ui_port=8080), settings, OPTIONS)).splitlines()
    assert said[0] == "the UI: http://127.0.0.1:8080/"
    moved = click.unstyle(first_lines(DevPlan(Path("x"), ui_port=8081), settings, OPTIONS))
    assert "http://127.0.0.1:8081/  (port 8080 is in use; --ui-port names another)" in moved
    chosen = first_lines(DevPlan(Path("x"), ui_port=9000), settings, {**OPTIONS, "ui_port": 9000})
    assert "in use" not in chosen
    assert "the UI" not in first_lines(DevPlan(Path("x")), settings, OPTIONS)


def test_a_cluster_that_others_may_join_shows_them_its_ui_too() -> None:
    settings = load_settings(None, (), {})
    plan = plan_from(settings, {**OPTIONS, "insecure": True, "ui_port": 9000})
    assert plan.settings["ui.host"] in {"::", "0.0.0.0"}
    assert plan.ui_address() == "http://127.0.0.1:9000/"
    assert "ui.host" not in plan_from(settings, {**OPTIONS, "ui_port": 9000}).settings
    own = plan_from(load_settings(None, ("ui.host=::1",), {}), {**OPTIONS, "insecure": True, "ui_port": 9000})
    assert own.ui_address() == "http://[::1]:9000/"


def test_what_was_set_here_is_passed_on() -> None:
    settings = load_settings(None, ("nimbus.monitor.freq.secs=2", "storm.local.dir=/elsewhere"), {})
    assert plan_from(settings, OPTIONS).settings == {"nimbus.monitor.freq.secs": 2}


def test_the_command_that_joins_another_machine_is_printed() -> None:
    closed = join_lines(DevPlan(Path("x"), zookeeper_port=9001))
    opened = join_lines(DevPlan(Path("x"), settings={"storm.security.insecure": True}))
    assert "started with --insecure" in closed
    assert "storm.zookeeper.port=9001" in closed
    assert opened.startswith("another machine joins with:\n  storm supervisor -c")


def test_the_other_terminal_is_led_to_this_cluster_whatever_is_configured_there(tmp_path: Path) -> None:
    cluster = DevCluster(DevPlan(tmp_path), SystemClock())
    said = announcement(cluster, {"HOME": "/x"})
    assert f"in another terminal:\n  export STORM_CONF_DIR={tmp_path}/conf\n  storm submit" in said
    assert "unset" not in said
    environ = {"STORM_ZOOKEEPER_SERVERS": "[zk]", "STORM_NIMBUS_SEEDS": "[h]", "STORM_UI_TITLE": "x", "STORM_PURE": "1"}
    assert "\n  unset STORM_NIMBUS_SEEDS STORM_ZOOKEEPER_SERVERS\n  export" in announcement(cluster, environ)


def test_what_the_file_says_of_a_real_cluster_opens_no_ports_and_asks_for_no_second_nimbus(tmp_path: Path) -> None:
    file = tmp_path / "storm.yaml"
    real = {
        "storm.security.insecure": "true", "ui.host": "0.0.0.0", "topology.min.replication.count": "2",
        "supervisor.enable": "false",
    }  # fmt: skip
    file.write_text("".join(f"{key}: {value}\n" for key, value in real.items()) + "nimbus.thrift.port: 7000\n")
    environ = {"STORM_LOGVIEWER_HOST": "0.0.0.0"}
    plan = plan_from(load_settings(file, (), environ), {**OPTIONS, "port_base": 30_000})
    assert plan.shared_settings()["nimbus.thrift.port"] == 30_001
    assert not {*real, "logviewer.host"} & plan.settings.keys()
    said = first_lines(plan, load_settings(file, (), environ), {**OPTIONS, "port_base": 30_000}).splitlines()
    [dropped] = [line for line in said if line.startswith("not taken from this machine's configuration: ")]
    assert all(key in dropped for key in (*real, "logviewer.host"))
    asked = load_settings(file, ("storm.security.insecure=true", "topology.min.replication.count=1"), environ)
    passed_on = plan_from(asked, OPTIONS).settings
    assert (passed_on["storm.security.insecure"], passed_on["topology.min.replication.count"]) == (True, 1)
    assert "ui.host" not in passed_on
