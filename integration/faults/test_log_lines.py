"""Times of log lines on the monotonic clock."""

from __future__ import annotations

import calendar
import time
from typing import TYPE_CHECKING

import pytest
from log_lines import Logs, parse

if TYPE_CHECKING:
    from pathlib import Path

WALL = time.mktime(time.strptime("2026-02-03 04:05:06", "%Y-%m-%d %H:%M:%S"))


def test_lines_with_a_time_are_found_and_others_passed_over() -> None:
    found = parse("2026-02-03 04:05:06,250 INFO one\n  more of it\n2026-02-03 04:05:07,000 INFO two\n", -WALL)
    assert [line.at for line in found] == [pytest.approx(0.25), pytest.approx(1.0)]
    assert found[1].text.endswith("two")


def test_workers_write_utc() -> None:
    wall = calendar.timegm((2026, 2, 3, 4, 5, 6))
    [found] = parse("2026-02-03T04:05:06.250Z INFO [-] storm.worker: one\n", -wall)
    assert found.at == pytest.approx(0.25)


def test_the_first_match_within_the_times_is_the_answer(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    log.write_text("".join(f"2026-02-03 04:05:0{second},500 INFO died {second}\n" for second in range(6, 10)))
    logs = Logs(-WALL)
    assert logs.first(log, r"died \d", 0.0) == pytest.approx(0.5)
    assert logs.first(log, r"died \d", 1.0) == pytest.approx(1.5)
    assert logs.first(log, r"died 9", 1.0, 3.0) is None
    assert logs.first(log, r"nothing", 0.0) is None


def test_the_last_match_within_the_times_is_found_too(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    log.write_text("".join(f"2026-02-03 04:05:0{second},500 INFO died {second}\n" for second in range(6, 10)))
    logs = Logs(-WALL)
    assert logs.last(log, r"died \d", 0.0) == pytest.approx(3.5)
    assert logs.last(log, r"died \d", 0.0, 3.0) == pytest.approx(2.5)
    assert logs.last(log, r"nothing", 0.0) is None
