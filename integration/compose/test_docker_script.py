"""docker/cluster and the images where `docker` is a script: what is asked of it, and what people are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cluster_command
import engine
import images
import pytest
from docker_script import DockerScript, containers, inspected, prints, write_command
from engine import NoEngine, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DOCKER = Path(engine.__file__).parent
BASE = "python:3.12-slim"
BUILD = "build "
ASKS_PYTHON = "*' --entrypoint python3 '*"
ON_A_NODE = [[name, "nimbus-1"] for name in cluster_command.ON_A_NODE]
COMMANDS = [
    ["up"], ["images"], ["down"], ["nodes"], ["heal"], ["logs", "nimbus-1"], ["submit", "."], ["storm", "list"],
    *ON_A_NODE,
]  # fmt: skip
NO_ENGINE = {"*": "echo 'Cannot connect to the Docker daemon' >&2; exit 1"}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory of the PATH; files that docker/ writes are beside it, and this is not root."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(engine, "STATE", tmp_path / "state")
    monkeypatch.setattr(engine, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(images, "WHEELHOUSE", tmp_path)
    return directory


@pytest.fixture
def docker(commands: Path) -> DockerScript:
    return DockerScript(commands)


def refused(words: Sequence[str], capsys: pytest.CaptureFixture[str], code: int = 1) -> str:
    """What docker/cluster says of why it does not do that, and ends with this code."""
    assert cluster_command.main([*words]) == code
    return capsys.readouterr().err


# --- without an engine


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_without_docker_every_command_says_what_to_install(
    words: list[str], commands: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        refused(words, capsys, NoEngine.exit_code) == f"docker/cluster: there is no docker command; {engine.INSTALL}\n"
    )


@pytest.mark.parametrize("words", [["nodes"], ["down"], ["submit", "."]], ids=" ".join)
def test_an_engine_that_this_user_may_not_ask_is_no_end_of_the_cluster(
    words: list[str], docker: DockerScript, capsys: pytest.CaptureFixture[str]
) -> None:
    docker.answer(NO_ENGINE)
    assert "the Docker engine does not answer: start it, and see that you may use it" in refused(
        words, capsys, NoEngine.exit_code
    )


def test_where_root_could_start_an_engine_that_is_said(
    docker: DockerScript, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    docker.answer({"'compose version'": "exit 0", **NO_ENGINE})
    write_command(docker.directory, "dockerd", "#!/bin/sh\n")
    assert refused(["nodes"], capsys, NoEngine.exit_code) == f"docker/cluster: {engine.NOT_RUNNING}\n"
    assert cluster_command.main(["down"]) == 0
    assert "the Docker engine does not run, so no cluster does" in capsys.readouterr().out


def test_what_docker_refuses_is_told_in_its_words(docker: DockerScript, capsys: pytest.CaptureFixture[str]) -> None:
    docker.answer({**containers(inspected("supervisor")), "'pause '*": "echo 'is paused already' >&2; exit 1"})
    assert "docker pause 0001supervisor failed with exit code 1: is paused already" in refused(
        ["pause", "supervisor-1"], capsys
    )


# --- nodes


def test_up_says_at_once_what_keeps_nodes_from_being_well(
    docker: DockerScript, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_off = inspected("supervisor", NetworkSettings={"Networks": {}})
    paused = inspected("nimbus-2", State={"Status": "paused", "Health": {"Status": "healthy"}})
    docker.answer(containers(cut_off, paused, inspected("nimbus-1")))
    assert refused(["up"], capsys) == (
        "docker/cluster: supervisor-1 is cut off: docker/cluster heal; "
        "nimbus-2 is paused: docker/cluster resume nimbus-2\n"
    )
    assert docker.calls("compose -p", BUILD, "image") == [], "nothing was changed"


def test_a_node_is_cut_off_by_its_container(docker: DockerScript) -> None:
    docker.answer(containers(inspected("nimbus-1")))
    assert cluster_command.main(["cut", "nimbus-1"]) == 0
    assert docker.calls("network") == ["network disconnect storm_storm 0001nimbus-1"]


def test_a_node_is_healed_under_the_name_that_it_had(docker: DockerScript) -> None:
    docker.answer(containers(inspected("nimbus-1", NetworkSettings={"Networks": {}}), inspected("nimbus-2")))
    assert cluster_command.main(["heal"]) == 0
    assert docker.calls("network") == ["network connect --alias nimbus-1 storm_storm 0001nimbus-1"]


def test_zookeeper_is_stopped_when_all_that_need_it_have_ended(docker: DockerScript) -> None:
    docker.answer(containers(*map(inspected, ("zookeeper-1", "nimbus-1", "zookeeper-2", "supervisor"))))
    assert cluster_command.main(["down"]) == 0
    assert docker.calls("stop") == [
        "stop --time 10 0001nimbus-1 0001supervisor", "stop --time 10 0001zookeeper-1 0001zookeeper-2",
    ]  # fmt: skip


# --- images


def test_a_shell_is_told_which_images_there_are(docker: DockerScript, capsys: pytest.CaptureFixture[str]) -> None:
    assert cluster_command.main(["images", "--base", BASE]) == 0
    printed = capsys.readouterr()
    assert set(printed.out.splitlines()) == {
        f"export BASE_IMAGE={BASE}", f"export CLUSTER_IMAGE={images.CLUSTER_IMAGE}",
        f"export ZOOKEEPER_IMAGE={images.ZOOKEEPER_IMAGE}",
    }  # fmt: skip
    assert f"building the image {images.CLUSTER_IMAGE}" in printed.err


@pytest.mark.parametrize(
    ("fetched_for", "are_used"),
    [("3.12", True), ("3.11", False), ("", False), (None, True)],
    ids=["this Python", "another", "not all of them", "put there by somebody"],
)
def test_wheels_of_another_python_are_passed_over(
    docker: DockerScript, tmp_path: Path, fetched_for: str | None, are_used: bool
) -> None:
    docker.answer({ASKS_PYTHON: prints("3.12")})
    (tmp_path / "msgpack-1-cp311-cp311-linux_x86_64.whl").touch()
    if fetched_for is not None:
        (tmp_path / images.MARKER).write_text(images.inputs_of_wheels(fetched_for) if fetched_for else "")
    images.prepare(print, BASE, bootstrap=False)
    (build,) = docker.calls(BUILD)
    assert f"--build-arg BASE_IMAGE={BASE}" in build
    assert ("--build-arg WHEELHOUSE= " not in build) is are_used


def test_an_image_is_made_anew_when_other_wheels_are_used(docker: DockerScript, tmp_path: Path) -> None:
    docker.answer({ASKS_PYTHON: prints("3.12")})
    (tmp_path / "msgpack-1-cp311-cp311-linux_x86_64.whl").touch()
    for version in ("3.12", "3.11"):
        (tmp_path / images.MARKER).write_text(images.inputs_of_wheels(version))
        images.prepare(print, BASE, bootstrap=False)
    labels = {word for build in docker.calls(BUILD) for word in build.split() if word.startswith(images.LABEL)}
    assert len(labels) == 2


def test_an_image_is_made_anew_for_other_options_of_the_compiler(
    docker: DockerScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    for flags in ("", "-O0 -g"):
        monkeypatch.setenv("STORM_CFLAGS", flags)
        images.prepare(print, BASE, bootstrap=False)
    plain, other = docker.calls(BUILD)
    assert "--build-arg STORM_CFLAGS=-O0 -g " in other
    labels = {word for build in (plain, other) for word in build.split() if word.startswith(images.LABEL)}
    assert len(labels) == 2


def test_a_base_that_is_not_here_is_pulled(docker: DockerScript) -> None:
    docker.answer({f"'image inspect --format {{{{index'*{BASE}": "exit 1"})
    images.prepare(print, BASE, bootstrap=False)
    assert docker.calls("pull") == [f"pull --quiet {BASE}"]


def test_a_base_that_nobody_has_is_told_in_dockers_words(docker: DockerScript) -> None:
    docker.answer({f"*' {BASE}'": "echo 'manifest unknown' >&2; exit 1"})
    with pytest.raises(Trouble, match=r"docker pull --quiet failed with exit code 1: manifest unknown"):
        images.prepare(print, BASE, bootstrap=False)


def made_here(tmp_path: Path) -> dict[str, str]:
    """Answers of an engine that has the base of Debian's packages; its wheels have been fetched."""
    (tmp_path / "msgpack-1-cp311-cp311-linux_x86_64.whl").touch()
    (tmp_path / images.MARKER).write_text(images.inputs_of_wheels("3.11"))
    inputs = images.fingerprint(images.ROOT, (), images.suite(), images.MIRROR, *images.PACKAGES)
    return {f"*'index .Config.Labels'*' {images.MADE_BASE}'": prints(inputs), ASKS_PYTHON: prints("3.11")}


