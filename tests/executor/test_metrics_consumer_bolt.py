from __future__ import annotations

import threading
from typing import Any

import pytest

from storm import MetricsConsumer
from storm.errors import StormError
from storm.executor.metrics_consumer_bolt import MetricsConsumerBolt, load_consumer
from storm.executor.metrics_consumers import HttpConsumer, LogConsumer
from storm.metrics.data_points import DataPoint, TaskInfo
from storm.topology.consumer_registration import CONSUMER_KEY, REGISTER_KEY
from storm.tuples import Origin, Tuple

WAIT_SECS = 10.0
SYSTEM = Origin("__system", "__metrics", -1, ("task-info", "data-points"))
INFO = ["host", 6700, "count", 4, 1_700_000_000, 60]
POINTS = [["lines", 7], ["__execute-count", {"words:default": 3}], ["__ack-count", {"words:default": 2}]]


class Seen:
    """What the consumers of a test have done; `go` lets them go on."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.changed = threading.Condition()
        self.go = threading.Event()

    def note(self, what: Any) -> None:
        with self.changed:
            self.calls.append(what)
            self.changed.notify_all()

    def wait(self, number: int) -> list[Any]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.calls) >= number, WAIT_SECS)
            return list(self.calls)


seen = Seen()


class Notes(MetricsConsumer):
    def prepare(self, conf: Any, argument: Any, context: Any) -> None:
        seen.note(("prepare", argument))

    def handle_data_points(self, task_info: Any, data_points: Any) -> None:
        seen.note((task_info, data_points))
        if task_info.task_id == 13:
            raise ValueError("thirteen")
        if task_info.task_id == 14:
            raise SystemExit("fourteen")

    def cleanup(self) -> None:
        seen.note("cleanup")


class Waits(Notes):
    def handle_data_points(self, task_info: Any, data_points: Any) -> None:
        seen.note(task_info.task_id)
        assert seen.go.wait(WAIT_SECS)


class Context:
    task_id = 9
    topology_id = "wc-1-0"


class Collector:
    def __init__(self) -> None:
        self.acked: list[Any] = []
        self.errors: list[BaseException] = []
        self.reported = threading.Event()

    def ack(self, tup: Any) -> None:
        self.acked.append(tup)

    def report_error(self, error: BaseException) -> None:
        self.errors.append(error)
        self.reported.set()


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "seen", Seen())


def bolt(consumer: type[Notes] | str, **more: Any) -> tuple[MetricsConsumerBolt, Collector]:
    made, collector = MetricsConsumerBolt(), Collector()
    name = consumer if isinstance(consumer, str) else f"{__name__}:{consumer.__name__}"
    entries = [{"class": "log"}, {"class": name, **more}]
    made.prepare({REGISTER_KEY: entries, CONSUMER_KEY: 1}, Context(), collector)  # type: ignore[arg-type]
    return made, collector


def report(task: int = 4) -> Tuple:
    return Tuple(([*INFO[:3], task, *INFO[4:]], POINTS), SYSTEM)


def test_a_consumer_is_given_what_the_tuples_hold() -> None:
    made, collector = bolt(Notes, argument={"to": "me"})
    tup = report()
    made.execute(tup)
    prepared, handled = seen.wait(2)
    assert prepared == ("prepare", {"to": "me"})
    assert handled == (TaskInfo("host", 6700, "count", 4, 1_700_000_000, 60), [DataPoint(*each) for each in POINTS])
    made.cleanup()
    assert seen.wait(3)[-1] == "cleanup"
    assert (collector.acked, collector.errors) == ([tup], [])


def test_only_the_names_that_are_asked_for_and_maps_as_values() -> None:
    made, _ = bolt(Notes, whitelist=["count$"], blacklist=["ack"], expandMapType=True, metricNameSeparator="/")
    made.execute(report())
    assert seen.wait(2)[1][1] == [DataPoint("__execute-count/words:default", 3)]
    made.cleanup()


def test_an_error_of_the_consumer_is_shown_and_the_next_report_comes() -> None:
    made, collector = bolt(Notes)
    made.execute(report(13))
    assert collector.reported.wait(WAIT_SECS)
    made.execute(report(4))
    assert seen.wait(3)[-1][0].task_id == 4
    assert [str(error) for error in collector.errors] == ["thirteen"]
    made.execute(report(14))
    seen.wait(4)
    made.execute(report(4))
    assert seen.wait(5)[-1][0].task_id == 4
    assert [str(error) for error in collector.errors] == ["thirteen", "fourteen"]
    made.cleanup()


def test_a_slow_consumer_loses_the_oldest_reports_and_holds_up_nobody() -> None:
    made, collector = bolt(Waits, **{"max.retain.metric.tuples": 2})
    made.execute(report(1))
    assert seen.wait(2)[1] == 1
    for task in range(2, 6):
        made.execute(report(task))
    assert len(collector.acked) == 5
    seen.go.set()
    assert seen.wait(4)[1:] == [1, 4, 5]
    assert made.dropped == 2
    made.cleanup()


def test_a_consumer_that_is_not_there_is_an_error_and_ends_no_worker() -> None:
    made, collector = bolt("no_such_module.Consumer")
    assert collector.reported.wait(WAIT_SECS)
    made.thread.join(WAIT_SECS)
    made.execute(report())
    made.cleanup()
    assert "no_such_module.Consumer cannot be imported: No module named 'no_such_module'" in str(collector.errors[0])
    assert (len(collector.acked), len(made.waiting)) == (1, 0)


def test_built_in_ones_have_short_names_and_those_of_storm() -> None:
    assert type(load_consumer("log")) is LogConsumer
    assert type(load_consumer("org.apache.storm.metric.LoggingMetricsConsumer")) is LogConsumer
    assert type(load_consumer("http")) is HttpConsumer
    assert type(load_consumer("org.apache.storm.metric.HttpForwardingMetricsConsumer")) is HttpConsumer


def test_another_class_is_no_consumer() -> None:
    with pytest.raises(StormError, match=r"collections.OrderedDict is no subclass of storm.MetricsConsumer"):
        load_consumer("collections.OrderedDict")
