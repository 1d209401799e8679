from __future__ import annotations

import pytest

from storm.config.settings import Settings
from storm.config.topology_conf import TopologyOptions, checked_conf, component_conf, effective_conf
from storm.errors import ConfigError


def test_a_topologys_conf_lies_over_the_clusters_defaults() -> None:
    settings = Settings.of({"topology.workers": 3, "topology.debug": True})
    conf = effective_conf(settings, {"topology.workers": 2, "word_count.text": "/a"})
    assert conf["topology.workers"] == 2
    assert conf["topology.debug"] is True
    assert conf["topology.max.spout.pending"] == 5000
    assert conf["word_count.text"] == "/a"
    assert "nimbus.seeds" not in conf


def test_known_keys_are_checked_and_others_are_the_users() -> None:
    checked, warnings = checked_conf({"my.key": {"a": [1]}, "topology.tick.tuple.freq.secs": 0.5})
    assert checked == {"my.key": {"a": [1]}, "topology.tick.tuple.freq.secs": 0.5}
    assert warnings == []
    with pytest.raises(
        ConfigError, match=r"topology.workers: expected integer 1..10000, got 0 \(from the topology's conf\)"
    ):
        checked_conf({"topology.workers": 0})
    with pytest.raises(ConfigError, match=r"my\.key: expected a value that JSON can hold"):
        checked_conf({"my.key": object()})
    with pytest.raises(ConfigError, match="1: expected text as a key"):
        checked_conf({1: 2})  # type: ignore[dict-item]


@pytest.mark.parametrize("name", ["", "A=B", "A\0", "\ud800"])
def test_a_variable_that_no_process_can_be_given_is_refused(name: str) -> None:
    assert checked_conf({"topology.environment": {"A_1": "x"}})[0] == {"topology.environment": {"A_1": "x"}}
    with pytest.raises(ConfigError, match=r"topology\.environment: expected the name of a variable, without '=' and"):
        checked_conf({"topology.environment": {name: "x"}})


def test_what_looks_like_a_mistake_is_warned_of() -> None:
    _, warnings = checked_conf({"topology.wokers": 2, "topology.kryo.register": []})
    assert "did you mean 'topology.workers'?" in warnings[0]
    assert "means nothing here" in warnings[1]


def test_a_component_may_set_few_of_storms_keys_and_all_of_its_own() -> None:
    conf = component_conf(
        {"topology.workers": 2, "topology.debug": False},
        {"topology.workers": 9, "topology.debug": True, "my.key": 1},
    )
    assert conf == {"topology.workers": 2, "topology.debug": True, "my.key": 1}


def test_options_are_typed() -> None:
    options = TopologyOptions.from_conf({"topology.workers": 3, "topology.tick.tuple.freq.secs": 1})
    assert options.workers == 3
    assert options.tick_tuple_freq_secs == 1
    assert options.max_spout_pending == 5000
    assert options.executor_lane == "auto"
    with pytest.raises(ConfigError, match=r"topology\.executor\.lane"):
        TopologyOptions.from_conf({"topology.executor.lane": "fast"})


@pytest.mark.parametrize(
    ("conf", "ackers"), [({}, 1), ({"topology.workers": 3}, 3), ({"topology.acker.executors": 0}, 0)]
)
def test_one_acker_a_worker_unless_asked_otherwise(conf: dict[str, int], ackers: int) -> None:
    assert TopologyOptions.from_conf(conf).ackers == ackers
