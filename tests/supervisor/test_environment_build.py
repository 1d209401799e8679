from __future__ import annotations

import contextlib
import hashlib
import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from wheels import make_wheel

import storm
from storm.environment_spec import EnvironmentSpec
from storm.supervisor.environment_build import (
    BUILD_VARIABLE,
    LINES_KEPT,
    EnvironmentBuild,
    HostPython,
    build_environment,
    built_for,
    creation,
    headline,
    host_python,
    installer,
    own_constraints,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storm.supervisor.environments import BuildFailure

HOST = replace(host_python(), uv=None)
LONG_SECS = 100.0
UV = host_python().uv
WITH_UV = pytest.param(UV, marks=pytest.mark.skipif(UV is None, reason="uv is not installed"))


def spec(wheels: Path, *requirements: str) -> EnvironmentSpec:
    """These requirements, with all wheels of the directory."""
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels.glob("*.whl")}
    return EnvironmentSpec(HOST.version, requirements, tuple(sorted(hashes.items())))


def build(directory: Path, wanted: EnvironmentSpec, host: HostPython = HOST) -> BuildFailure | None:
    return EnvironmentBuild(wanted, directory / "wheels", directory / "built", host).run(LONG_SECS)


def python(directory: Path, code: str) -> str:
    """What the environment's Python prints, where this package is found as a worker finds it."""
    found = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(storm.__file__).parents[1])}
    command = [str(directory / "built" / "bin" / "python"), "-c", code]
    return subprocess.run(command, env=found, capture_output=True, text=True, check=True).stdout.strip()


def program(path: Path, *lines: str) -> HostPython:
    """A host whose uv is this shell script."""
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return replace(HOST, uv=str(path))


@pytest.mark.slow
@pytest.mark.parametrize("uv", [None, WITH_UV])
def test_an_environment_has_what_is_asked_for_before_what_the_host_has(tmp_path: Path, uv: str | None) -> None:
    wheels = tmp_path / "wheels"
    made = [
        make_wheel(wheels, "colours", "2.0", requires=["shades>=1"]),
        make_wheel(wheels, "shades", "1.5"),
        make_wheel(wheels, "pathspec", "99.0", body="GitIgnoreSpec = 'theirs'\n"),  # Storm bounds it from below
    ]
    locked = [
        f"{path.name.split('-')[0]}=={path.name.split('-')[1]}"
        f" --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in made
    ]
    host = replace(HOST, uv=uv)
    assert build(tmp_path, spec(wheels, *locked), host) is None
    assert built_for(tmp_path / "built") == host.version
    assert python(tmp_path, "import colours, shades; print(colours.version, shades.version)") == "2.0 1.5"
    assert python(tmp_path, "import pathspec; print(pathspec.GitIgnoreSpec)") == "theirs"
    ours = python(tmp_path, "import storm, msgpack, zmq; print(storm.__file__); print(msgpack.__file__)").split()
    import msgpack

    assert ours == [storm.__file__, msgpack.__file__]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("requirement", "uv", "reason"),
    [
        ("colours", None, "pip says: Could not find a version that satisfies the requirement shades>=9"),
        ("msgpack==0.5", None, "pip says: Cannot install msgpack==0.5 because"),
        pytest.param("colours", UV, "uv says: No solution found", marks=WITH_UV.marks),
        pytest.param("msgpack==0.5", UV, "uv says: No solution found", marks=WITH_UV.marks),
    ],
)
def test_what_cannot_be_installed_is_said_and_leaves_nothing(
    tmp_path: Path, requirement: str, uv: str | None, reason: str
) -> None:
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "colours", requires=["shades>=9"])
    make_wheel(wheels, "shades", "1.5")
    make_wheel(wheels, "msgpack", "0.5")
    failure = build(tmp_path, spec(wheels, requirement), replace(HOST, uv=uv))
    assert failure is not None
    assert failure.reason.startswith(reason)
    assert failure.last_lines
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wheels"]


@pytest.mark.slow
@pytest.mark.parametrize("uv", [None, WITH_UV])
def test_packages_that_storm_cannot_be_imported_with_are_found_out_here(tmp_path: Path, uv: str | None) -> None:
    make_wheel(tmp_path / "wheels", "kazoo", "99.0", body="raise ImportError('not this one')\n")
    failure = build(tmp_path, spec(tmp_path / "wheels", "kazoo"), replace(HOST, uv=uv))
    assert failure is not None
    assert failure.reason == "Storm itself cannot be imported with what it installs"
    assert "ImportError: not this one" in failure.last_lines


