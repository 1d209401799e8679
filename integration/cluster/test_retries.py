"""Of a spout with retries each message is acked or given up, later and later, and what waits holds new ones back."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cluster_site import ClusterSite

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)]

ATTEMPTS = 4
DELAYS_SECS = (0.2, 0.4, 0.5)
LEAST_OF_A_DELAY = 0.8  # the rest is chance
PENDING_MAX = 20
PHASE = 100  # orders


class Event(NamedTuple):
    what: str
    order: int
    secs: float  # of what is sent


class Refused:
    """The directory of a run of topologies/refused.py."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def send_up_to(self, limit: int) -> None:
        (self.directory / "limit.new").write_text(str(limit))
        os.replace(self.directory / "limit.new", self.directory / "limit")

    def processes(self) -> list[list[Event]]:
        """What each spout's process noted, in the order in which it happened."""
        found = []
        for path in self.directory.glob("spout-*"):
            lines = [line.split() for line in path.read_text().splitlines()]
            found.append([Event(what, int(order), float(rest[0]) if rest else 0.0) for what, order, *rest in lines])
        return found

    def done(self, what: str) -> list[int]:
        return sorted(event.order for events in self.processes() for event in events if event.what == what)

    def letters(self) -> dict[int, str]:
        lines = [line for path in self.directory.glob("letters-*") for line in path.read_text().splitlines()]
        return {int(order): rest for order, rest in (line.split(" ", 1) for line in lines)}

    def wait_done(self, cluster: ClusterSite, limit: int) -> None:
        cluster.wait(lambda: len(self.done("acked") + self.done("given-up")) >= limit, f"{limit} orders are done")
        assert sorted(self.done("acked") + self.done("given-up")) == list(range(limit))

    def check_pace(self) -> None:
        """Each message came as often as it may, and no earlier, and no more of them were under way."""
        for events in self.processes():
            sent: dict[int, list[float]] = defaultdict(list)
            open_orders: set[int] = set()
            for event in events:
                if event.what == "sent":
                    sent[event.order].append(event.secs)
                    open_orders.add(event.order)
                    assert len(open_orders) <= PENDING_MAX
                else:
                    open_orders.remove(event.order)
                    assert event.what == "acked" or len(sent[event.order]) == ATTEMPTS
            for times in sent.values():
                gaps = [later - earlier for earlier, later in pairwise(times)]
                assert len(gaps) <= len(DELAYS_SECS)
                least = [delay * LEAST_OF_A_DELAY for delay in DELAYS_SECS]
                assert all(gap >= at_least for gap, at_least in zip(gaps, least, strict=False)), gaps


def test_each_message_is_acked_or_given_up_whatever_fails(
    cluster: ClusterSite, topologies: Path, tmp_path: Path
) -> None:
    """First a bolt refuses some, then a worker is killed, then the bolt refuses all."""
    run = Refused(tmp_path)
    run.send_up_to(PHASE)
    topology_id = cluster.submit(
        topologies / "refused.py", "refused", refused__dir=tmp_path, topology__workers=2,
        topology__max__spout__pending=PENDING_MAX,
    )  # fmt: skip
    run.wait_done(cluster, PHASE)
    assert run.done("given-up") == list(range(0, PHASE, 10))
    cluster.wait(lambda: sorted(run.letters()) == run.done("given-up"), "each that was given up is a dead letter")
    reasons = run.letters().values()
    assert all(reason.startswith(f"{ATTEMPTS} 'refuses' ") and "failed it" in reason for reason in reasons), reasons

    run.send_up_to(2 * PHASE)
    os.kill(min(cluster.worker_pids(topology_id)), signal.SIGKILL)
    run.wait_done(cluster, 2 * PHASE)
    assert run.done("given-up") == list(range(0, 2 * PHASE, 10))

    (tmp_path / "refuse-all").touch()
    run.send_up_to(3 * PHASE)
    run.wait_done(cluster, 3 * PHASE)
    assert run.done("given-up") == [*range(0, 2 * PHASE, 10), *range(2 * PHASE, 3 * PHASE)]
    cluster.wait(lambda: run.letters().keys() >= set(range(2 * PHASE, 3 * PHASE)), "these are dead letters, too")
    assert run.letters().keys() <= set(run.done("given-up"))  # one of the killed worker may be lost
    run.check_pace()
