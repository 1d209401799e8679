from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from one_worker import OneWorker

from storm.examples.word_count import LineSpout, read_lines, topology

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "the cow jumped\n\nover the moon\nthe end\n"


def figures(directory: Path) -> tuple[dict[str, int], Counter[str]]:
    spout: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for file in directory.glob("*.json"):
        report = json.loads(file.read_text())
        counts.update(report.pop("counts", {}))
        spout.update(report)
    return spout, counts


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    return file


@pytest.mark.parametrize("passes", [1, 3])
def test_every_word_of_every_line_is_counted_once_a_pass(tmp_path: Path, text: Path, passes: int) -> None:
    reports = tmp_path / "reports"
    conf = {"word_count.text": str(text), "word_count.passes": passes, "word_count.report_dir": str(reports)}
    worker = OneWorker(topology(conf), conf)
    worker.run(lambda: figures(reports)[1].total() == 8 * passes)
    worker.close()
    spout, counts = figures(reports)
    assert spout == {"emitted": 3 * passes, "acked": 3 * passes, "failed": 0}
    assert counts == {word: n * passes for word, n in Counter(TEXT.split()).items()}


def test_without_a_report_directory_nothing_is_written(tmp_path: Path, text: Path) -> None:
    conf = {"word_count.text": str(text)}
    worker = OneWorker(topology(conf), conf)
    worker.run(lambda: worker.clock.now() > 3)
    worker.close()
    assert list(tmp_path.iterdir()) == [text]


def test_python_carries_a_text() -> None:
    lines = list(read_lines(None))
    assert len(lines) > 5000
    assert all(line.strip() for line in lines)


def test_a_directory_is_all_its_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.txt").write_text("three\n")
    (tmp_path / "a.txt").write_bytes(b"one\n \ntwo \xff\n")
    assert list(read_lines(str(tmp_path))) == ["one", "two \ufffd", "three"]


class Collector:
    def __init__(self) -> None:
        self.emitted: list[tuple[str, int]] = []

    def emit(self, values: list[str], message_id: int) -> None:
        self.emitted.append((values[0], message_id))


class Context:
    component_id = "lines"

    def __init__(self, index: int, tasks: int) -> None:
        self.task_id, self.task_index = index + 1, index
        self._tasks = tasks

    def tasks_of(self, component_id: str) -> list[int]:
        return list(range(1, self._tasks + 1))


def opened(conf: dict[str, Any], index: int = 0, tasks: int = 1) -> tuple[LineSpout, Collector]:
    spout, collector = LineSpout(), Collector()
    spout.open(conf, Context(index, tasks), collector)  # type: ignore[arg-type]
    spout.activate()
    return spout, collector


def test_a_failed_line_is_sent_again(text: Path) -> None:
    spout, collector = opened({"word_count.text": str(text)})
    spout.next_tuple()
    spout.fail(0)
    spout.next_tuple()
    assert collector.emitted == [("the cow jumped", 0)] * 2
    for _ in range(5):
        spout.next_tuple()
    assert [number for _, number in collector.emitted] == [0, 0, 1, 2]


def test_tasks_share_the_lines(text: Path) -> None:
    numbers = []
    for index in range(2):
        spout, collector = opened({"word_count.text": str(text), "word_count.passes": 2}, index, 2)
        for _ in range(10):
            spout.next_tuple()
        numbers.append([number for _, number in collector.emitted])
    assert numbers == [[0, 2, 4], [1, 3, 5]]


def test_the_last_ack_after_deactivation_is_reported(tmp_path: Path, text: Path) -> None:
    spout, _ = opened({"word_count.text": str(text), "word_count.report_dir": str(tmp_path)})
    spout.next_tuple()
    spout.deactivate()
    assert figures(tmp_path)[0] == {"emitted": 1, "acked": 0, "failed": 0}
    spout.ack(0)
    assert figures(tmp_path)[0] == {"emitted": 1, "acked": 1, "failed": 0}


def test_a_text_without_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(ValueError, match=r"there is no line in .*empty.txt"):
        opened({"word_count.text": str(tmp_path / "empty.txt")})
