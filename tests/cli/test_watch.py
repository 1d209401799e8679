from __future__ import annotations

import io
import json
import re
import signal
from typing import TYPE_CHECKING, Any

import click
import pytest

from storm.cli.watch import RATE_SECS, Look, Screen, Watching, cut, frame, heading, recent, watch
from storm.errors import NimbusUnreachableError, StormError, TopologyNotAliveError
from storm.testing.simulated_clock import SimulatedClock

if TYPE_CHECKING:
    from collections.abc import Sequence


class Source:
    """Answers in turn; what is an error is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def ask(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def run(*answers: Any, count: int | None = None, as_json: bool = False) -> None:
    def draw(looks: Sequence[Look], width: int | None) -> str:
        assert width is None
        return f"seen {' '.join(str(look.seen) for look in looks)}"

    watching = Watching(Source(*answers).ask, draw, lambda looks: looks[-1].seen)
    watch(watching, SimulatedClock(), 2.0, count, as_json)


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in click.unstyle(capsys.readouterr().out).splitlines() if line]


def test_where_no_terminal_is_looks_follow_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    run(1, 2, 3, count=3)
    out = capsys.readouterr().out
    lines = [line for line in click.unstyle(out).splitlines() if line]
    assert lines[1::2] == ["seen 1", "seen 1 2", "seen 1 2 3"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", line) for line in lines[::2])
    assert "\x1b[?1049h" not in out
    assert "\x1b[H" not in out


def test_ctrl_c_ends_it_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(1, KeyboardInterrupt())
    assert shown(capsys)[1:] == ["seen 1"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_nimbus_that_is_silent_is_told_over_what_it_said_last_and_comes_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone = NimbusUnreachableError("no Nimbus\nanswers")
    run(1, gone, gone, 2, count=4)
    _, seen, first, why, again, second, *_, last = shown(capsys)
    assert seen == again == "seen 1"
    assert re.fullmatch(r"Nimbus has not answered since .*, for 2 s; below is what it said last", first)
    assert why == "no Nimbus answers"
    assert ", for 4 s;" in second
    assert last == "seen 1 2"


@pytest.mark.parametrize("answers", [(NimbusUnreachableError("no"),), (1, TopologyNotAliveError("gone"))])
def test_what_does_not_pass_by_itself_ends_it(answers: tuple[Any, ...]) -> None:
    with pytest.raises(StormError):
        run(*answers)


def test_as_json_a_line_for_each_look(capsys: pytest.CaptureFixture[str]) -> None:
    run({"a": 1}, NimbusUnreachableError("no"), count=2, as_json=True)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["seen"] == second["seen"] == {"a": 1}
    assert (second["time_secs"] - second["silent_since_secs"], second["why"]) == (2, "no")


def test_looks_are_kept_for_as_long_as_rates_are_made_of() -> None:
    looks: list[Look] = []
    for at in range(100):
        looks = recent([*looks, Look(float(at), at)])
        assert looks[-1].at == at
        assert looks[-1].at - looks[0].at == min(at, RATE_SECS)
    assert [look.at for look in recent([Look(0.0, 0), Look(60.0, 1)])] == [0.0, 60.0]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def as_stdout(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """To be called by the test itself: pytest sets standard output anew before each."""
    found = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", found)
    return found


def test_a_terminal_is_drawn_over_and_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = as_stdout(monkeypatch)
    with Screen(is_live=True, size=lambda: (10, 3)) as screen:
        assert screen.width() == 10
        screen.show("one")
        screen.show("two\n" * 5)
    drawn, left = terminal.getvalue().split("\x1b[?25h\x1b[?1049l")
    assert drawn.startswith("\x1b[?1049h\x1b[?25l\x1b[Hone")
    assert drawn.count("\x1b[H") == 2
    assert left == "two\n" * 5 + "\n"


def test_it_is_left_so_by_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = as_stdout(monkeypatch)
    watching = Watching(
        Source(1, TopologyNotAliveError("gone")).ask, lambda looks, width: f"{width}", lambda looks: None
    )
    with pytest.raises(TopologyNotAliveError):
        watch(watching, SimulatedClock(), 2.0, None, False)
    assert "Ctrl-C ends it" in terminal.getvalue()
    assert "\x1b[?1049l" in terminal.getvalue()


def test_nothing_is_taken_from_a_terminal_where_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = as_stdout(monkeypatch)
    with Screen(is_live=True):
        pass
    assert terminal.getvalue() == ""


def test_a_frame_fits_the_window() -> None:
    assert frame("ab\nc", 80, 24) == "\x1b[Hab\x1b[K\nc\x1b[K\x1b[J"
    drawn = click.unstyle(frame("\n".join("abcdefgh"), 60, 3))
    assert re.sub(r"\x1b\[[HKJ]", "", drawn).splitlines() == ["a", "b", "... 6 more lines: the window is too small"]
    assert frame("x\n" * 3, 80, 3).count("x") == 3


def test_styles_take_no_room() -> None:
    red = click.style("failed", fg="red")
    assert cut(f"ab{red}cd", 4) == f"ab{click.style('fa', fg='red')}"
    assert cut("abc", 3) == "abc"
    assert cut(f"{red}x", 6) == red


def test_the_heading_says_how_it_ends_on_a_terminal_only() -> None:
    assert "every 2 s, Ctrl-C ends it" in heading(0, 2.0, None, True)
    assert "Ctrl-C" not in heading(0, 2.0, None, False)
