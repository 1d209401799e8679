"""The command as people give it: its list, what it refuses, and a scenario on a real cluster."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import isolation
import pytest
from fault_command import options_of, parse
from load import WORKERS
from nemesis import Shape
from nemesis_run import drawn
from scenarios import MIXED, MIXED_WISH, SCENARIOS, mixed

HERE = Path(__file__).resolve().parent
WAIT_SECS = 150
CLUSTER = pytest.mark.timeout(WAIT_SECS + 10)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """What `run` does in an environment that is there already."""
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}:{HERE.parent / 'cluster'}:{HERE.parent.parent}"}
    return subprocess.run(
        [sys.executable, str(HERE / "fault_command.py"), *words],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_SECS, check=False,
    )  # fmt: skip


def row(output: str, name: str) -> list[str]:
    """The words of the table's line for this fault."""
    lines = [line.split() for line in output.splitlines() if line.split()[:1] == [name]]
    assert lines, f"the table has no row {name}:\n{output}"
    return lines[-1]


def test_lists_each_scenario_with_its_id_and_why_it_cannot_run() -> None:
    done = run("--list")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.split()[:2] == ["worker-killed", "P1"] for line in lines)
    drpc = next(i for i, line in enumerate(lines) if line.startswith("drpc-client-leaves"))
    assert lines[drpc + 1].strip() == "cannot run here: part of the product that is not there yet: DRPC"


def test_without_namespaces_of_hosts_links_are_cut_by_proxies_and_mounts_need_only_the_harness_own() -> None:
    done = run("--list", "--isolation", "proxy")
    assert done.returncode == 0, done.stderr
    reasons = reasons_of(done.stdout)
    assert reasons["link-cut"] == reasons["host-unplugged"] == reasons["link-slow"] == ""
    own_addresses = [scenario.name for scenario in SCENARIOS if "own-addresses" in scenario.needs and scenario.run]
    assert all(reasons[name].endswith("for each host: --isolation proxy") for name in own_addresses)
    missing = isolation.why_not()
    assert reasons["nimbus-disk-full"].endswith("" if missing is None else f"mounts of the harness's own: {missing}")
    assert (reasons["nimbus-disk-full"] == "") == (missing is None)


def reasons_of(listed: str) -> dict[str, str]:
    """{scenario: why it cannot run here}; empty: it can."""
    found: dict[str, str] = {}
    for line in listed.splitlines():
        if line.startswith(" "):
            found[list(found)[-1]] = line.strip()
        else:
            found[line.split()[0]] = ""
    return found


def test_refuses_what_it_does_not_know() -> None:
    done = run("worker-kiled")
    assert done.returncode == 1
    assert "no scenario is named 'worker-kiled'" in done.stderr


@pytest.mark.parametrize("gap", ["0", "-3", "nan", "inf", "soon"])
def test_refuses_a_gap_that_is_none(gap: str) -> None:
    done = run("worker-killed", f"--gap={gap}")
    assert done.returncode == 2
    assert "argument --gap" in done.stderr


@pytest.mark.parametrize("share", ["-0.1", "1.1", "nan", "often"])
def test_refuses_a_share_that_is_none(share: str) -> None:
    done = run("random", f"--overlap={share}")
    assert done.returncode == 2
    assert "argument --overlap" in done.stderr


def test_a_scenario_that_cannot_run_is_skipped_with_its_reason() -> None:
    done = run("A13")
    assert done.returncode == 0, done.stderr
    assert "drpc-client-leaves" in done.stdout
    assert "skipped: part of the product that is not there yet: DRPC" in done.stdout


@pytest.mark.parametrize(("required", "word", "code"), [
    ("1", "drpc-client-leaves", 1), ("1", "drpc-*", 0), ("", "drpc-client-leaves", 0),
])  # fmt: skip
def test_where_every_part_must_be_there_a_scenario_that_was_named_must_run(
    monkeypatch: pytest.MonkeyPatch, required: str, word: str, code: int
) -> None:
    monkeypatch.setenv("STORM_REQUIRE_REAL_PARTS", required)
    done = run(word)
    assert done.returncode == code, done.stdout + done.stderr
    told = "skipped, though STORM_REQUIRE_REAL_PARTS is set: part of the product that is not there yet: DRPC"
    assert (told in done.stdout) == bool(code)


