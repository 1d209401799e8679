from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from storm.http.problems import Problem
from storm.ui.rest import requests
from storm.ui.rest.requests import Level, Rebalance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def refusal(read: Callable[[Any], Any], value: Any) -> str:
    with pytest.raises(Problem) as refused:
        read(value)
    assert refused.value.status == 400
    assert len(refused.value.sentence) < 400
    return refused.value.sentence


def test_windows_are_storms_and_all_time_without_one() -> None:
    assert requests.window({}) == ":all-time"
    assert requests.window({"window": "10800"}) == "10800"
    for wrong in ("", "601", "all-time", "600 ", "x" * 9_999):
        assert "600, 10800, 86400, :all-time" in refusal(requests.window, {"window": wrong})


def test_sys_is_true_or_false() -> None:
    assert [requests.include_system({"sys": text}) for text in ("true", "1", "TRUE", "false", "0", "")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
    assert requests.include_system({}) is False
    assert "true or false" in refusal(requests.include_system, {"sys": "yes"})


def test_a_text_to_look_for_is_taken_as_it_is_and_bounded_in_bytes() -> None:
    assert requests.search_text({"text": " a b "}) == " a b "
    assert [requests.search_text(query) for query in ({}, {"text": ""}, {"text": " \t"})] == [""] * 3
    assert requests.search_text({"text": "é" * 512}) == "é" * 512
    assert "1,024 bytes" in refusal(requests.search_text, {"text": "é" * 513})


@pytest.mark.parametrize("text", ["-1", "1.5", "", "x", "٣", "2147483648", "9" * 400, " 1"])
def test_a_wait_is_a_number_of_seconds(text: str) -> None:
    assert (requests.wait_secs("0"), requests.wait_secs("30")) == (0, 30)
    assert "whole number of at least 0" in refusal(requests.wait_secs, text)


@pytest.mark.parametrize("text", ["-0.1", "100.5", "nan", "inf", "", "x"])
def test_a_share_is_in_percent(text: str) -> None:
    assert [requests.percent(one) for one in ("0", "2.5", "100")] == [0, 2.5, 100]
    assert "from 0 to 100" in refusal(requests.percent, text)


def test_an_action_is_enable_or_disable() -> None:
    assert (requests.is_enabled("enable"), requests.is_enabled("disable")) == (True, False)
    assert "enable or disable" in refusal(requests.is_enabled, "on")


def test_profiling_takes_a_minute_at_least() -> None:
    assert requests.minutes("10") == 10
    assert "at least 1" in refusal(requests.minutes, "0")


def test_a_rebalance_may_say_nothing_or_how_many() -> None:
    assert requests.rebalance(b"") == requests.rebalance(b" {} ") == Rebalance()
    assert requests.rebalance(b'{"rebalanceOptions": {}}') == Rebalance()
    whole = {"rebalanceOptions": {"numWorkers": 2, "executors": {"split": "4", "count": 3}}}
    assert requests.rebalance(json.dumps(whole).encode()) == Rebalance(2, {"split": 4, "count": 3})


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"[]",
        b"null",
        b'{"rebalanceOptions": 1}',
        b'{"rebalanceOptions": {"numWorkers": 0}}',
        b'{"rebalanceOptions": {"numWorkers": 1.5}}',
        b'{"rebalanceOptions": {"numWorkers": true}}',
        b'{"rebalanceOptions": {"executors": ["split"]}}',
        b'{"rebalanceOptions": {"executors": {"split": -1}}}',
        b'{"rebalanceOptions": {"numWorkers": 1' + b"0" * 400 + b"}}",
        b"\xff\xfe",
        b"[" * 100_000,
        b"1" * 100_000,
        b'{"rebalanceOptions": {"numWorkers": NaN}}',
    ],
)
def test_a_rebalance_that_makes_no_sense_is_refused(body: bytes) -> None:
    assert refusal(requests.rebalance, body)


def test_levels_keep_their_names() -> None:
    body = {
        "namedLoggerLevels": {
            "ROOT": {"target_level": "WARN", "reset_level": "trace", "timeout": 60},
            "my.code": {"target_level": "debug", "timeout": "5"},
            "old": {"target_level": None},
            "for.good": {"target_level": "INFO", "timeout": None},
        }
    }
    assert requests.log_levels(json.dumps(body).encode()) == {
        "ROOT": Level("WARN", 60, "TRACE"),
        "my.code": Level("DEBUG", 5),
        "old": Level(None),
        "for.good": Level("INFO"),
    }


@pytest.mark.parametrize(
    "named", [None, {}, [], {"x": 1}, {"x": {"target_level": "LOUD"}}, {"x": {"target_level": 1}},
              {"x": {"target_level": "INFO", "timeout": -1}}, {"x": {"target_level": "INFO", "reset_level": "x"}}]
)  # fmt: skip
def test_levels_that_are_none_are_refused(named: Any) -> None:
    assert refusal(requests.log_levels, json.dumps({"namedLoggerLevels": named}).encode())
    assert refusal(requests.log_levels, b"")


def test_levels_of_too_many_loggers_and_of_what_is_none_are_refused_and_any_can_be_taken_back() -> None:
    def body(names: Iterable[str], level: str | None = "INFO") -> bytes:
        return json.dumps({"namedLoggerLevels": {name: {"target_level": level} for name in names}}).encode()

    names = [f"app.{i}" for i in range(101)]
    assert len(requests.log_levels(body(names[:100]))) == 100
    assert refusal(requests.log_levels, body(names)) == "At most 100 loggers of a topology have a level, not 101."
    for name in ("x" * 257, "a\x1b[31m", "a\nb"):
        assert "256 printable characters" in refusal(requests.log_levels, body([name]))
        assert requests.log_levels(body([name], None)) == {name: Level(None)}
