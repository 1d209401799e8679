from __future__ import annotations

import json

import pytest

from storm.cli.main import main
from storm.cli.profile import chosen, stopped, tell
from storm.cli.worker_files import LogSource
from storm.errors import StormError, ThriftConnectionError

ONE, TWO = LogSource("w-1-2", "a", 6700, 6628), LogSource("w-1-2", "b", 6701, 6628)


def test_a_worker_is_chosen_by_its_address() -> None:
    assert chosen([ONE, TWO], None) == ONE
    assert chosen([ONE, TWO], "b:6701") == TWO
    assert chosen([ONE._replace(supervisor_port=None), TWO], None) == TWO
    with pytest.raises(StormError, match="those that do are on a:6700, b:6701"):
        chosen([ONE, TWO], "c:6700")


def asked(source: LogSource) -> str:
    if source == ONE:
        raise ThriftConnectionError("a:6628: nothing listens\x1b[2J there")
    return "Thread 1"


@pytest.mark.parametrize("as_json", [False, True])
def test_who_does_not_answer_hides_nobody_else(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell([TWO, ONE, TWO], None, asked, as_json) == 1
    told = capsys.readouterr()
    assert told.err == "a:6700: a:6628: nothing listens\\x1b[2J there\n"
    if as_json:
        assert json.loads(told.out) == {"b:6701": "Thread 1"}
    else:
        assert told.out == "b:6701\nThread 1\n" * 2
    assert tell([ONE, TWO], "b:6701", asked, as_json) == 0


def test_who_interrupts_a_profile_is_told_what_became_of_it() -> None:
    assert stopped(TWO, asked).endswith("beside the log of the worker on b:6701: Thread 1")
    assert "a:6700 is still looked at is not known: a:6628: nothing listens" in stopped(ONE, asked)


@pytest.mark.parametrize("words", [["-o", "profile.exe"], ["--seconds", "0"], ["--seconds", "301"]])
def test_what_makes_no_sense_is_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["profile", "words", "split", *words])
    assert ended.value.code == 2
    assert words[0].lstrip("-")[0] in capsys.readouterr().err