def test_what_a_former_run_kept_is_not_mixed_with_another(tmp_path: Path) -> None:
    (tmp_path / "worker-killed").mkdir()
    done = run("supervisor-killed", "worker-killed", "--keep", str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path} holds a former run of worker-killed" in done.stderr
    assert done.stdout == ""


@CLUSTER
def test_a_killed_worker_loses_nothing_and_the_table_says_so(tmp_path: Path) -> None:
    done = run("worker-killed", "--faults", "2", "--messages", "1500", "--seed", "5", "--keep", str(tmp_path / "kept"))
    assert done.returncode == 0, done.stdout + done.stderr
    killed = row(done.stdout, "worker-killed")
    assert killed[1:3] == ["2", "0"]
    assert killed[-1] == "ok"
    assert int(killed[6]) >= 2  # processes that were started again
    assert row(done.stdout, "all")[2] == "0"
    assert (tmp_path / "kept" / "worker-killed" / "schedule.json").exists()


@CLUSTER
def test_a_link_is_cut_where_hosts_share_an_address() -> None:
    done = run("link-cut", "--isolation", "proxy", "--faults", "1", "--messages", "1500", "--seed", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all hosts share 127.0.0.1: --isolation proxy" in done.stdout
    assert row(done.stdout, "link-cut")[1:3] == ["1", "0"]
    assert row(done.stdout, "link-cut")[-1] == "ok"


@CLUSTER
def test_a_check_that_fails_is_in_the_exit_code_and_logs_are_kept(tmp_path: Path) -> None:
    schedule = tmp_path / "schedule.json"
    schedule.write_text("this is no schedule")
    done = run("worker-killed", "--replay", str(schedule), "--keep", str(tmp_path / "kept"))
    assert done.returncode == 1
    assert row(done.stdout, "worker-killed")[-1] == "FAILED"
    assert f"logs and records: {tmp_path / 'kept'}" in done.stdout
    assert list((tmp_path / "kept").rglob("daemon.log"))


CI = (HERE.parent.parent / ".ci" / "run").read_text()


def listed_in_ci(name: str) -> list[str]:
    """The words of one of its lists."""
    found = re.search(rf"^{name}=\(([^)]*)\)", CI, re.MULTILINE)
    assert found, f".ci/run has no list named {name}"
    return found[1].split()


def test_the_schedules_of_ci_have_each_fault_of_the_mix_and_some_that_overlap() -> None:
    command = re.search(r'integration/faults/run (.*--seed "\$seed".*)', CI)
    assert command
    plan = MIXED_WISH.plan
    shape = Shape(
        tuple(f"host-{i}" for i in range(plan.hosts)),
        tuple(f"nimbus-{i}" for i in range(plan.nimbuses)),
        tuple(f"zookeeper-{i}" for i in range(plan.zookeepers)),
        WORKERS,
    )
    seen: set[str] = set()
    for seed in listed_in_ci("seeds"):
        options = options_of(parse(shlex.split(command[1].replace("$seed", seed))))
        kinds = [mixed(name).drawable(options.timers) for name in MIXED]
        events = drawn(options, kinds, shape, MIXED_WISH)
        names = {event.fault for event in events}
        assert "worker-killed" in names, seed
        assert any(other.at < one.until for one, other in pairwise(events)), f"of seed {seed} no faults overlap"
        seen |= names
    assert seen == MIXED.keys(), "choose other seeds: `drawn` tells what each has"


def test_the_scenarios_of_ci_are_others_than_the_mix_and_can_run() -> None:
    names = listed_in_ci("scenarios")
    assert len(set(names)) == len(names)
    assert not set(names) & {"random", *MIXED}
    assert set(names) <= {scenario.name for scenario in SCENARIOS if scenario.run is not None}
    reasons = reasons_of(run("--list").stdout)
    if skipped := {name: reasons[name] for name in names if reasons[name]}:
        pytest.skip(f"not on this machine: {skipped}")  # which fails where CI has installed all
