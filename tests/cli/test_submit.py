from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

import storm.examples.word_count as example
from storm.cli.main import main
from storm.cli.submit import conf_overrides
from storm.config.loading import load_settings

if TYPE_CHECKING:
    from pathlib import Path


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
