from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NoReturn

import pytest
from wheels import make_wheel

import storm.examples.word_count as example
from storm.cli.main import main
from storm.cli.output import Steps
from storm.cli.submit import conf_overrides, running_workers
from storm.clock import SystemClock
from storm.config.loading import load_settings


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["submit", *args])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_a_dry_run_loads_and_packs_and_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, example.__file__ or "", "--name", "words", "--dry-run")
    assert code == 0
    assert re.search(r"\[1/2\] loading .*word_count\.py: 1 spout, 2 bolts", out)
    assert re.search(r"\[2/2\] packing its code: \d files?, ", out)


def test_a_dry_run_tells_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, example.__file__ or "", "--name", "words", "--dry-run", "--json")
    told = json.loads(out)
    assert (code, told["name"], told["spouts"], told["bolts"]) == (0, "words", 1, 2)
    assert min(told["files"], told["size_bytes"]) > 0


class Unawaited:
    """A Nimbus for whose answer a person does not wait."""

    def call(self, method: str, *args: object) -> NoReturn:
        raise KeyboardInterrupt


def test_who_does_not_wait_for_the_workers_is_told_that_the_topology_starts(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps(1, SystemClock())
    nimbus: Any = Unawaited()
    with pytest.raises(KeyboardInterrupt):
        running_workers(nimbus, "words", "words-1-2", steps, 9.0)
    told = capsys.readouterr()
    assert told.out == "[1/1] waiting for its workers: interrupted\n"
    assert told.err == (
        "words is submitted and goes on starting; `storm status words` shows it, `storm kill words` ends it\n"
    )


def test_an_interrupt_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "interrupted_for_submit.py"
    file.write_text("raise KeyboardInterrupt\n")
    code, out, err = run(capsys, str(file), "--name", "w", "--dry-run")
    assert (code, err.strip()) == (130, "interrupted")
    assert out.endswith(": interrupted\n")


@pytest.mark.parametrize("name", ["a/b", "", "x" * 200, "a\nb"])
def test_an_illegal_name_is_refused_before_anything_is_done(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, example.__file__ or "", "--name", name, "--dry-run")
    assert (code, out) == (1, "")
    assert "error:" in err
    assert "Traceback" not in err


def test_a_users_error_is_the_users_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "broken_for_submit.py"
    file.write_text("def topology(conf):\n    return no_such_name\n")
    code, out, err = run(capsys, str(file), "--name", "broken", "--dry-run")
    assert code == 1
    assert "failed" in out
    assert "NameError: name 'no_such_name' is not defined" in err
    assert "topology_file.py" not in err


def test_only_what_the_command_line_says_wins_over_the_file() -> None:
    settings = load_settings(None, ("topology.workers=3",), {"STORM_TOPOLOGY_DEBUG": "true"})
    assert conf_overrides(settings) == {"topology.workers": 3}


def packed_files(out: str) -> list[str]:
    return re.findall(r"packing its code: (\d+) files", out)


def words_project(directory: Path) -> Path:
    """A project with a topology under a module name of its own, so that tests can import it side by side."""
    directory.mkdir()
    name = f"words_of_{directory.parent.name.replace('-', '_')}.py"
    source = Path(example.__file__ or "").read_text()
    (directory / name).write_text(source)
    (directory / "pyproject.toml").write_text(f'[tool.storm]\ntopology = "{name}"\n')
    return directory


def test_requirements_and_their_wheels_are_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = words_project(tmp_path / "project")
    (root / "requirements.txt").write_text("colours==1.0\n")
    make_wheel(tmp_path / "wheels", "colours", requires=["shades"])
    wheels = ("--wheelhouse", str(tmp_path / "wheels"))
    code, out, err = run(capsys, str(root), "--name", "w", "--dry-run", *wheels)
    assert code == 1
    assert re.search(r"\[2/2\] packing its code: failed", out)
    assert "has no wheel of shades, which colours-1.0-py3-none-any.whl needs" in err
    make_wheel(tmp_path / "wheels", "shades")
    code, out, _ = run(capsys, str(root), "--name", "w", "--dry-run", *wheels)
    assert (code, "; 1 requirement of requirements.txt with 2 wheels" in out) == (0, True)
    (tmp_path / "wheels").rename(root / "wheels")
    code, inside, _ = run(capsys, str(root), "--name", "w", "--dry-run", "--wheelhouse", str(root / "wheels"))
    assert (code, packed_files(inside)) == (0, packed_files(out)), "wheels in the project are not packed twice"
    code, out, _ = run(capsys, str(root), "--name", "w", "--dry-run")
    assert (code, "; 1 requirement of requirements.txt  " in out) == (0, True)
    code, out, _ = run(capsys, str(root), "--name", "w", "--dry-run", "--no-env")
    assert (code, "; 1 requirement" in out) == (0, False)


def test_options_that_contradict_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = words_project(tmp_path / "project")
    code, _, err = run(capsys, str(root), "--name", "w", "--dry-run", "--no-env", "--wheelhouse", str(tmp_path))
    assert (code, "--no-env installs nothing" in err) == (2, True)
    code, _, err = run(capsys, str(root), "--name", "w", "--dry-run", "--wheelhouse", str(tmp_path))
    assert (code, "nothing says which wheels of" in err) == (1, True)
