from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from storm import Bolt, LocalCluster, MetricsConsumer, Spout, TopologyBuilder, metrics_consumer
from storm.errors import StormError, TopologyAlreadyAliveError, TopologyNotAliveError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storm import StormTopology

SEEN: list[int] = []
ACKED: list[int] = []
PLACES: list[Path | None] = []
MEASURED: dict[tuple[str, int], dict[str, object]] = {}


class Numbers(Spout):
    outputs = ["number"]

    def open(self, conf, context, collector) -> None:  # type: ignore[no-untyped-def]
        self.collector = collector
        self.waiting = list(range(conf.get("numbers", 100), 0, -1))

    def next_tuple(self) -> None:
        if self.waiting:
            number = self.waiting.pop()
            self.collector.emit([number], message_id=number)

    def ack(self, message_id: int) -> None:
        ACKED.append(message_id)

    def fail(self, message_id: int) -> None:
        self.waiting.append(message_id)


class See(Bolt):
    def prepare(self, conf, context, collector) -> None:  # type: ignore[no-untyped-def]
        self.collector = collector

    def execute(self, tup) -> None:  # type: ignore[no-untyped-def]
        if tup.number == 13 and "unlucky" in SEEN:  # type: ignore[comparison-overlap]
            raise ValueError("thirteen")
        SEEN.append(tup.number)
        self.collector.ack(tup)


class ReadsBlob(Bolt):
    def prepare(self, conf, context, collector) -> None:  # type: ignore[no-untyped-def]
        self.collector, self.add = collector, int(context.blob("add").read_text())

    def execute(self, tup) -> None:  # type: ignore[no-untyped-def]
        SEEN.append(tup.number + self.add)
        self.collector.ack(tup)


class SaysWhereItIs(Bolt):
    def prepare(self, conf, context, collector) -> None:  # type: ignore[no-untyped-def]
        PLACES.append(context.code_dir)

    def execute(self, tup) -> None: ...  # type: ignore[no-untyped-def]


class Counts(See):
    def prepare(self, conf, context, collector) -> None:  # type: ignore[no-untyped-def]
        super().prepare(conf, context, collector)
        self.seen = context.metrics.counter("seen")

    def execute(self, tup) -> None:  # type: ignore[no-untyped-def]
        self.seen.inc()
        super().execute(tup)


class Keeps(MetricsConsumer):
    def handle_data_points(self, task_info, data_points) -> None:  # type: ignore[no-untyped-def]
        MEASURED[task_info.component_id, task_info.task_id] = dict(data_points)


class Broken(Bolt):
    def prepare(self, conf, context, collector) -> None:  # type: ignore[no-untyped-def]
        raise ValueError("no database here")

    def execute(self, tup) -> None: ...  # type: ignore[no-untyped-def]


def numbers(bolt: Bolt, parallelism: int = 2) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("numbers", Numbers())
    builder.set_bolt("see", bolt, parallelism).shuffle_grouping("numbers")
    return builder.create_topology()


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    SEEN.clear()
    ACKED.clear()
    with LocalCluster() as cluster:
        yield cluster


@pytest.mark.parametrize("workers", [1, 3])
def test_every_number_is_seen_and_acked(cluster: LocalCluster, workers: int) -> None:
    cluster.submit("numbers", numbers(See(), 4), {"topology.workers": workers})
    cluster.wait_for(lambda: len(ACKED) == 100)
    assert sorted(SEEN) == sorted(ACKED) == list(range(1, 101))
    page = cluster.page("numbers")
    assert (page.status, page.num_workers) == ("ACTIVE", workers)


def test_figures_are_true(cluster: LocalCluster) -> None:
    cluster.submit("numbers", numbers(See()))
    cluster.wait_for(lambda: len(ACKED) == 100)
    cluster.wait_for(lambda: cluster.page("numbers").id_to_spout_agg_stats["numbers"].common_stats.acked == 100)
    stats = cluster.page("numbers").id_to_bolt_agg_stats["see"]
    assert stats.common_stats.acked == 100
    assert stats.specific_stats.bolt.executed == 100


def test_a_consumer_is_given_what_tasks_of_all_workers_measure(cluster: LocalCluster) -> None:
    MEASURED.clear()
    conf = {
        "topology.workers": 3,
        "topology.builtin.metrics.bucket.size.secs": 1,
        "topology.metrics.consumer.register": [metrics_consumer(Keeps)],
    }
    cluster.submit("numbers", numbers(Counts(), 4), conf)

    def seen() -> int:
        return sum(
            int(str(points.get("seen", 0))) for (component, _), points in list(MEASURED.items()) if component == "see"
        )

    cluster.wait_for(lambda: seen() == 100)
    assert {component for component, _ in MEASURED} == {"numbers", "see", "__system"}
    assert "__metrics_" not in str(sorted(cluster.page("numbers").id_to_bolt_agg_stats))


