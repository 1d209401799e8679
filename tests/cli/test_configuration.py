from __future__ import annotations

import json

import pytest

from storm.cli.configuration import value_of
from storm.cli.main import main
from storm.errors import ConfigError


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_a_value_or_the_nearest_key() -> None:
    assert value_of({"nimbus.seeds": ["a"]}, "nimbus.seeds") == ["a"]
    with pytest.raises(ConfigError, match=r"no key 'nimbus.seed': did you mean 'nimbus.seeds'\?"):
        value_of({"nimbus.seeds": ["a"]}, "nimbus.seed")


def test_localconfvalue_prints_the_value_with_its_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "localconfvalue", "-c", "nimbus.thrift.port=7000", "nimbus.thrift.port")[:2] == (
        0,
        "nimbus.thrift.port: 7000\n",
    )


def test_show_says_where_a_value_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    args = ("config", "show", "--origin", "--json", "-c", "nimbus.thrift.port=7000", "nimbus.thrift")
    code, out, _ = run(capsys, *args)
    assert code == 0
    shown = json.loads(out)["nimbus.thrift.port"]
    assert shown["value"] == 7000
    assert "-c" in shown["origin"]


def test_a_key_that_is_none_is_not_said_to_have_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["nimbus.seed.s"], ["nimbus.thrift", "nimbus.seed.s", "--json"]):
        code, out, err = run(capsys, "config", "show", *words)
        assert (code, out) == (1, "")
        assert "no key begins with 'nimbus.seed.s': did you mean 'nimbus.seeds'?" in err


def test_a_wrong_value_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "localconfvalue", "-c", "topology.workers=abc", "topology.workers")
    assert code == 1
    assert "topology.workers: expected integer" in err
    assert "Traceback" not in err
