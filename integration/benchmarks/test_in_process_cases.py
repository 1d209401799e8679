"""Every in-process case runs on the engine as it is, and measures something."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import acker_cases
import codec_cases
import engine_loop
import grouping_cases
import pytest
from case import Options
from timing import ns_each

if TYPE_CHECKING:
    from case import Case

MODULES = [acker_cases, codec_cases, engine_loop, grouping_cases]


@pytest.mark.parametrize("case", [case for module in MODULES for case in module.CASES], ids=lambda case: case.name)
def test_each_case_finds_a_figure(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES:
        monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(engine_loop, "WINDOW_SECS", 0.001)
    result = case.run(Options(seconds=0, seconds_given=True))
    assert result.case == case.name
    assert result.rates
    assert result.minimum > 0
    assert "in-process" in result.notes
    assert "in-process" in case.about


def test_what_is_prepared_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 0

    def takes(nanos: int) -> int:
        nonlocal now_ns
        now_ns += nanos
        return 1_000_000

    monkeypatch.setattr(time, "thread_time_ns", lambda: now_ns)
    monkeypatch.setattr(time, "monotonic", lambda: now_ns / 1e9)
    windows = ns_each(lambda _: takes(30_000_000), 1.0, lambda: takes(5_000_000_000))
    assert windows == (30.0,)
