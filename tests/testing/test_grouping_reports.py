from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from one_worker import OneWorker

from storm.examples import groupings
from storm.testing.grouping_reports import LAWS, is_complete, problems, read

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 300
Change = Callable[[int, list[int]], list[int]]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("groupings") / "reports"
    conf = {"groupings.count": COUNT, "groupings.report_dir": str(directory)}
    worker = OneWorker(groupings.topology(conf), conf)
    worker.run(lambda: is_complete(directory, COUNT))
    worker.close()
    return directory


def test_every_grouping_keeps_its_law(reports: Path) -> None:
    assert problems(reports, COUNT) == []
    assert set(read(reports)) == set(LAWS)


@pytest.mark.parametrize(
    ("bolt", "change", "text"),
    [
        ("shuffle", lambda task, own: own[10:], "shuffle: 20 numbers came to no task"),
        ("shuffle", lambda task, own: [*own, own[0]], "shuffle: 2 numbers came more than once"),
        ("fields", lambda task, own: [*own, *range(40)], "fields: key-1 came to tasks"),
        ("all", lambda task, own: own[1:], "all: 1 numbers came to no task|all: task"),
        ("global", lambda task, own: [*own, 1], "global: "),
        ("direct", lambda task, own: [*own, 0, 1, 2], "direct: task .* got .* numbers of others"),
        ("custom", lambda task, own: [*own, 1, 2], "custom: task .* got .* numbers of others"),
    ],
)
def test_what_breaks_a_law_is_found(reports: Path, tmp_path: Path, bolt: str, change: Change, text: str) -> None:
    for file in reports.glob("*.json"):
        report = json.loads(file.read_text())
        if report["component"] == bolt and report["task"] != report["tasks"][0]:
            report["numbers"] = change(report["task"], report["numbers"])
        (tmp_path / file.name).write_text(json.dumps(report))
    found = problems(tmp_path, COUNT)
    assert any(re.match(text, problem) for problem in found), found


def test_a_bolt_without_reports_is_found(tmp_path: Path) -> None:
    assert "shuffle: no task has written a report" in problems(tmp_path, COUNT)
    assert not is_complete(tmp_path, COUNT)
