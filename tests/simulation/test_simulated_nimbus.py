"""What Nimbuses of a simulated cluster are to those that call them."""

from __future__ import annotations

import pytest
from simulated_cluster import SimulatedCluster

STANDS_SECS = 2.0


@pytest.mark.parametrize("dies", [True, False])
def test_who_dies_while_nimbus_answers_does_not_go_on_afterwards(dies: bool) -> None:
    cluster = SimulatedCluster(1)
    cluster.start()
    worker, leader = cluster.workers()[0], cluster.leader()
    assert leader is not None
    link = cluster.nimbus_link(worker.host, worker)
    (promise,) = cluster.user.promises.values()
    cluster.weather.pause_at_change(leader, STANDS_SECS)
    if dies:
        cluster.events.after(STANDS_SECS / 2, "its host crashes", worker.host.crash)
    went_on = []

    def call() -> None:
        link.call("deactivate", promise.name)
        went_on.append(worker.name)

    worker.run(call)
    assert went_on == ([] if dies else [worker.name])
    assert leader.stood_until == cluster.events.clock.now()
