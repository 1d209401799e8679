from __future__ import annotations

from typing import Any

from storm.cluster.records import SlotFailure, SupervisorInfo
from storm.diagnosis.facts import NOT_TOLD, DeadWorker, EndedWorker, Fault, Insight
from storm.diagnosis.nimbus_pages import WINDOW, facts, insight, summary_facts
from storm.thrift.interface import storm_thrift


def page_of(site: Any, topology_id: str) -> Any:
    return site.service.getTopologyPageInfo(topology_id, WINDOW, False)


def test_components_have_their_figures_and_errors(site: Any, topology_id: str) -> None:
    found = facts(page_of(site, topology_id), site.cluster.clock.wall_secs())
    by_name = {one.name: one for one in found.components}
    words, split, count = (by_name[name] for name in ("words", "split", "count"))
    assert (words.is_spout, words.executors, words.emitted, words.acked, words.complete_ms) == (True, 2, 110, 98, 2.5)
    assert (split.is_spout, split.executors, split.tasks) == (False, 2, 4)
    assert (split.executed, split.failed, split.execute_ms, split.process_ms) == (100, 2, 0.125, 0.25)
    assert 0 < count.capacity < 0.01
    assert split.error == Fault("ValueError: bad line 500", 10, "host-a:6700")
    assert count.error is None
    assert not any(one.insight.known for one in found.components)


def test_the_topology_has_its_own(site: Any, topology_id: str) -> None:
    found = facts(page_of(site, topology_id), site.cluster.clock.wall_secs())
    assert (found.name, found.status, found.lacks, found.timeout_secs) == ("wordcount", "ACTIVE", "", 30)
    assert (found.acked, found.failed, found.complete_ms) == (98, 2, 2.5)
    assert [worker.uptime_secs for worker in found.workers] == [60, 60]
    assert found.ended_workers == found.dead_workers == ()


def test_workers_that_died_are_told_once(site: Any, topology_id: str) -> None:
    now = site.cluster.clock.wall_secs()
    worker = page_of(site, topology_id).workers[0]
    died = SlotFailure(worker.port, topology_id, "backing-off", 3, "exited with code 1", "a\n\nb\n", now - 5, now + 7)
    node = worker.supervisor_id
    info = SupervisorInfo(node, f"host-{node}", (6700,), (), 6628, 0, "1", failures=(died,))
    site.cluster.supervisors[node].put_supervisor(info)
    found = facts(page_of(site, topology_id), now)
    at = f"host-{node}:{worker.port}"
    assert found.dead_workers == (DeadWorker(at, 3, "exited with code 1", 5, 7, ("a", "b"), "backing-off"),)
    page = page_of(site, topology_id)
    ended = storm_thrift().EndedWorker
    page.ended_workers = [
        ended(host=f"host-{node}", port=worker.port, reason="exited with code 1"),
        ended(host="other", port=6700, reason="exited with code 2\nof which pip says much"),
    ]
    assert facts(page, now).ended_workers == (EndedWorker("other:6700", "exited with code 2"),)
    page.ended_workers = None  # of a Nimbus of the former release
    assert facts(page, now).ended_workers == ()


def test_what_it_lacks_is_told_once(site: Any) -> None:
    for node in ("a", "b"):
        site.cluster.stop_supervisor(node)
    page = page_of(site, site.cluster.submit())
    found = facts(page, site.cluster.clock.wall_secs())
    assert (found.lacks, found.lacks_slots) == ("Not scheduled: no supervisor has a free slot.", True)
    [summary] = site.service.getClusterInfo().topologies
    assert (summary_facts(summary).lacks, summary_facts(summary).lacks_slots) == (found.lacks, True)
    assert (found.ended_workers, found.workers) == ((), ())
    for told in (page, summary):
        told.lacks_slots = None  # as a Nimbus of the former release
    assert facts(page, site.cluster.clock.wall_secs()).lacks_slots
    assert summary_facts(summary).lacks_slots
    page.sched_status = "Not scheduled: no supervisor has enough memory."
    assert not facts(page, site.cluster.clock.wall_secs()).lacks_slots


def test_what_executors_do_at_the_moment_is_read_where_it_is_told() -> None:
    told = storm_thrift().ComponentInsight(
        known=2, reasons={"max-pending": 1}, text="words", held_by=["count"], silent=1, pending=7, pending_max=10
    )
    assert insight(told) == Insight(2, {"max-pending": 1}, "words", ("count",), 1, 0, 7, 10)
    assert insight(None) is NOT_TOLD


def test_what_is_known_without_a_page(site: Any, topology_id: str) -> None:
    [summary] = site.service.getClusterInfo().topologies
    found = summary_facts(summary)
    assert (found.id, found.name, found.status) == (topology_id, "wordcount", "ACTIVE")
    assert (found.lacks, found.lacks_slots) == ("", False)
    assert len(found.workers) == 2
    assert found.components == ()


def test_what_workers_tell_of_their_peers(site: Any, topology_id: str) -> None:
    page = page_of(site, topology_id)
    page.workers[0].insight = storm_thrift().WorkerInsight(
        missing_peers=["a:1"], slow_peers=["b:1"], dropped={"why": 3}
    )
    first, second = facts(page, 0).workers
    assert (first.missing_peers, first.slow_peers, first.dropped) == (("a:1",), ("b:1",), {"why": 3})
    assert (second.missing_peers, second.slow_peers, second.dropped) == ((), (), {})
