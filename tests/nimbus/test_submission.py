from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from storm.cluster.records import DebugOptions, RebalanceRequest, TopologyStatus
from storm.errors import InvalidTopologyError
from storm.nimbus.submission import (
    Submission,
    TopologyLimits,
    checked_name,
    checked_rebalance,
    initial_base,
    new_topology_id,
    parsed_conf,
    prepared,
    unknown,
)

NO_LIMITS = TopologyLimits()


@pytest.fixture
def submission(cluster: Any) -> Submission:
    base = initial_base("wc-1-100", "wc", "me", 100, active=True)
    return prepared(base, {"topology.workers": 3, "own": 1}, cluster.word_count(counts=2, count_tasks=4), NO_LIMITS)


def test_an_id_has_storms_form() -> None:
    assert new_topology_id("wc", 3, 1700000000) == "wc-3-1700000000"


@pytest.mark.parametrize("name", ["wc", "word count", "wörter_2-b"])
def test_these_names_are_fine(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", " ", "a ", "a/b", "a.b", "a:b", "a\\b", "a\x00b", "a\x7f", "a*", "x" * 129])
def test_these_names_are_not(name: str) -> None:
    with pytest.raises(InvalidTopologyError, match="name"):
        checked_name(name)


@pytest.mark.parametrize("text", ["", "{}", '{"a": [1, {"b": null}]}'])
def test_a_conf_is_a_json_object(text: str) -> None:
    assert isinstance(parsed_conf(text), dict)


@pytest.mark.parametrize("text", ["[]", "1", "{", '{"a": Infinity}', "null", "{" * 200_000, " " * (1 << 20) + "{}"])
def test_what_is_no_json_object_is_no_conf(text: str) -> None:
    with pytest.raises(InvalidTopologyError, match="conf"):
        parsed_conf(text)


def test_counts_of_tasks_executors_and_ackers_are_settled(submission: Submission) -> None:
    base, plan = submission.base, submission.plan
    assert base.component_executors == {"__acker": 3, "count": 2, "words": 2}
    assert (base.num_workers, base.status, base.owner) == (3, TopologyStatus.ACTIVE, "me")
    assert plan.conf["topology.acker.executors"] == 3
    assert (plan.conf["topology.name"], plan.conf["storm.id"], plan.conf["own"]) == ("wc", "wc-1-100", 1)
    assert {component: len(tasks) for component, tasks in plan.component_tasks.items()} == {
        "__acker": 3,
        "count": 4,
        "words": 2,
    }
    assert plan.topology.bolts["count"].conf["topology.tasks"] == 4


def test_limits_name_their_keys(cluster: Any) -> None:
    base = initial_base("wc-1-100", "wc", "", 100, active=True)
    for limits, key in ((TopologyLimits(workers_max=1), "slots"), (TopologyLimits(executors_max=4), "executors")):
        with pytest.raises(InvalidTopologyError, match=rf"nimbus\.{key}\.perTopology"):
            prepared(base, {"topology.workers": 2}, cluster.word_count(), limits)


def test_executors_never_exceed_tasks_at_a_rebalance(submission: Submission) -> None:
    wanted = RebalanceRequest(component_executors={"count": 4, "__acker": 1})
    assert checked_rebalance(wanted, submission.base, submission.plan, NO_LIMITS) == wanted
    with pytest.raises(InvalidTopologyError, match="'count' can have 1 to 4 executors, not 5"):
        checked_rebalance(
            RebalanceRequest(component_executors={"count": 5}), submission.base, submission.plan, NO_LIMITS
        )


def test_an_override_of_the_workers_is_a_number_of_workers(submission: Submission) -> None:
    request = RebalanceRequest(conf_overrides={"topology.workers": 7})
    assert checked_rebalance(request, submission.base, submission.plan, NO_LIMITS).num_workers == 7


def test_an_unknown_name_is_answered_with_what_there_is() -> None:
    assert unknown("topology", "wcc", ["wc", "other"]) == ("No topology 'wcc'. Did you mean 'wc'? There is: other, wc.")
    assert unknown("topology", "wc", []) == "No topology 'wc'. There is no topology at all."
    assert unknown("topology", "x", map(str, range(30))).endswith("....")


def test_metrics_consumers_are_stored_with_the_topology_and_stay_for_life(cluster: Any) -> None:
    base = initial_base("wc-1-100", "wc", "me", 100, active=True)
    register = {"topology.metrics.consumer.register": [{"class": "log", "parallelism.hint": 2}]}
    conf = {"topology.workers": 1, **register}
    found = prepared(base, conf, cluster.word_count(), NO_LIMITS)
    assert found.base.component_executors["__metrics_log"] == 2
    assert list(found.plan.component_tasks) == ["__acker", "__metrics_log", "count", "words"]
    assert "__metrics_log" in found.plan.topology.bolts
    with pytest.raises(InvalidTopologyError, match=r"topology\.metrics.consumer.register cannot change"):
        checked_rebalance(RebalanceRequest(conf_overrides=register), found.base, found.plan, NO_LIMITS)


def test_a_consumer_that_cannot_be_is_refused(cluster: Any) -> None:
    base = initial_base("wc-1-100", "wc", "me", 100, active=True)
    with pytest.raises(InvalidTopologyError, match=r"topology\.metrics.consumer.register: class must name a class"):
        prepared(base, {"topology.metrics.consumer.register": [{"argument": 1}]}, cluster.word_count(), NO_LIMITS)


def test_what_is_to_be_debugged_is_sampled_from_the_start(cluster: Any) -> None:
    base = initial_base("wc-1-100", "wc", "me", 100, active=True)
    topology = cluster.word_count()
    conf = {"topology.workers": 1}
    assert prepared(base, conf, topology, NO_LIMITS).base.component_debug == {}
    all_tuples, none = DebugOptions(True, 100.0), DebugOptions(False, 100.0)
    debugged = prepared(base, {**conf, "topology.debug": True}, topology, NO_LIMITS)
    assert debugged.base.component_debug == {"wc-1-100": all_tuples}
    for is_on, options in ((True, all_tuples), (False, none)):
        count = replace(topology.bolts["count"], conf={"topology.debug": is_on})
        found = prepared(base, conf, replace(topology, bolts={"count": count}), NO_LIMITS)
        assert found.base.component_debug == {"count": options}
