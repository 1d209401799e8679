from __future__ import annotations

import pytest

from storm.config import conf_origins
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


def test_where_it_comes_from_is_told_also_where_values_are_equal() -> None:
    own = {TIMEOUT: 30, "topology.debug": False, "mine": 1}
    submitted = conf_origins.submitted(
        {**own, "topology.workers": 1, "topology.version": None},
        conf_origins.with_command_line(own, ["topology.debug"]),
        {TIMEOUT, "topology.workers"},
    )
    conf = conf_origins.rebalanced(submitted, {"topology.version": "7"})
    found = {one.key: (one.origin, one.by, one.default) for one in settings(conf, {TIMEOUT: 30})}
    assert found == {
        TIMEOUT: (OWN, "", "30"),
        "topology.debug": (OWN, "-c", "false"),
        "mine": (OWN, "", ""),
        "topology.workers": (CLUSTER, "", "1"),
        "topology.version": (OWN, "rebalance", ""),
    }


def test_what_nobody_set_is_the_default_whatever_its_value() -> None:
    conf = conf_origins.submitted({"topology.acker.executors": 2}, {}, ())  # Nimbus writes the default out
    [found] = settings(conf, {"topology.acker.executors": 2})
    assert (found.origin, found.value) == (DEFAULT, "2")


def test_what_an_older_nimbus_kept_of_them_is_not_shown() -> None:
    conf = conf_origins.with_command_line({TIMEOUT: 30}, [TIMEOUT])
    assert settings(conf, {TIMEOUT: 30}) == [Setting(TIMEOUT, "30", DEFAULT)]


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
