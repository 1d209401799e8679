from __future__ import annotations

import click
import pytest

from storm.cli.output import Steps, Toned, duration, narrow_table, plural, printable, size, table


def test_a_table_has_columns_of_one_width_and_numbers_to_the_right() -> None:
    shown = table(["name", "count"], [["words", 12_345], ["a-long-name", 7]])
    assert shown.splitlines() == ["name          count", "words        12,345", "a-long-name       7"]


def test_colours_take_no_room() -> None:
    rows = [["words", Toned(12_345, "red")], [Toned("a-long-name", "yellow"), Toned(None, None)]]
    shown = table(["name", "count"], rows)
    assert click.unstyle(shown).splitlines() == ["name          count", "words        12,345", "a-long-name       -"]
    assert click.style("12,345", fg="red") in shown


def test_where_there_is_little_room_columns_are_left_out() -> None:
    head, rows = ["name", "kind", "count"], [["words", "spout", Toned(12_345, "red")]]
    whole = table(head, rows)
    assert narrow_table(head, rows, None, ["kind"]) == whole
    assert narrow_table(head, rows, 20, ["kind"]) == whole
    assert click.unstyle(narrow_table(head, rows, 19, ["nothing", "kind"])).splitlines() == [
        "name    count",
        "words  12,345",
    ]
    assert click.unstyle(narrow_table(head, rows, 1, ["kind"])).splitlines()[0] == "name    count"


def test_one_has_no_plural() -> None:
    assert [plural(count, "file") for count in (0, 1, 2_000)] == ["0 files", "1 file", "2,000 files"]


def test_what_is_not_known_is_a_dash() -> None:
    assert table(["a", "b"], [[None, 0.5]]).splitlines()[1] == "-  0.500"


@pytest.mark.parametrize(
    ("secs", "text"), [(0, "0 s"), (59.9, "59 s"), (61, "1 m 1 s"), (3_600, "1 h 0 m"), (200_000, "2 d 7 h")]
)
def test_durations(secs: float, text: str) -> None:
    assert duration(secs) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(12, "12 B"), (1_234, "1.2 kB"), (5_000_000, "5.0 MB"), (2e9, "2.0 GB")]
)
def test_sizes(size_bytes: float, text: str) -> None:
    assert size(size_bytes) == text


class StepClock:
    def __init__(self) -> None:
        self.secs = 0.0

    def now(self) -> float:
        self.secs += 0.5
        return self.secs

    def wall_secs(self) -> int:
        return 0

    def process_secs(self) -> float:
        return 0.0

    def queued_secs(self) -> float:
        return 0.0

    def sleep(self, secs: float) -> None:
        self.secs += secs


def test_steps_are_numbered_and_timed(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps(2, StepClock())
    steps.start("packing")
    steps.progress(1, 2)
    steps.done("3 files")
    steps.start("sending")
    steps.failed()
    assert capsys.readouterr().out.splitlines() == ["[1/2] packing: 3 files  0.5 s", "[2/2] sending: failed"]


def test_quiet_steps_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps(1, StepClock(), quiet=True)
    steps.start("packing")
    steps.done()
    assert capsys.readouterr().out == ""


def test_what_a_terminal_would_obey_is_shown_instead() -> None:
    told = "a\x1b[2Jb\x07\r\x9bc\u202ed\x7f\tx\ny \u00e9\u4e2d"
    assert printable(told) == r"a\x1b[2Jb\x07\r\x9bc\u202ed\x7f\tx\ny " + "\u00e9\u4e2d"
    assert printable(told, lines=True) == r"a\x1b[2Jb\x07\r\x9bc\u202ed\x7f" + "\tx\ny \u00e9\u4e2d"


def test_colours_of_users_stay_where_they_may_and_end_with_their_text() -> None:
    assert printable("\x1b[31;1mred\x1b[2J", colours=True) == "\x1b[31;1mred" + r"\x1b[2J" + "\x1b[0m"
    assert printable("plain", colours=True) == "plain"
    assert printable("\x1b[31mred") == r"\x1b[31mred"
