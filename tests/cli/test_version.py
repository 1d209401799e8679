from __future__ import annotations

import json
import platform

import pytest

from storm import hot_path
from storm.cli.main import main


def test_version_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["version", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert shown["python"] == platform.python_version()
    assert shown["hot_path"] == hot_path.mode()


def test_version_says_which_mode_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["version"])
    assert capsys.readouterr().out.splitlines()[-1] == f"hot path {hot_path.mode()}"


def test_version_begins_as_storms_does(capsys: pytest.CaptureFixture[str]) -> None:
    """streamparse reads it by `Storm ([0-9.]+)`."""
    with pytest.raises(SystemExit):
        main(["version"])
    assert capsys.readouterr().out.startswith("Storm ")
