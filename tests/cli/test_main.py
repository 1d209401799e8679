from __future__ import annotations

import click
import pytest

from storm.cli.main import COMMANDS, ENTRIES, main
from storm.cli.main import run as run_command
from storm.errors import StormError


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(name in out for name in ENTRIES)
    assert all(section in out for section in COMMANDS)


@pytest.mark.parametrize("name", list(ENTRIES))
def test_every_command_can_be_imported_and_says_what_it_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert out.startswith(f"Usage: storm {name}")


def test_an_unknown_command_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "sumbit")
    assert code == 2
    assert "Did you mean 'submit'?" in err


def test_underscores_do_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "get_errors", "--help")
    assert (code, "last errors" in out) == (0, True)


def test_what_an_error_tells_does_nothing_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def fails() -> None:
        raise StormError("the end of its log:\n  \x1b[2J")

    with pytest.raises(SystemExit) as ended:
        run_command(fails, "storm", [])
    assert (ended.value.code, click.unstyle(capsys.readouterr().err)) == (1, "error: the end of its log:\n  \\x1b[2J\n")


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [(StormError("no leading Nimbus"), "error: no leading Nimbus", 1), (KeyboardInterrupt(), "interrupted", 130)],
)
def test_notes_of_an_error_are_told_too(
    error: BaseException, said: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def fails() -> None:
        error.add_note("words may run")
        raise error

    with pytest.raises(SystemExit) as ended:
        run_command(fails, "fails", [])
    assert (ended.value.code, capsys.readouterr().err.strip()) == (code, f"{said}\nwords may run")
