from __future__ import annotations

import pytest

from storm.config.options import OPTIONS
from storm.ui.pages.topology_settings import CLUSTER, DEFAULT, OWN, Setting, settings

TIMEOUT = "topology.message.timeout.secs"


@pytest.mark.parametrize(
    ("value", "cluster", "origin", "default"),
    [
        (30, 30, DEFAULT, ""),
        (60, 60, CLUSTER, "30"),
        (45, 60, OWN, "30"),
        (30, 60, DEFAULT, ""),
        (30.0, 60, DEFAULT, ""),
    ],
)
def test_a_setting_says_where_it_comes_from(value: object, cluster: object, origin: str, default: str) -> None:
    [found] = settings({TIMEOUT: value}, {TIMEOUT: cluster})
    assert (found.origin, found.default) == (origin, default)


def test_what_no_option_describes_is_the_topologys_own() -> None:
    assert settings({"my.key": [1, "ü"]}, {}) == [Setting("my.key", '[1, "ü"]', OWN)]


def test_true_is_not_one() -> None:
    [found] = settings({"topology.debug": 1}, {"topology.debug": True})
    assert found.origin == OWN


def test_its_own_are_first_and_all_are_by_key() -> None:
    conf = {key: option.default for key, option in OPTIONS.items() if key.startswith("topology.")}
    found = settings({**conf, "z.mine": 1, "a.mine": 2, TIMEOUT: 31}, conf)
    assert [one.key for one in found[:3]] == ["a.mine", TIMEOUT, "z.mine"]
    rest = [one.key for one in found[3:]]
    assert rest == sorted(rest)
    assert {one.origin for one in found[3:]} == {DEFAULT}


def test_values_stand_as_in_a_settings_file() -> None:
    conf = {"a": None, "b": True, "c": "text", "d": {"k": 1.5}, "e": "<script>"}
    assert [one.value for one in settings(conf, {})] == ["null", "true", "text", '{"k": 1.5}', "<script>"]
