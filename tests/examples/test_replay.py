from __future__ import annotations

from typing import Any

import pytest

from storm.examples import replay
from storm.examples.replay import OrderSpout


class Collector:
    def __init__(self) -> None:
        self.emitted: list[tuple[list[int], Any, str]] = []

    def emit(self, values: list[int], message_id: Any = None, stream: str = "default") -> None:
        self.emitted.append((values, message_id, stream))


class Context:
    component_id = "orders"
    task_index = 0

    def tasks_of(self, component_id: str) -> list[int]:
        return [1]


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr(replay, "monotonic", found)
    return found


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
def spout(time: Time, collector: Collector) -> OrderSpout:
    found = OrderSpout()
    found.open({"replay.attempts_max": 3}, Context(), collector)  # type: ignore[arg-type]
    found.next_tuple()
    found.next_due = 1000.0  # no other order
    return found


def test_a_failed_order_waits_longer_each_time(spout: OrderSpout, collector: Collector, time: Time) -> None:
    for wait in (0.5, 1.0):
        spout.fail(0)
        time.now += wait - 0.01
        sent = len(collector.emitted)
        spout.next_tuple()
        assert len(collector.emitted) == sent
        time.now += 0.01
        spout.next_tuple()
        assert len(collector.emitted) == sent + 1
    assert [values for values, _, _ in collector.emitted] == [[0, 1], [0, 2], [0, 3]]


def test_an_order_is_given_up_in_the_end(spout: OrderSpout, collector: Collector, time: Time) -> None:
    for _ in range(3):
        spout.fail(0)
        time.now += 60
        spout.next_tuple()
    assert collector.emitted[-1] == ([0, 3], None, "given_up")
    assert spout.attempts == {}


def test_an_acked_order_is_forgotten(spout: OrderSpout) -> None:
    spout.ack(0)
    assert spout.attempts == {}


def test_the_topology_is_legal() -> None:
    assert set(replay.topology({}).components()) == {"orders", "ship", "shipped", "given_up"}
