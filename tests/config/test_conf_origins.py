from __future__ import annotations

from typing import Any

import pytest

from storm.config.conf_origins import KEY, NAMES, origins, rebalanced, submitted, with_command_line
from storm.config.settings import redacted

OWN = {"topology.workers": 2, "topology.debug": True, "mine": 1}
DEFAULTS = {"topology.workers": 1, "topology.message.timeout.secs": 30, "topology.max.spout.pending": None}
NIMBUS = dict.fromkeys(NAMES, "submission")


def at_nimbus(own: dict[str, Any]) -> dict[str, Any]:
    """As a Nimbus makes it whose storm.yaml has two of these keys, one of them as it is by default."""
    return submitted({**DEFAULTS, **own}, own, {"topology.workers", "topology.message.timeout.secs", "nimbus.seeds"})


def test_each_key_is_of_whoever_set_it() -> None:
    conf = at_nimbus(with_command_line(OWN, ["topology.debug"]))
    assert origins(conf) == {
        **NIMBUS,
        "topology.workers": "submission",
        "topology.debug": "-c",
        "mine": "submission",
        "topology.message.timeout.secs": "cluster",
    }
    assert {key: conf[key] for key in OWN} == OWN


def test_a_client_of_an_older_release_does_not_tell_of_its_command_line() -> None:
    found = origins(at_nimbus(OWN))
    assert found is not None
    assert [found[key] for key in OWN] == ["submission"] * 3


@pytest.mark.parametrize("told", [None, 1, [], {"-c": None}, {"-c": [1, ["x"]]}, {"-c": "mine"}, {"cluster": ["mine"]}])
def test_whatever_a_client_says_of_them_does_no_harm(told: Any) -> None:
    assert origins(at_nimbus({**OWN, KEY: told})) == origins(at_nimbus(OWN))


def test_a_client_tells_of_its_own_keys_only() -> None:
    found = origins(at_nimbus({**OWN, KEY: {"-c": ["topology.message.timeout.secs", "other"]}}))
    assert found == origins(at_nimbus(OWN))


def test_what_a_rebalance_sets_is_its_own_from_then_on() -> None:
    overrides = {"topology.workers": 4, "topology.message.timeout.secs": 30, "topology.max.spout.pending": 9}
    conf = rebalanced(at_nimbus(OWN), overrides)
    found = origins(conf)
    assert found is not None
    assert {key for key, who in found.items() if who == "rebalance"} == overrides.keys()
    assert (found["topology.debug"], conf["topology.workers"]) == ("submission", 4)
    assert rebalanced(conf, overrides) == conf  # the next leader may do it once more
    assert origins(rebalanced(conf, {"mine": 2})) == {**found, "mine": "rebalance"}


def test_a_key_that_the_conf_lost_is_set_by_the_rebalance() -> None:
    """A stored conf may be damaged, or of another release, and the leader goes on."""
    conf = at_nimbus(OWN)
    del conf["mine"]
    found = origins(rebalanced(conf, {"mine": 2}))
    assert found is not None
    assert found["mine"] == "rebalance"


def test_of_an_older_release_nothing_is_known_also_after_a_rebalance() -> None:
    for conf in (OWN, with_command_line(OWN, ["mine"])):
        assert origins(conf) is None
        assert origins(rebalanced(conf, {"mine": 2})) is None
    assert rebalanced(OWN, {"mine": 2}) == {**OWN, "mine": 2}


def test_names_of_secrets_are_told_and_their_values_are_not() -> None:
    shown = redacted(at_nimbus({"my.password": "open sesame"}))
    assert "open sesame" not in str(shown)
    assert origins(shown) == origins(at_nimbus({"my.password": ""}))
