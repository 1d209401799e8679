"""The owner's loop in one thread; integration/nimbus/test_nimbus_daemon.py has the process."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from storm.blobstore.memory import MemoryBlobStore
from storm.cluster.leader_election import LeaderElection
from storm.cluster.memory import Fault
from storm.cluster.records import NimbusInfo
from storm.cluster.storm_cluster_state import StormClusterState
from storm.metrics.families import NIMBUS
from storm.nimbus.daemon import build_nimbus

if TYPE_CHECKING:
    from pathlib import Path


def test_an_upload_that_stands_still_goes_though_nobody_begins_another(cluster: Any, tmp_path: Path) -> None:
    options = replace(cluster.options, local_dir=tmp_path)
    storage, rng = cluster.tree.session(), random.Random(1)
    election = LeaderElection(storage, NimbusInfo("nimbus-9", 6627, cluster.clock.wall_secs(), "0.1.0"), rng)
    nimbus = build_nimbus(
        options,
        clock=cluster.clock,
        cluster_state=StormClusterState(storage, election.fence),
        blob_store=MemoryBlobStore(),
        election=election,
        rng=rng,
    )
    nimbus.service._uploads.begin()
    seen: list[int] = []

    def stepped() -> bool:
        seen.append(len(list((tmp_path / "nimbus" / "inbox").iterdir())))
        if len(seen) == 2:
            nimbus.stop()
        cluster.clock.secs += options.file_copy_expiration_secs + 1
        return True

    nimbus.run(stepped)
    assert seen == [1, 0]


def test_it_shows_whether_it_does_its_work(cluster: Any, tmp_path: Path) -> None:
    storage, rng = cluster.tree.session(), random.Random(1)
    election = LeaderElection(storage, NimbusInfo("nimbus-9", 6627, cluster.clock.wall_secs(), "0.1.0"), rng)
    nimbus = build_nimbus(
        replace(cluster.options, local_dir=tmp_path),
        clock=cluster.clock,
        cluster_state=StormClusterState(storage, election.fence),
        blob_store=MemoryBlobStore(),
        election=election,
        rng=rng,
    )
    storage.add_listener(nimbus.connection_changed)
    seen: list[tuple[str, float, float]] = []

    def stepped() -> bool:
        values = {series.name: series.value for series in nimbus.series()}
        assert values.keys() <= NIMBUS.keys()
        seen.append((nimbus.problem(), values["storm_nimbus_failed_steps_total"], values["storm_nimbus_leader"]))
        cluster.tree.faults = (lambda session, method, path: Fault.REFUSED) if len(seen) == 1 else None
        cluster.clock.secs += 10
        if len(seen) == 3:
            nimbus.stop()
        return True

    nimbus.run(stepped)
    (first, *_), (second, failed, _), (third, still, _) = seen
    assert (first, third, failed, still) == ("", "", 1, 1)
    assert second.startswith("It cannot go on, and tries again: ")
    cluster.tree.expire(storage)
    shown = {series.name: series.value for series in nimbus.series()}
    assert shown["storm_zookeeper_sessions_lost_total"] == 1
