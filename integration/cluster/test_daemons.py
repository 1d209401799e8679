"""Daemons that cannot serve say why: no ZooKeeper, a directory or a port that another has, nobody to ask."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from cluster_site import STORM, Daemon, environment, free_ports, run
from zookeeper_servers import ZooKeeperProcess

if TYPE_CHECKING:
    from pathlib import Path

    from cluster_site import ClusterSite

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)]


@pytest.mark.parametrize("command", ["nimbus", "supervisor"])
def test_without_zookeeper_a_daemon_says_where_it_looked_and_waits(
    cluster: ClusterSite, tmp_path: Path, command: str
) -> None:
    zookeeper_port, port, slot = islice(free_ports(), 3)
    settings = {
        **cluster.settings,
        "storm.zookeeper.port": zookeeper_port,
        "nimbus.thrift.port": port,
        "supervisor.thrift.port": port,
        "supervisor.slots.ports": [slot],
    }
    daemon = Daemon("early", command, tmp_path / "early", settings)
    daemon.start()
    zookeeper = None
    try:
        where = f"ZooKeeper at 127.0.0.1:{zookeeper_port}"
        cluster.wait(lambda: re.search(f"WARNING.* {where}.*check that it runs", daemon.log.read_text()), "it warns")
        words = [*STORM, "dev-zookeeper", "--port", str(zookeeper_port), "--volatile"]
        zookeeper = ZooKeeperProcess(words, zookeeper_port, tmp_path / "zookeeper.log")
        cluster.wait(lambda: f"Connected to {where}" in daemon.log.read_text(), "it finds ZooKeeper when it comes")
        assert "Traceback" not in daemon.log.read_text()
        assert daemon.stop() == 0
    finally:
        if daemon.is_running:
            daemon.stop()
        if zookeeper is not None:
            zookeeper.stop()


def test_a_second_daemon_on_the_same_directory_or_port_is_refused(cluster: ClusterSite, tmp_path: Path) -> None:
    supervisor, other = cluster.supervisors["a"], cluster.supervisors["b"]
    done = run([*STORM, "supervisor"], supervisor.environment)
    assert done.returncode == 1
    assert str(supervisor.local_dir) in done.stderr

    port = supervisor.settings["supervisor.thrift.port"]
    words = ["-c", f"storm.local.dir={tmp_path}", "-c", f"supervisor.thrift.port={port}"]
    done = run([*STORM, "supervisor", *words], other.environment)
    assert done.returncode == 1
    assert str(port) in done.stderr

    done = run([*STORM, "nimbus"], cluster.nimbus.environment)
    assert done.returncode == 1
    assert str(cluster.nimbus.local_dir) in done.stderr

    done = run([*STORM, "nimbus", "-c", f"storm.local.dir={tmp_path}"], cluster.nimbus.environment)
    assert done.returncode == 1
    assert str(cluster.settings["nimbus.thrift.port"]) in done.stderr

    done = run([*STORM, "kill-workers"], supervisor.environment)
    assert done.returncode == 1
    assert str(supervisor.local_dir) in done.stderr

    zookeeper = str(cluster.zookeeper.port)
    done = run([*STORM, "dev-zookeeper", "--port", zookeeper, "--volatile"], environment(tmp_path))
    assert done.returncode == 1
    assert zookeeper in done.stderr
    data = cluster.directory / "zookeeper" / "data"
    words = ["--port", str(next(free_ports())), "--data-dir", str(data)]
    done = run([*STORM, "dev-zookeeper", *words], environment(tmp_path))
    assert done.returncode == 1
    assert str(data) in done.stderr


def test_without_nimbus_a_command_says_where_it_looked(cluster: ClusterSite) -> None:
    nobody = str(next(free_ports()))
    done = cluster.storm("list", "-c", f"nimbus.thrift.port={nobody}", code=1)
    assert f"127.0.0.1:{nobody}" in done.stderr


def test_a_wrong_configuration_is_refused_with_file_line_and_the_nearest_key(
    cluster: ClusterSite, tmp_path: Path
) -> None:
    file = tmp_path / "storm.yaml"
    file.write_text("# mine\nnimbus.thrift.prot: 6627\n")
    for command in ("nimbus", "supervisor", "list"):
        done = cluster.storm(command, "--config", str(file), code=1)
        assert "nimbus.thrift.port" in done.stderr
        assert "storm.yaml" in done.stderr
        assert "line 2" in done.stderr or ":2" in done.stderr
