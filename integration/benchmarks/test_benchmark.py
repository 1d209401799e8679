"""The command lists its cases, and one on a real cluster gives a table and JSON. No speed is asserted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WAIT_SECS = 60


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """What `run` does in an environment that is there already."""
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}:{HERE.parent / 'cluster'}"}
    return subprocess.run(
        [sys.executable, str(HERE / "benchmark.py"), *words],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_SECS, check=False,
    )  # fmt: skip


def test_lists_its_cases_with_a_line_each() -> None:
    done = run("--list")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert {"hop-acked", "words-acked-2w", "hop-latency", "recovery", "memory"} <= {line.split()[0] for line in lines}
    assert all(len(line.split()) > 1 for line in lines)


def test_refuses_what_it_does_not_know() -> None:
    assert "no case is named 'hop-ackd'" in run("hop-ackd").stderr
    assert "--against knows loop, bytewax, storm, not flink" in run("hop-acked", "--against", "flink").stderr


def test_a_case_on_a_real_cluster_gives_a_table_and_json(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    done = run("hop-acked", "--seconds", "2", "--warmup", "0", "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("hop-acked ") for line in done.stdout.splitlines())
    (result,) = json.loads(file.read_text())["results"]
    assert result["case"] == "hop-acked"
    assert 0 < result["minimum"] <= result["median"] <= result["maximum"]
    assert result["failed"] == 0
    assert result["cpu_secs_per_million"] > 0
    assert set(result["rss_mb"]) == {"worker", "zookeeper", "nimbus", "supervisor"}
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99"] <= result["latency_ms"]["p99.9"]
