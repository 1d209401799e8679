from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storm.hosts.health import ScriptResult, illness, run_scripts, verdict

if TYPE_CHECKING:
    from storm.hosts.health import Stuck


def script(directory: Path, name: str, text: str, mode: int = 0o755) -> None:
    path = directory / name
    path.write_text(text)
    path.chmod(mode)


def test_the_line_counts_whatever_the_exit_code(tmp_path: Path) -> None:
    script(tmp_path, "a", "#!/bin/sh\necho fine so far\necho ERROR disk sda is broken\n")
    script(tmp_path, "b", "#!/bin/sh\necho ERROR no memory\nexit 3\n")
    script(tmp_path, "c", "#!/bin/sh\necho no ERROR at the beginning\necho ERROR to the wrong place >&2\n")
    results = run_scripts(tmp_path, 60)
    assert [(one.name, one.exit_code, one.error) for one in results] == [
        ("a", 0, "ERROR disk sda is broken"),
        ("b", 3, "ERROR no memory"),
        ("c", 0, ""),
    ]
    assert illness(results, True) == "a says ERROR disk sda is broken; b says ERROR no memory"


def test_a_broken_script_is_no_ill_host(tmp_path: Path) -> None:
    script(tmp_path, "exits", "#!/bin/sh\necho what is wrong >&2\nexit 2\n")
    script(tmp_path, "nonsense", "no interpreter")
    results = run_scripts(tmp_path, 60)
    assert illness(results, True) == ""
    assert [verdict(one, True) for one in results] == [
        "exit code 2 without a line ERROR: what is wrong",
        "cannot be started: Exec format error",
    ]


@pytest.mark.parametrize("fails", [True, False])
def test_one_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path, fails: bool) -> None:
    script(tmp_path, "hangs", "#!/bin/sh\nsleep 600 &\nsleep 600\n")
    results = run_scripts(tmp_path, 0.2)
    assert [one.timed_out for one in results] == [True]
    assert illness(results, fails) == ("hangs took longer than 0.2 s" if fails else "")


def test_a_full_disk_can_be_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a script says takes no room on a disk."""
    script(tmp_path, "disk", "#!/bin/sh\necho ERROR / is full\n")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    assert illness(run_scripts(tmp_path, 60), True) == "disk says ERROR / is full"


def test_what_never_stops_talking_is_ended_and_only_its_beginning_is_kept(tmp_path: Path) -> None:
    script(tmp_path, "talks", "#!/bin/sh\necho ERROR first\nyes\n")
    [result] = run_scripts(tmp_path, 0.2)
    assert (result.timed_out, result.error) == (True, "ERROR first")


def test_one_that_says_more_than_a_pipe_holds_goes_on(tmp_path: Path) -> None:
    script(tmp_path, "talks", "#!/bin/sh\necho ERROR first\nyes | head -c 1000000\nexit 7\n")
    [result] = run_scripts(tmp_path, 60)
    assert (result.exit_code, result.error) == (7, "ERROR first")


def test_a_script_may_open_its_own_outputs(tmp_path: Path) -> None:
    script(tmp_path, "opens", "#!/bin/sh\nset -e\necho looking > /dev/stderr\necho ERROR sda > /dev/stdout\n")
    [result] = run_scripts(tmp_path, 60)
    assert (result.exit_code, result.error, result.said) == (0, "ERROR sda", "looking")


def test_a_directory_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checks").mkdir()
    script(tmp_path / "checks", "disk", "#!/bin/sh\npwd\necho ERROR sda\n")
    monkeypatch.chdir(tmp_path)
    assert illness(run_scripts(Path("checks"), 60), True) == "disk says ERROR sda"


def test_one_that_does_not_die_is_not_waited_for_nor_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, "hangs", "#!/bin/sh\nsleep 600\n")
    stuck: Stuck = {}
    with monkeypatch.context() as patch:  # no test can make a process that SIGKILL does not end
        patch.setattr(subprocess.Popen, "wait", not_ended)
        patch.setattr(subprocess.Popen, "poll", lambda process: None)
        assert [one.timed_out for one in run_scripts(tmp_path, 0.2, stuck)] == [True]
        script(tmp_path, "hangs", "#!/bin/sh\necho ERROR at last\n")
        assert [one.timed_out for one in run_scripts(tmp_path, 60, stuck)] == [True]
        assert list(stuck) == [tmp_path / "hangs"]
    stuck[tmp_path / "hangs"].wait()
    assert [one.error for one in run_scripts(tmp_path, 60, stuck)] == ["ERROR at last"]
    assert stuck == {}


def not_ended(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
    assert timeout is not None, "it would be waited for without end"
    raise subprocess.TimeoutExpired(process.args, timeout)


def test_what_it_leaves_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    script(tmp_path, "leaves", f"#!/bin/sh\nsleep 600 &\necho $! > {tmp_path}/pid\necho well\n")
    [result] = run_scripts(tmp_path, 60)
    assert (result.exit_code, result.error) == (0, "")
    script(tmp_path, "leaves", f"#!/bin/sh\nkill $(cat {tmp_path}/pid)\n")
    run_scripts(tmp_path, 60)


def test_only_files_that_can_be_executed_are_scripts(tmp_path: Path) -> None:
    script(tmp_path, "notes.txt", "ERROR", 0o644)
    (tmp_path / "directory").mkdir()
    assert run_scripts(tmp_path, 60) == []
    assert run_scripts(tmp_path / "not there", 60) == []


def test_verdicts_are_words() -> None:
    assert verdict(ScriptResult("s", 0), True) == "well"
    assert verdict(ScriptResult("s", 0, "ERROR x"), True) == "ill: says ERROR x"
    assert verdict(ScriptResult("s", None, timeout_secs=5.0), True) == "ill: took longer than 5 s"
    assert verdict(ScriptResult("s", None, timeout_secs=5.0), False).endswith("counts for nothing here")
