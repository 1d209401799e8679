from __future__ import annotations

import pytest

from storm.cli.logs import LogSource
from storm.cli.main import main
from storm.cli.profile import chosen
from storm.errors import StormError

ONE, TWO = LogSource("w-1-2", "a", 6700, 6628), LogSource("w-1-2", "b", 6701, 6628)


def test_a_worker_is_chosen_by_its_address() -> None:
    assert chosen([ONE, TWO], None) == ONE
    assert chosen([ONE, TWO], "b:6701") == TWO
    with pytest.raises(StormError, match="those that do are on a:6700, b:6701"):
        chosen([ONE, TWO], "c:6700")


@pytest.mark.parametrize("words", [["-o", "profile.exe"], ["--seconds", "0"], ["--seconds", "301"]])
def test_what_makes_no_sense_is_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["profile", "words", "split", *words])
    assert ended.value.code == 2
    assert words[0].lstrip("-")[0] in capsys.readouterr().err
