from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from storm.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str]:
    with pytest.raises(SystemExit) as ended:
        main(["node-health-check", *words])
    return ended.value.code, capsys.readouterr().out


def test_the_exit_code_says_whether_the_host_is_ill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = ("-c", f"storm.health.check.dir={tmp_path}")
    assert run(capsys) == (0, "storm.health.check.dir is not set: no script says anything against this host\n")
    code, said = run(capsys, *here)
    assert (code, "no file that can be executed" in said) == (0, True)
    script = tmp_path / "disk.sh"
    script.write_text("#!/bin/sh\necho all is well\n")
    script.chmod(0o755)
    code, said = run(capsys, *here)
    assert (code, said.splitlines()[1].split()) == (0, ["disk.sh", "well"])
    script.write_text("#!/bin/sh\necho ERROR sda\n")
    code, said = run(capsys, *here, "--json")
    assert code == 1
    assert json.loads(said) == {
        "healthy": False,
        "illness": "disk.sh says ERROR sda",
        "scripts": {"disk.sh": "ill: says ERROR sda"},
    }
