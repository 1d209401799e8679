from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import click
import pytest

from storm.cli.local import new_error_lines
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


ERROR = "ValueError('not this one')"


@pytest.mark.parametrize(
    ("does", "code", "told"),
    [("pass", 0, False), (f"self.collector.report_error({ERROR})", 0, True), (f"raise {ERROR}", 1, True)],
)
@pytest.mark.slow
def test_a_file_runs_in_this_process(
    tmp_path: Path, does: str, code: int, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"local_cli_{code}_{told}.py"
    file.write_text(FILE.format(does=does))
    with pytest.raises(SystemExit) as ended:
        main(["local", str(file), "--seconds", "2", "--every", "0.5"])
    captured = capsys.readouterr()
    assert ended.value.code == code, captured.err
    assert "numbers" in captured.out
    assert captured.out.count("after ") >= 2, "it goes on"
    assert ("ValueError: not this one" in captured.err) == told


PROJECT = {
    "src/local_shop/__init__.py": "",
    "src/local_shop/late.py": "NAME = 'late'",
    "src/local_shop/flow.py": """
import logging
from storm import Spout, TopologyBuilder

log = logging.getLogger("shop.orders")

class Tells(Spout):
    outputs = ["x"]
    def open(self, conf, context, collector):
        from local_shop import late
        log.info("opened %s in %s \\x1b[2J", late.NAME, context.code_dir)
        logging.getLogger("storm.nimbus").info("how it goes on")
    def next_tuple(self): ...

builder = TopologyBuilder()
builder.set_spout("tells", Tells())
topology = builder.create_topology()
""",
    "pyproject.toml": "[tool.storm]\ntopology = 'src/local_shop/flow.py'\n",
}


@pytest.mark.slow
def test_what_a_project_with_a_src_directory_logs_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = logging.getLogger().level, logging.getLogger("storm").level, list(logging.getLogger().handlers)
    with pytest.raises(SystemExit) as ended:
        main(["local", str(tmp_path), "--seconds", "1", "--every", "0.2"])
    captured = capsys.readouterr()
    assert ended.value.code == 0, captured.err
    assert "INFO    shop.orders: opened late in None \\x1b[2J" in captured.err
    assert "how it goes on" not in captured.err
    assert (
        logging.getLogger().level, logging.getLogger("storm").level, list(logging.getLogger().handlers)
    ) == before  # fmt: skip
    for name in [name for name in sys.modules if name.partition(".")[0] == "local_shop"]:
        del sys.modules[name]


def test_each_error_is_told_once() -> None:
    told = new_error_lines({"see": ["c", "b", "a"], "__system": ["d"]}, {"see": ["b", "a"]})
    assert [click.unstyle(line) for line in told] == ["see: c", "__system: d"]
    assert [click.unstyle(line) for line in new_error_lines({"see": ["b", "a"]}, {})] == ["see: a", "see: b"]


def test_what_a_component_raises_does_nothing_to_the_terminal() -> None:
    (line,) = new_error_lines({"see": ["ValueError: \x1b[2J\n  two"]}, {})
    assert line.endswith(": ValueError: \\x1b[2J\n  two")
