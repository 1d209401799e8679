from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import click
from click.testing import CliRunner

from storm.cli.dev_cluster import DevCluster, DevPlan
from storm.cli.quickstart import Report, next_steps, quickstart, read_reports, recount, words_per_sec
from storm.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path


def test_reports_of_all_tasks_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "lines-1.json").write_text(json.dumps({"emitted": 5, "acked": 4, "failed": 0}))
    (tmp_path / "count-2.json").write_text(json.dumps({"counts": {"a": 2, "b": 1}}))
    (tmp_path / "count-3.json").write_text(json.dumps({"counts": {"c": 1}}))
    (tmp_path / "count-4.tmp").write_text("half of a rep")
    report = read_reports(tmp_path)
    assert report == Report(5, 4, 0, Counter(a=2, b=1, c=1))
    assert not report.settled


def test_a_recount_begins_again_at_the_end_of_the_text(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("a b\nb c\n\nd\n")
    assert recount(text, 3) == Counter(a=1, b=2, c=1, d=1)
    assert recount(text, 5) == Counter(a=2, b=4, c=2, d=1)
    assert recount(text, 0) == Counter()


def test_the_next_steps_lead_to_this_cluster(tmp_path: Path) -> None:
    usual = click.unstyle(next_steps(DevCluster(DevPlan(tmp_path), SystemClock()), {"STORM_NIMBUS_SEEDS": "[h]"}))
    assert "bin/storm status quickstart" in usual
    assert f"terminal:\n  unset STORM_NIMBUS_SEEDS\n  export STORM_CONF_DIR={tmp_path}/conf\n" in usual
    assert "In a browser" not in usual
    shown = click.unstyle(next_steps(DevCluster(DevPlan(tmp_path, ui_port=8081), SystemClock()), {}))
    assert shown.startswith("In a browser: http://127.0.0.1:8081/\n")


def test_a_count_that_began_anew_has_no_negative_rate() -> None:
    assert words_per_sec(300, 100, 2.0) == 100.0
    assert words_per_sec(100, 1_000_000, 2.0) == 50.0


def test_wrong_usage_is_said() -> None:
    done = CliRunner().invoke(quickstart, ["--seconds", "0"])
    assert done.exit_code == 2