@pytest.mark.parametrize("missing", [images.PYTHON_IMAGE, images.ZOOKEEPER_IMAGE])
@pytest.mark.parametrize("pull", ["exit 1", "exec /bin/sleep 60"], ids=["refused", "hangs"])
def test_without_a_registry_bases_are_made_here(
    docker: DockerScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, pull: str
) -> None:
    monkeypatch.setattr(images, "PULL_SECS", 0.2)
    docker.answer(
        {f"'pull '*{missing}": pull, f"'image inspect '*' {missing}'": "exit 1", **made_here(tmp_path)},
    )
    made = images.prepare(print, None, bootstrap=False)
    assert made == images.Images(images.CLUSTER_IMAGE, images.MADE_ZOOKEEPER, images.MADE_BASE)
    assert docker.calls("pull") == [f"pull --quiet {missing}"]
    builds = docker.calls(BUILD)
    assert len(builds) == 2
    assert all(
        f"--build-arg BASE_IMAGE={images.MADE_BASE} " in build and "--network host " in build for build in builds
    )


def test_bootstrap_asks_no_registry(docker: DockerScript, tmp_path: Path) -> None:
    docker.answer(made_here(tmp_path))
    assert images.prepare(print, None, bootstrap=True).base == images.MADE_BASE
    assert docker.calls("pull") == []