def test_a_wheel_that_is_not_the_one_of_the_manifest_is_not_installed(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "colours")
    wanted = spec(tmp_path / "wheels", "colours")
    make_wheel(tmp_path / "wheels", "colours", body="raise SystemExit\n")
    failure = build(tmp_path, wanted)
    assert failure is not None
    assert failure.reason == f"the wheel {wheel.name} of its package does not have the hash that its manifest names"
    wheel.unlink()
    failure = build(tmp_path, wanted)
    assert failure is not None
    assert "No such file or directory" in failure.reason


def test_a_wheel_that_the_manifest_does_not_name_gets_into_no_environment(tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "colours", requires=["shades"])
    wanted = spec(tmp_path / "wheels", "colours")
    stranger = make_wheel(tmp_path / "wheels", "shades")
    failure = build(tmp_path, wanted)
    assert failure is not None
    assert failure.reason == f"its package has {stranger.name!r} among its wheels, which its manifest does not name"


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    host = program(tmp_path / "uv", "echo 'error: failed to write'", "echo '  cause: No space left on device'; exit 2")
    failure = build(tmp_path, spec(tmp_path, "x"), host)
    assert failure is not None
    assert (failure.reason, failure.no_room) == ("uv says: failed to write: No space left on device", True)
    assert not (tmp_path / "built").exists()


def has_ended(stat: Path) -> bool:
    try:
        return stat.read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_a_build_that_takes_too_long_ends_with_all_that_it_started(tmp_path: Path) -> None:
    host = program(tmp_path / "uv", "sleep 1000 & echo $! > " + str(tmp_path / "child"), "wait")
    failure = EnvironmentBuild(spec(tmp_path, "x"), tmp_path, tmp_path / "built", host).run(0.2)
    assert failure is not None
    assert failure.reason == "did not end within 0.2 s"
    child = tmp_path / "child"
    if child.exists() and child.read_text().strip():
        stat = Path("/proc") / child.read_text().strip() / "stat"
        while not has_ended(stat):  # a killed process may still run for a moment
            time.sleep(0.01)


def test_a_build_can_be_ended_by_another_thread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "begun")
    host = program(tmp_path / "uv", f"echo > {tmp_path / 'begun'}", "sleep 1000")
    one = EnvironmentBuild(spec(tmp_path, "x"), tmp_path, tmp_path / "built", host)
    found: list[BuildFailure | None] = []
    thread = threading.Thread(target=lambda: found.append(one.run(LONG_SECS)))
    thread.start()
    (tmp_path / "begun").read_text()
    assert one.child() is not None
    one.stop("the supervisor ends")
    thread.join()
    assert [failure and failure.reason for failure in found] == ["the supervisor ends"]
    assert one.child() is None
    again = one.run(LONG_SECS)
    assert again is not None, "what was ended does not begin again"


def test_what_a_build_leaves_in_a_session_of_its_own_is_not_waited_for_but_ended(tmp_path: Path) -> None:
    child = tmp_path / "child"
    host = program(
        tmp_path / "uv", f"setsid sh -c 'echo $$ > {child}.new; mv {child}.new {child}; exec sleep 1000' &",
        f"until [ -e {child} ]; do sleep 0.01; done", "echo 'error: no'; exit 1",
    )  # fmt: skip
    failure = build(tmp_path, spec(tmp_path, "x"), host)
    assert failure is not None
    assert failure.reason == "uv says: no"
    wait_ended(int(child.read_text()))


