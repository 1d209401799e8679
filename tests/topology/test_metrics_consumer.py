from __future__ import annotations

from typing import Any

import pytest

from storm import MetricsConsumer, metrics_consumer
from storm.errors import InvalidTopologyError
from storm.metrics.data_points import DataPoint, TaskInfo

INFO = TaskInfo("host", 6700, "count", 4, 1_700_000_000, 60)


class Keeps(MetricsConsumer):
    def __init__(self) -> None:
        self.kept: list[Any] = []

    def handle_data_points(self, task_info: Any, data_points: Any) -> None:
        self.kept.append((task_info, data_points))


def test_an_entry_of_a_class() -> None:
    assert metrics_consumer(Keeps, {"to": "me"}, parallelism=2, kept=5) == {
        "class": f"{Keeps.__module__}.Keeps",
        "argument": {"to": "me"},
        "parallelism.hint": 2,
        "max.retain.metric.tuples": 5,
    }
    assert metrics_consumer("log")["class"] == "log"


def test_which_points_it_gets_is_said_by_storms_names() -> None:
    found = metrics_consumer("log", expandMapType=True, whitelist=["^__"], blacklist=["GC"], metricNameSeparator="/")
    assert {key: found[key] for key in ("expandMapType", "whitelist", "blacklist", "metricNameSeparator")} == {
        "expandMapType": True, "whitelist": ["^__"], "blacklist": ["GC"], "metricNameSeparator": "/",
    }  # fmt: skip
    with pytest.raises(InvalidTopologyError, match=r"whitelist: '.*' is no regular expression"):
        metrics_consumer("log", whitelist=["("])
    with pytest.raises(InvalidTopologyError, match="'expand' is none of class, argument"):
        metrics_consumer("log", expand=True)  # type: ignore[call-arg]


def test_a_class_that_workers_cannot_import_is_refused() -> None:
    class Local(Keeps):
        pass

    with pytest.raises(InvalidTopologyError, match=r"workers cannot import .*Local: define the class at the top level"):
        metrics_consumer(Local)


def test_reports_are_handled_one_by_one_unless_the_consumer_says_otherwise() -> None:
    keeps = Keeps()
    points = [DataPoint("lines", 1)]
    keeps.handle_all([(INFO, points), (INFO, [])])
    assert keeps.kept == [(INFO, points), (INFO, [])]
