"""What docker/ decides without an engine: when images are out of date, what nodes are called, which daemon is well."""

from __future__ import annotations

import fcntl
import logging
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import answers
import images
import nodes
import pytest
import uvicorn
import yaml
from docker_script import inspected
from engine import Trouble

from storm.config.loading import load_settings
from storm.thrift.server import ThriftServer

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCKER = Path(images.__file__).parent
COMPOSE_FILES = sorted(DOCKER.glob("*.yml"))


# --- images


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "storm").mkdir()
    (tmp_path / "storm" / "a.py").write_text("a = 1\n")
    (tmp_path / "setup.py").write_text("")
    return tmp_path


def inputs(root: Path, *more: str) -> str:
    return images.fingerprint(root, ("setup.py", "storm"), *more)


def test_what_does_not_go_into_an_image_makes_none_anew(sources: Path) -> None:
    before = inputs(sources)
    (sources / "storm" / "a.cpython-311-x86_64-linux-gnu.so").write_text("compiled")
    (sources / "storm" / "not_compiled.txt").write_text("there is no compiler")
    (sources / "storm" / "__pycache__").mkdir()
    (sources / "storm" / "__pycache__" / "a.cpython-311.pyc").write_text("compiled")
    (sources / "other.py").write_text("")
    (sources / "storm" / "a.py").touch()
    assert inputs(sources) == before


def test_each_change_makes_an_image_anew(sources: Path) -> None:
    found = [inputs(sources), inputs(sources, "another base")]
    (sources / "storm" / "a.py").write_text("a = 2\n")
    found.append(inputs(sources))
    (sources / "storm" / "a.py").rename(sources / "storm" / "b.py")
    found.append(inputs(sources))
    (sources / "setup.py").chmod(0o755)
    found.append(inputs(sources))
    assert len(set(found)) == len(found)


def test_everything_that_the_dockerfile_copies_is_an_input() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    copied = {name for line in lines if line.startswith("COPY") and "--from" not in line for name in line.split()[1:-1]}
    assert copied - {"docker/wheelhouse"} <= set(images.SOURCES)
    allowed = {line.removeprefix("!") for line in (images.ROOT / ".dockerignore").read_text().splitlines()}
    assert copied <= allowed


def test_two_who_want_the_same_image_make_it_one_after_the_other() -> None:
    lock = images.WHEELHOUSE / "tests.lock"
    with images.one_at_a_time("tests"), lock.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.unlink()