def wait_ended(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        assert select.select([pidfd], [], [], LONG_SECS)[0]
        os.close(pidfd)


@pytest.mark.parametrize("end", ["exit 1", "kill -9 $$"])
def test_what_a_build_puts_aside_goes_with_it(tmp_path: Path, end: str) -> None:
    host = program(tmp_path / "uv", f"mktemp -d > {tmp_path / 'aside'}", end)
    assert build(tmp_path, spec(tmp_path, "x"), host) is not None
    aside = Path((tmp_path / "aside").read_text().strip())
    assert aside.parent.parent == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aside", "uv"]


def test_of_what_a_program_prints_the_last_lines_are_kept(tmp_path: Path) -> None:
    host = program(tmp_path / "uv", "yes 'a line of no interest' | head -n 100000", "printf '\\n\\377last'", "exit 1")
    failure = build(tmp_path, spec(tmp_path, "x"), host)
    assert failure is not None
    lines = failure.last_lines.split("\n")
    assert (len(lines), lines[0], lines[-1]) == (LINES_KEPT, "a line of no interest", "\ufffdlast")


@pytest.mark.slow
@pytest.mark.parametrize("uv", [None, WITH_UV])
def test_where_wheels_travel_nothing_is_fetched_from_an_address(tmp_path: Path, uv: str | None) -> None:
    make_wheel(tmp_path / "wheels", "colours", "2.0")
    wanted = spec(tmp_path / "wheels", "colours @ http://127.0.0.1:1/colours-2.0.zip")
    assert build(tmp_path, wanted, replace(HOST, uv=uv)) is None
    assert python(tmp_path, "import colours; print(colours.version)") == "2.0"


def test_the_programs_get_the_hosts_settings_but_where_wheels_travel() -> None:
    environ = {"PATH": "/bin", "PIP_INDEX_URL": "u", "UV_INDEX_URL": "u", "PYTHONPATH": "/x", "VIRTUAL_ENV": "/v"}
    online = build_environment(environ, Path("/envs"), Path("/envs/x.tmp"), is_offline=False)
    assert {"PATH", "PIP_INDEX_URL", "UV_INDEX_URL", BUILD_VARIABLE} <= online.keys()
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & online.keys()
    assert online["TMPDIR"] == "/envs/x.tmp"
    offline = build_environment(environ, Path("/envs"), Path("/envs/x.tmp"), is_offline=True)
    assert not {"PIP_INDEX_URL", "UV_INDEX_URL"} & offline.keys()
    assert (offline["PIP_CONFIG_FILE"], offline["UV_NO_CONFIG"]) == (os.devnull, "1")


def test_caches_are_the_supervisors_own_unless_the_host_says_where_they_are() -> None:
    for is_offline in (False, True):
        made = build_environment({"HOME": "/home/storm"}, Path("/l/envs"), Path("/l/envs/x.tmp"), is_offline=is_offline)
        assert made["XDG_CACHE_HOME"] == "/l/envs-cache"
    named = {"XDG_CACHE_HOME": "/shared", "UV_CACHE_DIR": "/shared/uv", "PIP_CACHE_DIR": "/shared/pip"}
    made = build_environment(named, Path("/l/envs"), Path("/l/envs/x.tmp"), is_offline=False)
    assert named.items() <= made.items()


@pytest.mark.parametrize("uv", [None, WITH_UV])
def test_tools_keep_their_caches_where_they_are_told(tmp_path: Path, uv: str | None) -> None:
    if uv is None and not HOST.has_pip:
        pytest.skip("this Python has no pip")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "XDG_"))}
    made = build_environment(environ, tmp_path / "envs", tmp_path, is_offline=False)
    command = [sys.executable, "-m", "pip", "cache", "dir"] if uv is None else [uv, "cache", "dir"]
    told = subprocess.run(command, env=made, capture_output=True, text=True, check=True).stdout.strip()
    assert told == str(tmp_path / "envs-cache" / ("pip" if uv is None else "uv"))


def test_uv_is_preferred_then_our_pip_then_the_environments_own() -> None:
    target, inside = Path("/e"), Path("/e/bin/python")
    assert creation(replace(HOST, uv="/uv"), target)[0][1][:2] == ["/uv", "venv"]
    assert installer(replace(HOST, uv="/uv"), inside)[:3] == ["/uv", "pip", "install"]
    ours = replace(HOST, has_pip=True)
    assert creation(ours, target)[0][1] == [sys.executable, "-m", "venv", "--without-pip", "/e"]
    assert installer(ours, inside)[:5] == [sys.executable, "-m", "pip", "--python", "/e/bin/python"]
    none = replace(HOST, has_pip=False)
    assert creation(none, target)[0][1] == [sys.executable, "-m", "venv", "/e"]
    assert installer(none, inside)[:3] == ["/e/bin/python", "-m", "pip"]


def test_storm_and_what_it_depends_on_are_constraints() -> None:
    found = own_constraints()
    assert any(line.startswith("storm-cluster==") for line in found)
    assert any(line.startswith("msgpack>=") for line in found)
    assert any(line.startswith("h11") for line in found), "of what it depends on too"
    assert not any("extra" in line or "pytest" in line for line in found)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["Looking in links: x", "ERROR: No matching distribution found for x", "ERROR: so"],
            "No matching distribution found for x",
        ),
        (["error: No solution found", "  cause: Because x"], "No solution found: Because x"),
        (["error: no", "hint: y"], "no"),
        (["fine"], ""),
        ([], ""),
    ],
)
def test_the_first_error_is_the_headline(lines: Sequence[str], said: str) -> None:
    assert headline(list(lines)) == said
