from __future__ import annotations

from typing import Any

import pytest
from several_workers import SeveralWorkers

from storm.examples import replay


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`cluster(conf)`: the topology in virtual time."""
    made: list[SeveralWorkers] = []

    def make(conf: dict[str, Any]) -> SeveralWorkers:
        one = SeveralWorkers(replay.topology(conf), conf)
        made.append(one)
        monkeypatch.setattr(replay, "monotonic", one.clock.now)
        return one

    yield make
    for one in made:
        one.stop()


def spout_and_shipped(one: SeveralWorkers) -> tuple[Any, set[int]]:
    executors = {executor.component: executor for executor in one.workers[0].executors}
    return executors["orders"].tasks[0].spout, executors["shipped"].tasks[0].bolt.shipped


def test_what_fails_is_sent_again_until_it_is_shipped(cluster: Any) -> None:
    one = cluster({"replay.attempts_max": 100})
    one.run_for(3)
    spout, shipped = spout_and_shipped(one)
    spout.next_due = 1e9  # no order more
    one.run_for(1)
    assert spout.open_orders
    one.run_for(600)
    assert spout.open_orders == set()
    assert shipped == set(range(spout.next_number))
    assert spout.next_number > 200
    assert one.errors == []


def test_an_order_is_given_up_in_the_end_and_people_are_told(cluster: Any) -> None:
    one = cluster({"replay.attempts_max": 3, "replay.failure_rate": 1.0})
    one.run_for(0.005)
    spout, shipped = spout_and_shipped(one)
    spout.next_due = 1e9
    one.run_for(1.1)
    assert spout.open_orders == {0}  # tried after 0 and 0.5 s, and then after another second
    assert one.errors == []
    one.run_for(1)
    assert spout.open_orders == shipped == set()
    [(component, text)] = one.errors
    assert component == "given_up"
    assert "order 0 was given up after 3 attempts: 'ship' (task" in text


def test_the_topology_is_legal() -> None:
    assert set(replay.topology({}).components()) == {"orders", "ship", "shipped", "given_up"}
