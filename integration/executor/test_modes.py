"""Compiled and interpreted, the engine computes the same: numbers of 64 bits above all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from storm import hot_path

HERE = Path(__file__).parent
SIMULATION = HERE.parents[1] / "tests" / "simulation"
LIMIT_SECS = 100


def test_both_modes_compute_the_same() -> None:
    if (reason := hot_path.why_interpreted(hot_path.PACKAGE, None)) is not None:
        pytest.skip(f"there is nothing compiled to compare with: {reason}")
    running = [
        subprocess.Popen(
            [sys.executable, str(HERE / "mode_sample.py")],
            env={**os.environ, "PYTHONPATH": str(SIMULATION), "STORM_PURE": pure},
            stdout=subprocess.PIPE,
        )
        for pure in ("0", "1")
    ]
    compiled, interpreted = (found(process) for process in running)
    assert compiled["mode"] == "compiled"
    assert interpreted["mode"].startswith("interpreted")
    for name, results in interpreted["results"].items():
        assert results, f"{name}: nothing was computed"
        assert compiled["results"][name] == results, name


def found(process: subprocess.Popen[bytes]) -> Any:
    printed, _ = process.communicate(timeout=LIMIT_SECS)
    assert process.returncode == 0
    return json.loads(printed)
