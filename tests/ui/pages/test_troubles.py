from __future__ import annotations

from typing import Any

from storm.thrift.interface import storm_thrift
from storm.ui.pages.troubles import BAD, ERROR_SECS, INFO, SHOWN_MAX, WARN, in_order, of_cluster, trouble

NOW = 1_700_000_000
LEADER = {"host": "nimbus-1", "port": 6627, "status": "Leader"}


def supervisor(**more: Any) -> dict[str, Any]:
    return {"id": "a", "host": "host-a", "illness": "", "drained_since": None, "blacklisted": False, **more}


def topology(**more: Any) -> dict[str, Any]:
    return {"id": "t-1", "name": "t", "status": "ACTIVE", "schedulerInfo": None, "rates": {"failed": 0}, **more}


def shown(nimbuses: Any = (LEADER,), supervisors: Any = None, topologies: Any = ()) -> dict[str, list[dict[str, Any]]]:
    found = [supervisor()] if supervisors is None else supervisors
    return {"nimbuses": list(nimbuses), "supervisors": found, "topologies": list(topologies)}


def page(age_secs: int | None = None, notices: Any = None, capacity: float = 0.1) -> Any:
    """A TopologyPageInfo whose bolt `split` had an error so long ago."""
    t = storm_thrift()
    error = (
        None
        if age_secs is None
        else t.ErrorInfo(error="Traceback\n  x\nValueError: bad", error_time_secs=NOW - age_secs)
    )
    specific = t.SpecificAggregateStats(bolt=t.BoltAggregateStats(capacity=capacity))
    stats = t.ComponentAggregateStats(last_error=error, specific_stats=specific)
    return t.TopologyPageInfo(id="t-1", id_to_bolt_agg_stats={"split": stats}, notices=notices)


def told(found: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(one["level"], one["text"]) for one in found]


def test_a_cluster_that_is_well() -> None:
    assert of_cluster(shown(topologies=[topology()]), {"t-1": page()}, NOW) == []


def test_no_leader_is_the_first() -> None:
    offline = {"host": "nimbus-2", "port": 6627, "status": "Offline"}
    [first, second] = told(of_cluster(shown(nimbuses=[offline]), {}, NOW))
    assert (first[0], "No Nimbus leads" in first[1]) == (BAD, True)
    assert second == (WARN, "The Nimbus nimbus-2:6627 of nimbus.seeds is not there.")


def test_hosts_that_take_no_workers() -> None:
    hosts = [
        supervisor(id="d", host="host-d", drained_since=NOW),
        supervisor(id="b", host="host-b", blacklisted=True),
        supervisor(id="i", host="host-i", illness="the disk is full"),
    ]
    found = of_cluster(shown(supervisors=hosts), {}, NOW)
    assert [one["level"] for one in found] == [BAD, WARN, INFO]
    assert found[0]["text"] == "The host host-i is ill, and takes no workers: the disk is full"
    assert found[0]["href"] == "/supervisor/i"


def test_no_supervisor_at_all_is_worse_where_something_should_run() -> None:
    assert told(of_cluster(shown(supervisors=[]), {}, NOW))[0][0] == WARN
    assert told(of_cluster(shown(supervisors=[], topologies=[topology()]), {}, NOW))[0][0] == BAD


def test_what_a_topology_lacks_and_loses() -> None:
    lacking = topology(schedulerInfo="Not scheduled: no supervisor has a free slot.", rates={"failed": 1_234})
    found = of_cluster(shown(topologies=[lacking]), {"t-1": page(40, ["A worker cannot start."])}, NOW)
    assert told(found) == [
        (BAD, "t: Not scheduled: no supervisor has a free slot."),
        (BAD, "t: A worker cannot start."),
        (BAD, "t: split had an error 40s ago: ValueError: bad"),
        (WARN, "t: 1,234 tuples failed in the last 10 minutes."),
    ]
    assert found[2]["href"] == "/topology/t-1/component/split?window=600"


def test_a_bolt_that_does_nothing_but_execute() -> None:
    [found] = of_cluster(shown(topologies=[topology()]), {"t-1": page(capacity=0.97)}, NOW)
    assert found["text"] == "t: split is busy 97 % of the time: more executors would let more flow."
    assert found["href"] == "/topology/t-1/component/split?window=600"


def test_an_old_error_is_no_trouble_and_nor_is_what_a_killed_topology_lacks() -> None:
    killed = topology(status="KILLED", schedulerInfo="Not scheduled.")
    assert of_cluster(shown(topologies=[killed]), {"t-1": page(ERROR_SECS)}, NOW) == []


def test_of_very_many_the_worst_are_shown_and_how_many_more_there_are() -> None:
    many = [trouble(WARN, str(i)) for i in range(SHOWN_MAX + 5)] + [trouble(BAD, "the worst")]
    found = told(in_order(many))
    assert found[0] == (BAD, "the worst")
    assert found[-1] == (INFO, "And 6 more like these.")
    assert len(found) == SHOWN_MAX + 1
