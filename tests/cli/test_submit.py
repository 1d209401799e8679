from __future__ import annotations

import json
import re
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
from wheels import make_wheel

import storm.examples.word_count as example
from storm.cli.main import main
from storm.cli.output import Steps
from storm.cli.submit import conf_overrides, running_workers
from storm.clock import SystemClock
from storm.config.loading import load_settings
from storm.thrift.interface import storm_thrift


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


class Running:
    """A Nimbus whose topologies all run."""

    def call(self, method: str, *args: object) -> Any:
        t = storm_thrift()
        workers = [
            t.WorkerSummary(host=host, port=6700, num_executors=1, uptime_secs=1) for host in ("fd00::1", "10.0.0.1")
        ]
        return t.TopologyPageInfo(id="words-1-2", workers=workers)


def test_its_workers_are_named_by_addresses_that_can_be_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    nimbus: Any = Running()
    running_workers(nimbus, "words-1-2", Steps(1, SystemClock()), 9.0)
    assert "[1/1] waiting for its workers: [fd00::1]:6700, 10.0.0.1:6700" in capsys.readouterr().out


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


def test_what_is_too_large_is_refused_in_one_sentence_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, aside = words_project(tmp_path / "project"), tmp_path / "aside"
    aside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(aside))
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    seeds = (f"-cnimbus.thrift.port={listening.getsockname()[1]}", "-cnimbus.seeds=[127.0.0.1]")

    def refused(*more: str) -> str:
        code, _, err = run(capsys, str(root), "--name", "w", *seeds, *more)
        assert (code, len(err.splitlines()), list(aside.iterdir())) == (1, 1, [])
        return err

    with listening, (root / "data.bin").open("wb") as data:
        data.truncate(2 << 30)  # a hole: it takes no room on the disk
        assert "data.bin the project has 2,147,48" in refused()
        data.truncate(0)
        (root / "requirements.txt").write_text("colours\n")
        wheel = make_wheel(tmp_path / "wheels", "colours")
        packed = wheel.read_bytes()
        with wheel.open("wb") as file:
            file.seek(600 << 20)
            file.write(packed)
        assert "leave --wheelhouse away" in refused("--wheelhouse", str(tmp_path / "wheels"))
        with pytest.raises(BlockingIOError):  # nobody has asked Nimbus anything
            listening.accept()


def test_options_that_contradict_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = words_project(tmp_path / "project")
    code, _, err = run(capsys, str(root), "--name", "w", "--dry-run", "--no-env", "--wheelhouse", str(tmp_path))
    assert (code, "--no-env installs nothing" in err) == (2, True)
    code, _, err = run(capsys, str(root), "--name", "w", "--dry-run", "--wheelhouse", str(tmp_path))
    assert (code, "nothing says which wheels of" in err) == (1, True)


def test_of_a_file_in_a_package_the_project_is_packed_with_what_it_requires(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"package_of_{tmp_path.name.replace('-', '_')}"
    package = tmp_path / "src" / name
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "flow.py").write_text(Path(example.__file__ or "").read_text())
    code, out, _ = run(capsys, str(package / "flow.py"), "--name", "w", "--dry-run")
    assert code == 0
    assert re.search(r"flow\.py: 1 spout, 2 bolts  ", out)
    assert re.search(r"packing its code: 2 files, \S+ \w+  ", out)
    (tmp_path / "pyproject.toml").write_text("[project]\ndependencies = ['colours']\n")
    code, out, _ = run(capsys, str(package / "flow.py"), "--name", "w", "--dry-run")
    assert code == 0
    assert f"flow.py: 1 spout, 2 bolts of the project {tmp_path}  " in out
    assert re.search(r"packing its code: 3 files, .*; 1 requirement of pyproject\.toml", out)