def test_a_base_is_of_this_machines_debian(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    assert images.suite(file) == "bookworm"
    file.write_text('NAME="Debian"\nID=debian\nVERSION_CODENAME=trixie\n')
    assert images.suite(file) == "trixie"
    file.write_text("ID=ubuntu\nVERSION_CODENAME=noble\n")
    assert images.suite(file) == "bookworm"


def test_wheels_are_fetched_for_what_is_needed_and_for_what_builds_it() -> None:
    wanted = {name.split(">=")[0] for name in images.requirements(images.ROOT)}
    assert {"setuptools", "Cython", "pyzmq", "kazoo"} <= wanted


def test_a_python_that_is_missing_is_named() -> None:
    with pytest.raises(Trouble, match=r"Python 2\.9"):
        images.python_with_pip("2.9")


# --- nodes


def test_nodes_are_called_by_service_and_number() -> None:
    found = [nodes.node_of(inspected(*which)) for which in (("nimbus-2", 1), ("supervisor", 3), ("dev", 1))]
    assert [node.name for node in found] == ["nimbus-2", "supervisor-3", "dev-1"]
    assert all(node.is_well for node in found)
    assert nodes.named("supervisor-3", found) == nodes.named("0003super", found) == found[1]
    with pytest.raises(Trouble, match=r"no node is called 'supervisor-4': there are nimbus-2, supervisor-3, dev-1"):
        nodes.named("supervisor-4", found)
    with pytest.raises(Trouble, match="no cluster is up"):
        nodes.named("nimbus-1", [])


def test_what_is_wrong_with_a_node_is_seen() -> None:
    cut_off = nodes.node_of(inspected("supervisor", NetworkSettings={"Networks": {}}))
    paused = nodes.node_of(inspected("supervisor", State={"Status": "paused", "Health": {"Status": "healthy"}}))
    starting = nodes.node_of(inspected("supervisor", State={"Status": "running", "Health": {"Status": "starting"}}))
    assert [node.is_well for node in (cut_off, paused, starting)] == [False] * 3
    assert [line.split()[1:3] for line in nodes.table([cut_off, paused, starting]).splitlines()[1:]] == [
        ["running", "cut"],
        ["paused", "healthy"],
        ["running", "starting"],
    ]


def test_the_host_is_told_where_nimbus_is() -> None:
    bound = {"PortBindings": {"6627/tcp": [{"HostIp": "127.0.0.1", "HostPort": "7000"}]}}
    found = [nodes.node_of(inspected("nimbus-1", HostConfig=bound)), nodes.node_of(inspected("supervisor"))]
    assert nodes.seeds(found) == ["127.0.0.1:7000"]


def test_the_host_is_told_where_the_ui_is() -> None:
    bound = {"PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "7080"}]}}
    found = [nodes.node_of(inspected("nimbus-1")), nodes.node_of(inspected("ui", HostConfig=bound))]
    assert nodes.ui_addresses(found) == ["http://127.0.0.1:7080/"]
    assert found[1].name == "ui-1"


def test_volumes_without_a_name_are_caches() -> None:
    mounts = [{"Type": "volume", "Name": "storm_nimbus-1"}, {"Type": "bind", "Source": "/srv"}]
    assert nodes.node_of(inspected("nimbus-1", Mounts=mounts)).caches == []
    mounts.append({"Type": "volume", "Name": "ab" * 32})
    assert nodes.node_of(inspected("supervisor", Mounts=mounts)).caches == ["ab" * 32]


# --- compose files


@pytest.mark.parametrize("file", COMPOSE_FILES, ids=lambda file: file.name)
def test_both_readers_can_read_a_compose_file(file: Path) -> None:
    """docker-compose 1.29 refuses `name`; docker compose warns of `version`; and Storm's settings are Storm's."""
    read = yaml.safe_load(file.read_text())
    assert not {"version", "name"} & read.keys()
    assert read["services"]
    for name, service in read["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert service["mem_limit"], name


def test_daemons_wait_for_those_that_they_need_and_keep_what_is_stored() -> None:
    read = yaml.safe_load((DOCKER / "docker-compose.yml").read_text())
    zookeepers, nimbuses = {f"zookeeper-{i}" for i in (1, 2, 3)}, {"nimbus-1", "nimbus-2"}
    needs = {**dict.fromkeys(nimbuses, zookeepers), "supervisor": nimbuses, "ui": nimbuses}
    assert read["services"].keys() == zookeepers | needs.keys()
    for name, service in read["services"].items():
        waits = {other: each["condition"] for other, each in service.get("depends_on", {}).items()}
        assert waits == dict.fromkeys(needs.get(name, ()), "service_healthy"), name
        kept = dict(volume.split(":") for volume in service.get("volumes", ()))
        stored = {"/data", "/datalog"} if name in zookeepers else {"/data"} if name in nimbuses else set()
        assert {*kept.values()} == stored, name
        assert kept.keys() <= read["volumes"].keys(), "they have names of their own, and stay"


@pytest.mark.parametrize("file", COMPOSE_FILES, ids=lambda file: file.name)
def test_daemons_have_no_rights_and_may_gain_none(file: Path) -> None:
    for name, service in yaml.safe_load(file.read_text())["services"].items():
        if not name.startswith("zookeeper"):
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name


@pytest.mark.parametrize("file", COMPOSE_FILES, ids=lambda file: file.name)
def test_ports_are_published_on_loopback_only(file: Path) -> None:
    services = yaml.safe_load(file.read_text())["services"].values()
    published = [port for service in services for port in service.get("ports", ())]
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
    assert [port for port in published if port.endswith(":8080")] == ["127.0.0.1:${UI_PORT:-8080}:8080"]


@pytest.mark.parametrize("file", COMPOSE_FILES, ids=lambda file: file.name)
def test_settings_of_a_compose_file_are_known(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    for service in yaml.safe_load(file.read_text())["services"].values():
        with caplog.at_level(logging.WARNING):
            load_settings(Path("/dev/null"), (), service.get("environment", {}))
    assert caplog.text == ""


# --- health


class Handler:
    def getLeader(self) -> Any:
        raise RuntimeError("no Nimbus leads")

    def getLocalAssignmentForStorm(self, id: str) -> Any:
        raise RuntimeError("nothing runs here")


@pytest.mark.parametrize("daemon", ["nimbus", "supervisor"])
def test_a_daemon_that_answers_is_well(daemon: str) -> None:
    server = ThriftServer(daemon.capitalize(), Handler(), host="127.0.0.1", port=0)
    server.start()
    try:
        assert answers.answers(answers.QUESTIONS[daemon], server.port)
    finally:
        server.stop()


@pytest.fixture
def stranger() -> Iterator[int]:
    """The port of somebody who says something else, once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_stranger_on_the_port_is_no_daemon(stranger: int) -> None:
    assert not answers.answers(answers.LEADER, stranger)


def test_a_stranger_on_the_port_is_no_ui(stranger: int) -> None:
    assert not answers.is_live(stranger)


def test_a_ui_that_answers_is_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(is_there, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            assert answers.is_live(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


async def is_there(scope: Any, receive: Any, send: Any) -> None:
    """As the UI's /live."""
    status = 200 if scope["path"] == "/live" else 404
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


def test_a_daemon_is_found_by_its_command_line() -> None:
    init = ["/sbin/docker-init", "--", "storm", "supervisor", ""]
    script = ["/opt/storm/bin/python3", "/opt/storm/bin/storm", "nimbus", "-c", "nimbus.seeds=[a]", ""]
    assert answers.daemon([["bash", ""], script]) == "nimbus"
    assert answers.daemon([init, script]) == "supervisor"
    assert answers.daemon([[*init[:2], "storm", "ui", ""]]) == "ui"
    assert answers.daemon([["storm", "list", ""]]) is None
