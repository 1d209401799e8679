"""conf/systemd: each unit starts a daemon that there is, and does what docs/operations.md promises of it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from storm.cli.main import cli

UNITS = Path(__file__).parents[1] / "conf" / "systemd"
NAMES = sorted(path.name for path in UNITS.glob("storm-*.service"))
ZOOKEEPER = "zookeeper.service"
STORM = "/opt/storm/bin/storm"


def settings(name: str) -> dict[str, str]:
    """{Section.Key: value}; a key that stands twice has its last value."""
    found, section = {}, ""
    for line in (UNITS / name).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[f"{section}.{key}"] = value
    return found


def test_each_daemon_has_its_unit() -> None:
    daemons = ("dev-zookeeper", "logviewer", "nimbus", "supervisor", "ui")
    assert [f"storm-{name}.service" for name in daemons] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_it_starts_is_a_command_with_options_that_it_knows(name: str) -> None:
    program, command, *words = shlex.split(settings(name)["Service.ExecStart"])
    assert (program, f"storm-{command}.service") == (STORM, name)
    with click.Context(cli) as context:
        found = cli.get_command(context, command)
        assert found is not None
        found.make_context(command, words, parent=context)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_started_again_for_ever_and_runs_as_nobody_special(name: str) -> None:
    unit = settings(name)
    assert (unit["Service.Restart"], unit["Unit.StartLimitIntervalSec"]) == ("always", "0")
    assert unit["Service.User"] == "storm"
    assert unit["Service.NoNewPrivileges"] == "true"
    assert int(unit["Service.LimitNOFILE"]) >= 16_384
    assert "/var/lib/storm/" in unit["Service.ExecStart"]
    assert "storm/" in unit["Service.StateDirectory"]


def test_workers_outlive_their_supervisor() -> None:
    unit = settings("storm-supervisor.service")
    assert (unit["Service.KillMode"], unit["Service.OOMPolicy"]) == ("process", "continue")
    assert "Service.PrivateTmp" not in unit


def test_zookeeper_of_the_distribution_is_started_again_for_ever() -> None:
    unit = settings(ZOOKEEPER)
    assert (unit["Service.User"], unit["Service.Restart"], unit["Unit.StartLimitIntervalSec"]) == (
        "zookeeper",
        "always",
        "0",
    )
    assert unit["Service.ExecStart"].endswith("QuorumPeerMain /etc/zookeeper/conf/zoo.cfg")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize("name", [*NAMES, ZOOKEEPER])
def test_systemd_understands_it(name: str, tmp_path: Path) -> None:
    unit, text = tmp_path / name, (UNITS / name).read_text()
    program = settings(name)["Service.ExecStart"].split()[0]  # which need not be on this machine
    unit.write_text(text.replace(f"ExecStart={program} ", f"ExecStart={sys.executable} "))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
