"""A load that is told to end knows how many numbers its source has sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping  # noqa: TC003
from pathlib import Path  # noqa: TC003
from types import SimpleNamespace
from typing import Any

import checkers
import pytest
from load import Amount, Load

from storm import LocalCluster
from storm.client.topology_file import load_topology


class LocalSite:
    """What a load asks of a site, in this process."""

    timers = SimpleNamespace(conf={"topology.max.spout.pending": 100}, grace_secs=30.0)

    def __init__(self, directory: Path, cluster: LocalCluster) -> None:
        self.directory = directory
        self._cluster = cluster

    def submit(self, file: Path, name: str, conf: Mapping[str, Any]) -> str:
        self._cluster.submit(name, load_topology(file, conf).topology, conf)
        return name

    def wait(self, condition: Callable[[], Any], what: str, secs: float = 60.0) -> Any:
        return self._cluster.wait_for(condition)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Any]:
    with LocalCluster() as cluster:
        yield LocalSite(tmp_path, cluster)


def test_a_load_that_is_told_to_end_has_the_numbers_that_were_sent(site: Any) -> None:
    load = Load(site, "numbers", Amount(1_000_000, 333.0)).start()
    load.begin()
    load.wait_progress(100)
    load.end()
    assert load.drain()
    run = load.read()
    assert run.messages == len(run.acks) < 1_000_000
    assert checkers.lost(run) == checkers.unexpected(run) == []


def test_numbers_that_are_kept_come_when_all_is_calm(site: Any) -> None:
    load = Load(site, "numbers", Amount(150, 1_000.0, kept=75), **{"faults.parts": 3}).start()
    load.begin()
    assert load.drain()
    assert len(load.read().acks) == 150
    since = load.calm()
    assert load.drain()
    run = load.read()
    assert run.messages == len(run.acks) == 225
    assert min(ack.at for ack in run.acks if ack.number >= 150) >= since
    assert {(line.number, line.part) for line in run.lines} == {(n, part) for n in range(225) for part in range(3)}
    assert checkers.lost(run) == checkers.unexpected(run) == checkers.not_calm(run, since) == []


def test_a_load_of_which_all_was_sent_ends_with_that(site: Any) -> None:
    load = Load(site, "numbers", Amount(50, 1_000.0)).start()
    load.begin()
    assert load.drain()
    load.end()
    assert load.messages == 50
