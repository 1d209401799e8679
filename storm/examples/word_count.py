"""Count the words of a real text, and lose none of its lines.

    storm local storm/examples/word_count.py
    storm submit storm/examples/word_count.py --name words -c word_count.text=/path/to/files

Settings, all optional:
    word_count.text         a file, or a directory of files; default: Python's own documentation (`pydoc_data.topics`)
    word_count.passes       how often the text is read, 1 by default; 0: again and again
    word_count.report_dir   every task writes there each second what it has done, as JSON; made where it is not there
"""

from __future__ import annotations

import json
import os
from collections import Counter, deque
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from storm import BasicBolt, Spout, StormTopology, TopologyBuilder, Tuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from storm import BasicOutputCollector, SpoutOutputCollector, TopologyContext

REPORT_SECS = 1.0


def read_lines(text: str | None) -> Iterator[str]:
    """The lines of a file or of all files below a directory, without the empty ones; None: Python's documentation."""
    if text is None:
        from pydoc_data.topics import topics

        pages = iter(topics.values())
    else:
        path = Path(text)
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        pages = (file.read_text(encoding="utf-8", errors="replace") for file in files)
    for page in pages:
        yield from (line for line in page.splitlines() if line.strip())


class LineSpout(Spout):
    """Emits each line once for every pass, and again if it fails. A line's number is its message id.

    Several tasks share the lines out among themselves.
    """

    outputs = ["line"]

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector = collector
        self.lines = list(read_lines(conf.get("word_count.text")))
        if not self.lines:
            raise ValueError(f"word_count.text: there is no line in {conf.get('word_count.text')}")
        passes = conf.get("word_count.passes", 1)
        self.end = passes * len(self.lines) if passes else None  # the first number that is not emitted any more
        self.number = context.task_index
        self.step = len(context.tasks_of(context.component_id))
        self.failed_numbers: deque[int] = deque()
        self.emitted = self.acked = self.failures = 0
        self.active = False
        self.report = TaskReport(conf, context)

    def next_tuple(self) -> None:
        if self.failed_numbers:
            self.emit(self.failed_numbers.popleft())
        elif self.end is None or self.number < self.end:
            self.emit(self.number)
            self.number += self.step
        if self.report.is_due():
            self.write_report()

    def emit(self, number: int) -> None:
        self.collector.emit([self.lines[number % len(self.lines)]], message_id=number)
        self.emitted += 1

    def ack(self, message_id: int) -> None:
        self.acked += 1
        self.report_last()

    def fail(self, message_id: int) -> None:
        self.failures += 1
        self.failed_numbers.append(message_id)
        self.report_last()

    def activate(self) -> None:
        self.active = True

    def deactivate(self) -> None:
        self.active = False
        self.write_report()

    def close(self) -> None:
        self.write_report()

    def report_last(self) -> None:
        """Once the spout is deactivated only acks and fails are called: write when the last line came back."""
        if not self.active and self.emitted == self.acked + self.failures:
            self.write_report()

    def write_report(self) -> None:
        self.report.write({"emitted": self.emitted, "acked": self.acked, "failed": self.failures})


class SplitBolt(BasicBolt):
    """Emits the words of a line, anchored to it: the line is acked once all its words were counted."""

    outputs = ["word"]

    def execute(self, tup: Tuple) -> None:
        self.collector.emit_many([[word] for word in tup.line.split()])


class CountBolt(BasicBolt):
    """Counts words. Thanks to the fields grouping all occurrences of a word come to the same task.

    The counts are in memory: they begin anew when the worker does.
    """

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> None:
        self.counts: Counter[str] = Counter()
        self.report = TaskReport(conf, context)

    def component_configuration(self) -> Mapping[str, Any]:
        return {"topology.tick.tuple.freq.secs": REPORT_SECS}

    def execute(self, tup: Tuple) -> None:
        if tup.is_tick():
            self.report.write({"counts": self.counts})
        else:
            self.counts[tup.word] += 1

    def cleanup(self) -> None:
        self.report.write({"counts": self.counts})


class TaskReport:
    """What one task has done so far, in a file that is replaced as a whole, so that readers never see half of it."""

    def __init__(self, conf: Mapping[str, Any], context: TopologyContext) -> None:
        directory = conf.get("word_count.report_dir")
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
        self.file = Path(directory, f"{context.component_id}-{context.task_id}.json") if directory else None
        self.written = ""
        self.due = 0.0

    def is_due(self) -> bool:
        return monotonic() >= self.due

    def write(self, figures: Mapping[str, Any]) -> None:
        self.due = monotonic() + REPORT_SECS
        text = json.dumps(figures)
        if self.file is None or text == self.written:
            return
        temporary = self.file.with_suffix(".tmp")
        temporary.write_text(text)
        os.replace(temporary, self.file)
        self.written = text


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("lines", LineSpout())
    builder.set_bolt("split", SplitBolt(), 2).shuffle_grouping("lines")
    builder.set_bolt("count", CountBolt(), 4).fields_grouping("split", ["word"])
    return builder.create_topology()