@pytest.mark.parametrize(("user", "needed"), [(1000, "needs root"), (0, "apt-get install debootstrap")])
def test_what_a_base_of_debians_packages_needs_is_said(
    docker: DockerScript, monkeypatch: pytest.MonkeyPatch, user: int, needed: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(Trouble, match=needed):
        images.prepare(print, None, bootstrap=True)


# --- the engine: by a process that ends, as docker/cluster is, so that what it starts is nobody's child here

RUN = """
import os, sys
from pathlib import Path
import cluster_command, engine, images
directory = Path(sys.argv[1])
engine.STATE, engine.LOCK, engine.LOG = directory / "state", directory / "lock", directory / "log"
engine.START_SECS, engine.STOP_SECS = map(float, sys.argv[2:4])
images.WHEELHOUSE, os.geteuid = directory, lambda: 0
sys.exit(cluster_command.main(sys.argv[4:]))
"""
DOCKERD = """#!/bin/sh
echo $$ >{runs}
trap '/bin/rm {runs}; exit' TERM
while /bin/sleep 0.1; do :; done
"""
DEAF = """#!/bin/sh
trap '' TERM
echo $$ >{runs}
exec /bin/sleep 600
"""
STUCK = """#!/bin/sh
echo 'it is stuck'
echo $$ >{runs}
exec /bin/sleep 600
"""


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """Where an engine writes its process id; if it is left, the engine is, and is ended."""
    file = tmp_path / "runs"
    yield file
    if file.exists():
        os.kill(int(file.read_text()), signal.SIGKILL)


def cluster(
    directory: Path, start_secs: float, *words: str, stop_secs: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """docker/cluster as root, on an engine of its own, with that script alone on the PATH."""
    return subprocess.run(
        [sys.executable, "-c", RUN, str(directory), str(start_secs), str(stop_secs), *words],
        cwd=DOCKER, env={"PATH": str(directory / "bin")}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("build", "code"), [("exit 0", 0), ("exit 1", 1)], ids=["done", "failed"])
def test_images_leave_no_engine_behind(docker: DockerScript, tmp_path: Path, runs: Path, build: str, code: int) -> None:
    docker.answer({"'version '*": f"[ -e {runs} ]", f"'{BUILD}'*": build})
    write_command(docker.directory, "dockerd", DOCKERD.format(runs=runs))
    done = cluster(tmp_path, 60.0, "images", "--base", BASE)
    assert done.returncode == code, done.stderr
    assert docker.calls(BUILD), "an engine was started"
    assert not runs.exists()
    assert not (tmp_path / "state").exists()


def test_why_images_failed_is_told_also_where_the_engine_does_not_end(
    docker: DockerScript, tmp_path: Path, runs: Path
) -> None:
    docker.answer({"'version '*": f"[ -e {runs} ]", f"'{BUILD}'*": "echo 'no space is left' >&2; exit 1"})
    write_command(docker.directory, "dockerd", DEAF.format(runs=runs))
    done = cluster(tmp_path, 60.0, "images", "--base", BASE, stop_secs=0.0)
    assert (done.returncode, "no space is left" in done.stderr) == (1, True)
    assert "does not end" not in done.stderr
    assert runs.exists(), "it was asked to end, and has not"


def test_an_engine_that_does_not_begin_to_answer_is_ended(docker: DockerScript, tmp_path: Path, runs: Path) -> None:
    state = tmp_path / "state"
    answer = f"if [ -e {state} ]; then until [ -s {runs} ]; do /bin/sleep 0.02; done; fi; exit 1"
    docker.answer({"'version '*": answer})
    write_command(docker.directory, "dockerd", STUCK.format(runs=runs))
    done = cluster(tmp_path, 0.0, "images", "--base", BASE)
    assert done.returncode == NoEngine.exit_code
    assert "dockerd does not start" in done.stderr
    assert done.stderr.endswith("it is stuck\n")
    assert not Path("/proc", runs.read_text().strip()).exists()
    runs.unlink()
    assert not state.exists()
