from __future__ import annotations

import os
import pwd
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from storm.cli.dev_cluster import (
    RESTARTS_MAX,
    Daemon,
    DevCluster,
    DevPlan,
    daemon_environment,
    free_port_base,
    lock_directory,
)
from storm.clock import SystemClock
from storm.errors import AlreadyRunningError, StormError

if TYPE_CHECKING:
    from pathlib import Path


def wait_ended(daemon: Daemon) -> None:
    """Its end is seen, and left to be noticed."""
    assert daemon.pid is not None
    os.waitid(os.P_PID, daemon.pid, os.WEXITED | os.WNOWAIT)


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


def test_a_daemon_reads_the_clusters_file_and_no_settings_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STORM_NIMBUS_SEEDS", "STORM_STORM_ZOOKEEPER_PORT"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("STORM_PURE", "0")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ann")
    daemon = Daemon("printenv", ["sh", "-c", "env"], tmp_path / "log")
    daemon.start(SystemClock().now())
    wait_ended(daemon)
    assert daemon.ended() == 0
    seen = {line.partition("=")[0] for line in (tmp_path / "log").read_text().splitlines()}
    assert not {"STORM_NIMBUS_SEEDS", "STORM_STORM_ZOOKEEPER_PORT"} & seen
    assert {"STORM_PURE", "PATH"} <= seen
    assert "XDG_CACHE_HOME=/home/ann/.cache\n" in (tmp_path / "log").read_text(), "packages are not fetched again"


def test_who_has_no_home_has_no_cache_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container's user by number alone: a "~" that stays would be a directory of that name."""

    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert daemon_environment({"PATH": "/bin"}) == {"PATH": "/bin"}


@pytest.mark.usefixtures("interrupts")
def test_a_directory_has_one_cluster_and_its_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "conf" / "storm.yaml"
    file.parent.mkdir()
    file.write_text("of the one that runs")
    held = lock_directory(tmp_path)
    base = free_port_base(8)
    cluster = DevCluster(DevPlan(tmp_path, base, base + 1, base + 2, base + 3), SystemClock())
    with pytest.raises(AlreadyRunningError, match=rf"another storm dev uses {tmp_path}: .* --dir OTHER --port-base N"):
        cluster.start()
    cluster.stop()
    assert file.read_text() == "of the one that runs"
    os.close(held)
    os.close(lock_directory(tmp_path))


@pytest.mark.usefixtures("interrupts")
def test_logs_of_daemons_can_be_seen_by_the_log_viewers(tmp_path: Path) -> None:
    base = free_port_base(8)
    plan = DevPlan(tmp_path, base, base + 1, supervisor_port=base + 2, first_slot=base + 4, supervisors=2, slots=1)
    for _ in range(2):
        cluster = DevCluster(plan, SystemClock())
        script = ["sh", "-c", "echo begun; exec sleep 600"]
        cluster.nimbus, cluster.zookeeper, *cluster.supervisors = (
            Daemon(name, script, tmp_path / "logs" / f"{name}.log")
            for name in ("nimbus", "dev-zookeeper", "supervisor-1", "supervisor-2")
        )
        cluster.start()
        for daemon in cluster.daemons:
            daemon.stop()
        cluster.stop()
    for i, names in enumerate((["dev-zookeeper.log", "nimbus.log", "supervisor.log"], ["supervisor.log"])):
        found = sorted(plan.log_dir(i).iterdir())
        assert [file.name for file in found] == names
        assert found[-1].samefile(tmp_path / "logs" / f"supervisor-{i + 1}.log")


def test_a_port_in_use_is_seen(tmp_path: Path) -> None:
    base = free_port_base(8)
    plan = DevPlan(tmp_path, zookeeper_port=base, nimbus_port=base + 1, supervisor_port=base + 2, first_slot=base + 3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 1))
        taken.listen()
        assert plan.taken() == {base + 1: "Nimbus"}
        with pytest.raises(AlreadyRunningError, match="--dir OTHER --port-base N"):
            DevCluster(plan, SystemClock()).start()


def test_a_port_of_the_ui_that_is_in_use_is_told_with_what_to_do(tmp_path: Path) -> None:
    base = free_port_base(9)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 8))
        taken.listen()
        plan = DevPlan(tmp_path, base, base + 1, supervisor_port=base + 2, first_slot=base + 3, ui_port=base + 8)
        with pytest.raises(
            AlreadyRunningError, match=rf"port {base + 8}, for the UI, is in use: .*--ui-port N.*--no-ui"
        ):
            DevCluster(plan, SystemClock()).start()
    with pytest.raises(StormError, match=r"the UI's port, 6700, is that of another daemon; `storm dev --ui-port N`"):
        DevCluster(DevPlan(tmp_path, ui_port=6700), SystemClock()).start()


def test_a_cluster_goes_on_without_a_ui_that_keeps_ending(tmp_path: Path) -> None:
    cluster = DevCluster(DevPlan(tmp_path, ui_port=9000), SystemClock())
    assert cluster.ui is not None
    assert cluster.daemons[-1] is cluster.ui
    cluster.ui = Daemon("ui", ["sh", "-c", "echo 9000 is in use; exit 1"], tmp_path / "log")
    cluster.ui.start(SystemClock().now())
    told: list[str] = []
    while cluster.ui is not None:
        wait_ended(cluster.ui)
        told += cluster.restart_ended()
    assert len(told) == RESTARTS_MAX + 1
    assert told[0].startswith("ui ended with exit code 1; started again")
    assert "9000 is in use" in told[-1]
    assert "the cluster goes on without the UI; `storm dev --ui-port N`" in told[-1]
    assert cluster.restart_ended() == []


def test_another_daemon_that_keeps_ending_ends_the_whole(tmp_path: Path) -> None:
    cluster = DevCluster(DevPlan(tmp_path), SystemClock())
    cluster.nimbus = Daemon("nimbus", ["sh", "-c", "exit 3"], tmp_path / "log")
    cluster.nimbus.start(SystemClock().now())
    for _ in range(RESTARTS_MAX):
        wait_ended(cluster.nimbus)
        assert len(cluster.restart_ended()) == 1
    wait_ended(cluster.nimbus)
    with pytest.raises(StormError, match=r"nimbus keeps ending \(exit code 3\)"):
        cluster.restart_ended()


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


@pytest.mark.usefixtures("interrupts")
def test_all_daemons_end_where_the_workers_cannot_be_ended(tmp_path: Path) -> None:
    cluster = DevCluster(DevPlan(tmp_path / "removed", supervisors=2), SystemClock())
    cluster.supervisors = [Daemon("supervisor", ["sleep", "600"], tmp_path / "log") for _ in range(2)]
    cluster.nimbus, cluster.zookeeper = (Daemon(name, ["sleep", "600"], tmp_path / "log") for name in ("n", "z"))
    for daemon in cluster.daemons:
        daemon.start(SystemClock().now())
    try:
        with pytest.raises(StormError, match=r"removed/conf/storm\.yaml"):
            cluster.stop()
    finally:
        for daemon in cluster.daemons:
            daemon.ask_to_end()
    assert [daemon.ended() for daemon in cluster.daemons] == [-signal.SIGTERM] * 4
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
