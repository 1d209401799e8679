from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storm.cli.local import error_lines
from storm.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
from storm import Bolt, Spout, TopologyBuilder

class Numbers(Spout):
    outputs = ["number"]
    def open(self, conf, context, collector):
        self.collector, self.number = collector, 0
    def next_tuple(self):
        if self.number < 5:
            self.number += 1
            self.collector.emit([self.number], message_id=self.number)

class See(Bolt):
    def prepare(self, conf, context, collector):
        self.collector = collector
    def execute(self, tup):
        {does}
        self.collector.ack(tup)

builder = TopologyBuilder()
builder.set_spout("numbers", Numbers())
builder.set_bolt("see", See()).shuffle_grouping("numbers")
topology = builder.create_topology()
"""


@pytest.mark.parametrize(("does", "code"), [("pass", 0), ("raise ValueError('not this one')", 1)])
@pytest.mark.slow
def test_a_file_runs_in_this_process(tmp_path: Path, does: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / f"local_cli_{code}.py"
    file.write_text(FILE.format(does=does))
    with pytest.raises(SystemExit) as ended:
        main(["local", str(file), "--seconds", "1", "--every", "0.5"])
    captured = capsys.readouterr()
    assert ended.value.code == code
    assert "numbers" in captured.out
    assert ("ValueError: not this one" in captured.err) == bool(code)


def test_what_a_component_raises_does_nothing_to_the_terminal() -> None:
    (line,) = error_lines({"see": ["ValueError: \x1b[2J\n  two", "older"]})
    assert line.endswith(": ValueError: \\x1b[2J\n  two")
