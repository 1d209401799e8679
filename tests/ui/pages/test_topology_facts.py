from __future__ import annotations

from typing import Any

from storm.cluster.records import SlotFailure, SupervisorInfo
from storm.thrift.interface import storm_thrift
from storm.ui.pages.diagnosis import NOT_TOLD, DeadWorker, EndedWorker, Fault, Insight
from storm.ui.pages.graph import Stream
from storm.ui.pages.topology_facts import WINDOW, facts, figures_secs, insight, streams


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


def test_streams_are_told_by_grouping_and_rate(site: Any, topology_id: str) -> None:
    page = page_of(site, topology_id)
    assert figures_secs(page) == 60
    assert sorted(streams(page)) == [
        Stream("split", "count", "default", "fields (word)", 10.0),
        Stream("words", "count", "side", "all", 20 / 60),
        Stream("words", "split", "default", "shuffle", 100 / 60, 2),
    ]


def test_a_nimbus_of_an_older_release_tells_no_streams(site: Any, topology_id: str) -> None:
    page = page_of(site, topology_id)
    page.inputs = None
    assert streams(page) == []


def test_workers_that_died_are_told_once(site: Any, topology_id: str) -> None:
    now = site.cluster.clock.wall_secs()
    worker = page_of(site, topology_id).workers[0]
    died = SlotFailure(worker.port, topology_id, "backing-off", 3, "exited with code 1", "a\n\nb\n", now - 5, now + 7)
    node = worker.supervisor_id
    info = SupervisorInfo(node, f"host-{node}", (6700,), (), 6628, 0, "1", failures=(died,))
    site.cluster.supervisors[node].put_supervisor(info)
    found = facts(page_of(site, topology_id), now)
    at = f"host-{node}:{worker.port}"
    assert found.dead_workers == (DeadWorker(at, 3, "exited with code 1", 5, 7, ("a", "b")),)
    page = page_of(site, topology_id)
    elsewhere = (
        "other:6700: The worker on port 6700 exited with code 2; it is tried again in 8 s. Last lines\nof its log"
    )
    page.notices = [f"{at}: exited with code 1", elsewhere]
    assert facts(page, now).ended_workers == (EndedWorker("other:6700", "exited with code 2"),)


def test_what_it_lacks_is_told_once(site: Any) -> None:
    for node in ("a", "b"):
        site.cluster.stop_supervisor(node)
    page = page_of(site, site.cluster.submit())
    found = facts(page, site.cluster.clock.wall_secs())
    assert found.lacks.startswith("Not scheduled")
    assert (found.ended_workers, found.workers) == ((), ())
    assert figures_secs(page) == 0
    assert all(one.rate == 0 for one in streams(page))


def test_what_executors_do_at_the_moment_is_read_where_it_is_told() -> None:
    told = storm_thrift().ComponentInsight(
        known=2, reasons={"max-pending": 1}, text="words", held_by=["count"], silent=1, pending=7, pending_max=10
    )
    assert insight(told) == Insight(2, {"max-pending": 1}, "words", ("count",), 1, 0, 7, 10)
    assert insight(None) is NOT_TOLD
