from __future__ import annotations

from typing import TYPE_CHECKING

from storm.logviewer.measures import Measures, problem
from storm.metrics.distribution import Distribution
from storm.metrics.families import LOGVIEWER
from storm.metrics.series import Series

if TYPE_CHECKING:
    from pathlib import Path


def test_requests_are_counted_by_status() -> None:
    measures = Measures()
    for status in (200, 404, 200):
        measures.request("GET", "none", status, 0.25)
    found = list(measures.series(searches=1))
    assert {each.name for each in found} == LOGVIEWER.keys()
    assert Series("storm_logviewer_requests_total", {"status": "200"}, 2) in found
    assert Series("storm_logviewer_searches", {}, 1) in found
    [values] = [each.value for each in found if isinstance(each.value, Distribution)]
    assert (values.count, values.total) == (3, 0.75)


def test_a_directory_that_cannot_be_read_is_its_problem(tmp_path: Path) -> None:
    assert problem(tmp_path) == ""
    assert f"cannot read {tmp_path / 'gone'}" in problem(tmp_path / "gone")