def test_a_rebalance_loses_nothing(cluster: LocalCluster) -> None:
    cluster.submit("numbers", numbers(See(), 4), {"numbers": 3_000, "topology.message.timeout.secs": 2})
    cluster.wait_for(lambda: len(ACKED) > 100)
    cluster.rebalance("numbers", num_workers=2, executors={"see": 2})
    cluster.wait_for(lambda: cluster.page("numbers").num_workers == 2)
    cluster.wait_for(lambda: set(ACKED) == set(range(1, 3_001)), timeout_secs=60)
    assert set(SEEN) >= set(ACKED)


def test_a_killed_topology_is_gone(cluster: LocalCluster) -> None:
    cluster.submit("numbers", numbers(See()))
    with pytest.raises(TopologyAlreadyAliveError):
        cluster.submit("numbers", numbers(See()))
    cluster.wait_for(lambda: ACKED)
    cluster.kill("numbers")
    with pytest.raises(TopologyNotAliveError):
        cluster.page("numbers")


def test_a_topology_is_gone_though_another_ones_name_begins_so(cluster: LocalCluster) -> None:
    cluster.submit("numbers-2", numbers(See()), active=False)
    cluster.submit("numbers", numbers(See()), active=False)
    cluster.wait_for(lambda: all(worker.uptime_secs is not None for worker in cluster.page("numbers-2").workers))
    cluster.kill("numbers")
    assert cluster.page("numbers-2").status == "INACTIVE"


def test_an_inactive_topology_emits_nothing_until_it_is_active(cluster: LocalCluster) -> None:
    cluster.submit("numbers", numbers(See()), active=False)
    cluster.wait_for(lambda: all(worker.uptime_secs is not None for worker in cluster.page("numbers").workers))
    assert SEEN == []
    cluster.activate("numbers")
    cluster.wait_for(lambda: len(ACKED) == 100)


def test_a_blob_is_a_file_of_the_current_directory(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "add").write_text("1000")
    conf = {"topology.blobstore.map": {"add.txt": {"localname": "add"}}}
    cluster.submit("numbers", numbers(ReadsBlob()), conf)
    cluster.wait_for(lambda: len(ACKED) == 100)
    assert sorted(SEEN) == list(range(1001, 1101))


def test_code_that_runs_in_place_has_no_directory_of_its_own(cluster: LocalCluster) -> None:
    PLACES.clear()
    cluster.submit("numbers", numbers(SaysWhereItIs()))
    cluster.wait_for(lambda: len(PLACES) == 2)
    assert PLACES == [None, None]


def test_what_a_cluster_would_keep_on_two_nimbuses_runs_on_this_one(cluster: LocalCluster) -> None:
    cluster.submit("numbers", numbers(See()), {"topology.min.replication.count": 2})
    cluster.wait_for(lambda: len(ACKED) == 100)


def test_its_slots_become_well(cluster: LocalCluster) -> None:
    cluster.submit("numbers", numbers(See()))
    slots = [core.slots for core, _ in cluster._supervisors]
    cluster.wait_for(lambda: any(slot.prepared_at is not None for each in slots for slot in each.slots().values()))


def test_what_a_component_raises_is_shown(cluster: LocalCluster) -> None:
    cluster.submit("numbers", numbers(Broken()))
    cluster.wait_for(lambda: cluster.errors("numbers").get("see"))
    assert "no database here" in cluster.errors("numbers")["see"][0]
    cluster.wait_for(lambda: cluster.errors("numbers").get("__system"))
    told = cluster.errors("numbers")["__system"][-1]
    assert "no database here" in told.partition("Last lines of its log:")[2]


class Keeps13(See):
    def execute(self, tup) -> None:  # type: ignore[no-untyped-def]
        if tup.number != 13:
            super().execute(tup)


class Fails13(See):
    def execute(self, tup) -> None:  # type: ignore[no-untyped-def]
        if tup.number == 13 and 13 not in SEEN:
            SEEN.append(13)
            self.collector.fail(tup)
        else:
            super().execute(tup)


def test_it_tells_why_a_spout_does_not_emit(cluster: LocalCluster) -> None:
    cluster.submit("numbers", numbers(Keeps13()), {"topology.max.spout.pending": 1})

    def insight() -> Any:
        return cluster.component_page("numbers", "numbers").insight

    cluster.wait_for(lambda: insight() is not None and "max-pending" in insight().reasons)
    assert (insight().pending, insight().pending_max) == (1, 1)
    assert "topology.max.spout.pending" in insight().text
    bolt = cluster.page("numbers").id_to_bolt_agg_stats["see"]
    assert (bolt.insight.known, bolt.insight.unsettled) == (2, 1)
    assert all(worker.insight.peers == 0 for worker in cluster.page("numbers").workers)


def test_it_tells_the_tuples_that_failed(cluster: LocalCluster) -> None:
    cluster.submit("numbers", numbers(Fails13()))
    cluster.wait_for(lambda: len(ACKED) == 100)

    def failures() -> list[Any]:
        return cluster.component_page("numbers", "numbers").failures or []

    cluster.wait_for(failures)
    assert [(each.message_id, each.kind, each.component) for each in failures()] == [("13", "failed", "see")]


def test_waiting_has_an_end(cluster: LocalCluster) -> None:
    with pytest.raises(StormError, match=r"has not come within 0.05 s"):
        cluster.wait_for(lambda: False, timeout_secs=0.05)
