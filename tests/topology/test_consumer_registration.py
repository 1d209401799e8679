from __future__ import annotations

from typing import Any

import pytest

from storm.errors import InvalidTopologyError
from storm.ids import GlobalStreamId
from storm.topology.builder import TopologyBuilder
from storm.topology.component import Bolt, Spout
from storm.topology.consumer_registration import (
    CONSUMER_KEY,
    Registration,
    is_consumer,
    with_consumers,
    without_consumers,
)
from storm.topology.parallelism import num_tasks


class Words(Spout):
    outputs = ["word"]


class Count(Bolt):
    pass


def topology() -> Any:
    builder = TopologyBuilder()
    builder.set_spout("words", Words())
    builder.set_bolt("count", Count()).shuffle_grouping("words")
    return builder.create_topology()


def registered(*entries: Any) -> Any:
    return with_consumers(topology(), {"topology.metrics.consumer.register": list(entries)})


def test_without_consumers_a_topology_stays_as_it_is() -> None:
    plain = topology()
    assert with_consumers(plain, {}) is plain
    assert with_consumers(plain, {"topology.metrics.consumer.register": []}) is plain


def test_each_consumer_is_a_bolt_that_hears_of_all_components() -> None:
    entry = {"class": "log", "argument": {"to": "me"}, "parallelism.hint": 2}
    found = registered(entry, {"class": "mine:Consumer"}, {"class": "log"})
    assert sorted(found.bolts) == ["__metrics_log", "__metrics_log#2", "__metrics_mine.Consumer", "count"]
    spec = found.bolts["__metrics_log"]
    assert set(spec.inputs) == {GlobalStreamId("words", "__metrics"), GlobalStreamId("count", "__metrics")}
    assert (spec.parallelism, num_tasks(spec, {}), spec.conf[CONSUMER_KEY]) == (2, 2, 0)
    assert found.bolts["__metrics_log#2"].conf[CONSUMER_KEY] == 2
    assert without_consumers(found) == topology()
    assert is_consumer("__metrics_log")
    assert not is_consumer("metrics")


def test_storms_settings_of_a_consumer() -> None:
    assert Registration.of(
        {
            "class": "org.apache.storm.metric.LoggingMetricsConsumer",
            "max.retain.metric.tuples": 7,
            "whitelist": ["^execute"],
            "blacklist": ["latency$"],
            "expandMapType": True,
            "metricNameSeparator": "/",
        }
    ) == Registration(
        "org.apache.storm.metric.LoggingMetricsConsumer", None, 1, 7, ("^execute",), ("latency$",), True, "/"
    )


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("log", "expected a mapping with class, argument and parallelism.hint, got 'log'"),
        ({}, "class must name a class, such as my_module.MyConsumer, log or http, got None"),
        ({"class": "a b"}, "got 'a b'"),
        ({"class": "/etc/passwd"}, "got '/etc/passwd'"),
        ({"class": "x" * 200}, "class must name a class"),
        ({"class": "log", "parallelism_hint": 1}, "'parallelism_hint' is none of class, argument, parallelism.hint"),
        ({"class": "log", "parallelism.hint": 0}, r"parallelism.hint must be 1\.\.100, got 0"),
        ({"class": "log", "parallelism.hint": True}, "got True"),
        ({"class": "log", "max.retain.metric.tuples": 1 << 30}, "max.retain.metric.tuples must be"),
        ({"class": "log", "whitelist": "a"}, "whitelist must be a list of regular expressions, got 'a'"),
        ({"class": "log", "blacklist": ["("]}, r"blacklist: '\(' is no regular expression"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said(entry: Any, why: str) -> None:
    with pytest.raises(InvalidTopologyError, match=f"^topology.metrics.consumer.register: .*{why}"):
        registered(entry)


def test_there_is_a_bound_to_their_number() -> None:
    with pytest.raises(InvalidTopologyError, match="21 consumers; 20 is the most"):
        registered(*[{"class": "log"}] * 21)
