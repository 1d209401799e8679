from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.metrics.insight_records import BACK_PRESSURE, ExecutorInsight, FailedTuple, Hindrance, WorkerInsight
from storm.metrics.stats_records import BoltStats, ExecutorStats, SpoutStats
from storm.ui.rest import insight

if TYPE_CHECKING:
    import pytest

API = "/api/v1/topology"


def told(specific: Any, does: ExecutorInsight, *failures: FailedTuple) -> ExecutorStats:
    return ExecutorStats({}, {}, specific, insight=does, failures=failures)


def beat(site: Any, topology_id: str) -> None:
    """A spout that is held, a bolt that holds it, and one that tells nothing."""
    plan = site.cluster.core.snapshot.plans[topology_id]
    failures = [FailedTuple(9, repr(i), "failed", "split", "'split' (task 4) failed it", 0.5, 100 + i) for i in (1, 2)]
    held = ExecutorInsight(Hindrance(BACK_PRESSURE, ("split",), ("b:1",)), silent=True, pending=4, pending_max=5)
    stats = {
        "words": told(SpoutStats(), held, *failures),
        "split": told(BoltStats(), ExecutorInsight(queued=9, queue_max=6, queue_mark=5, full=True, unsettled=1)),
    }
    executors = site.cluster.assignment(topology_id).executor_slots
    found = {one: stats[name] for one in executors if (name := plan.component_of(one)) in stats}
    site.cluster.beat(topology_id, found, WorkerInsight(held_by={"b:1": ("split",)}, peers=1, dropped={"why": 3}))


def test_what_components_executors_and_workers_do(site: Any, client: Any) -> None:
    topology_id = site.run_word_count()
    site.cluster.clock.secs += 1
    beat(site, topology_id)
    found = client.get(f"{API}/{topology_id}/insight").json()
    [words] = found["spouts"]
    assert words == {
        "component": "words",
        "executors": 2,
        "known": 2,
        "reasons": {"back-pressure": 2},
        "text": "back pressure: the queues of 'split' at b:1 are full",
        "heldBy": ["split"],
        "heldByWorkers": ["b:1"],
        "silent": 2,
        "pending": 8,
        "pendingMax": 10,
    }
    count, split = found["bolts"]
    assert (count["component"], count["known"], count["full"], count["reasons"]) == ("count", 0, None, {})
    assert (split["full"], split["queued"], split["queueMax"], split["queueMark"], split["unsettled"]) == (
        2,
        18,
        6,
        5,
        2,
    )
    executors = [one for one in found["executors"] if one["component"] == "words"]
    assert [(one["reason"], one["silent"], one["pending"], one["queued"]) for one in executors] == [
        ("back-pressure", True, 4, None)
    ] * 2
    assert [(one["known"], one["heldBy"], one["dropped"]) for one in found["workers"]] == [
        (True, {"b:1": ["split"]}, {"why": 3})
    ] * 2


def test_workers_tell_what_they_take_of_their_hosts(site: Any, topology_id: str, client: Any) -> None:
    def used() -> list[tuple[Any, Any]]:
        found = client.get(f"{API}/{topology_id}/insight").json()["workers"]
        return [(one["usedMem"], one["usedCpu"]) for one in found]

    assert used() == [(None, None)] * 2
    site.tell_usage(topology_id)
    assert used() == [(1234.5, 87.6)] * 2


def test_failures_of_all_spouts_newest_first(site: Any, client: Any) -> None:
    topology_id = site.run_word_count()
    assert client.get(f"{API}/{topology_id}/failures").json() == {"failures": [], "spoutsLeftOut": 0}
    site.cluster.clock.secs += 3  # what is asked again at once is answered as before
    beat(site, topology_id)
    found = client.get(f"{API}/{topology_id}/failures").json()["failures"]
    assert [one["time"] for one in found] == [102, 102, 101, 101]
    assert (found[0]["spout"], found[0]["component"], found[0]["messageId"], found[0]["ageSecs"]) == (
        "words",
        "split",
        "2",
        0.5,
    )


def test_nimbus_is_asked_for_so_many_spouts_only(site: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    topology_id = site.run_word_count()
    beat(site, topology_id)
    monkeypatch.setattr(insight, "SPOUTS_MAX", 0)
    assert client.get(f"{API}/{topology_id}/failures").json() == {"failures": [], "spoutsLeftOut": 1}
    assert "getComponentPageInfo" not in site.calls


def test_a_worker_that_told_nothing_is_not_known(site: Any, client: Any) -> None:
    topology_id = site.cluster.submit()
    found = client.get(f"{API}/{topology_id}/insight").json()
    assert {one["known"] for one in found["workers"]} == {False}
    assert {one["reason"] for one in found["executors"]} == {None}
    assert client.get(f"{API}/nowhere-1-1/insight").status_code == 404


def test_what_is_wrong_is_told_as_the_page_tells_it(site: Any, topology_id: str, client: Any) -> None:
    found = client.get(f"{API}/{topology_id}/troubles").json()["troubles"]
    assert [(one["severity"], one["component"], one["worker"]) for one in found] == [
        ("warning", "split", None),
        ("warning", "split", None),
    ]
    assert found[0]["text"] == "split reported an error 10s ago on host-a:6700: ValueError: bad line 500."
    page = client.get(f"/topology/{topology_id}").text
    assert all(one["text"] in page and one["advice"] in page for one in found)
