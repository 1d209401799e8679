"""The server as a process: how it starts, refuses and ends."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from zookeeper_servers import REPOSITORY, ZooKeeperProcess, four_letter_word, free_port

from storm.dev_zookeeper.daemon import DevZooKeeperOptions, banner, check_options
from storm.errors import ConfigError


def ended(*arguments: str) -> tuple[int, str]:
    """The exit code and the errors of a server that should refuse to start."""
    command = [sys.executable, "-m", "storm.dev_zookeeper", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=REPOSITORY, check=False)
    return result.returncode, result.stderr


def test_it_says_what_it_is_and_ends_orderly(embedded_zookeeper: ZooKeeperProcess) -> None:
    assert b"Mode: standalone-dev" in four_letter_word(embedded_zookeeper.port, b"srvr")
    assert embedded_zookeeper.stop() == 0
    assert f"127.0.0.1:{embedded_zookeeper.port}" in embedded_zookeeper.log.read_text()
    assert "development" in embedded_zookeeper.log.read_text()


def test_a_port_in_use_is_named(embedded_zookeeper: ZooKeeperProcess) -> None:
    code, errors = ended("--port", str(embedded_zookeeper.port))

    assert code == 1
    assert f"127.0.0.1:{embedded_zookeeper.port} is in use" in errors
    assert errors.count("\n") == 1


def test_a_directory_in_use_is_named(embedded_zookeeper: ZooKeeperProcess) -> None:
    directory = str(embedded_zookeeper.log.parent / "data")
    code, errors = ended("--port", "0", "--data-dir", directory)

    assert code == 1
    assert directory in errors


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, errors = ended("--port", "0", "--data-dir", str(tmp_path / "file" / "data"))

    assert code == 20
    assert errors.count("\n") == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org"])
def test_other_machines_are_kept_out_unless_it_is_written_down(host: str) -> None:
    with pytest.raises(ConfigError, match="other machines"):
        check_options(DevZooKeeperOptions(host=host))
    check_options(DevZooKeeperOptions(host=host, insecure=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_is_open(host: str) -> None:
    check_options(DevZooKeeperOptions(host=host))


def test_the_banner_says_where_the_data_is() -> None:
    assert "in memory" in banner(DevZooKeeperOptions(), 2181)
    assert "in /var/zk" in banner(DevZooKeeperOptions(data_dir=Path("/var/zk")), 2181)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has not both families")
def test_every_address_is_of_both_families(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "storm.dev_zookeeper", "--host", "::", "--insecure", "--port", str(port)]
    server = ZooKeeperProcess(command, port, tmp_path / "log")
    try:
        for host in ("127.0.0.1", "::1"):
            assert b"Mode: standalone-dev" in four_letter_word(port, b"srvr", host)
    finally:
        server.stop()
