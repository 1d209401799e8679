from __future__ import annotations

from storm.diagnosis.cluster import Cluster, Host, troubles
from storm.diagnosis.facts import Component, Severity, Topology, Worker

NOTE, WARNING, CRITICAL = Severity.NOTE, Severity.WARNING, Severity.CRITICAL
BOLT = Component("split", is_spout=False, capacity=0.1)
RUNS = Topology("t", "ACTIVE", 600, components=(BOLT,), workers=(Worker("h:6700", 600),), id="t-1")
WELL = Cluster(has_leader=True, hosts=(Host("a", "host-a"),), topologies=(RUNS,))


def test_a_cluster_that_is_well() -> None:
    assert troubles(WELL) == []


def test_no_leader_is_the_first() -> None:
    first, second = troubles(WELL._replace(has_leader=False, offline=("nimbus-2:6627",)))
    assert (first.severity, "No Nimbus leads" in first.what) == (CRITICAL, True)
    assert (second.severity, second.what) == (WARNING, "The Nimbus nimbus-2:6627 of nimbus.seeds is not there.")


def test_hosts_that_take_no_workers() -> None:
    found = troubles(
        WELL._replace(
            hosts=(
                Host("d", "host-d", is_drained=True),
                Host("b", "host-b", is_blacklisted=True),
                Host("i", "host-i", "the disk is full"),
            )
        )
    )
    assert [(one.severity, one.supervisor) for one in found] == [(CRITICAL, "i"), (WARNING, "b"), (NOTE, "d")]
    assert found[0].what == "The host host-i is ill, and takes no workers: the disk is full"


def test_no_supervisor_at_all_is_worse_where_something_should_run() -> None:
    assert [one.severity for one in troubles(WELL._replace(hosts=(), topologies=()))] == [WARNING]
    assert [one.severity for one in troubles(WELL._replace(hosts=()))] == [CRITICAL]


def test_topologies_are_judged_by_the_same_rules_and_named() -> None:
    lacking = RUNS._replace(lacks="Not scheduled: no supervisor has a free slot.", workers=())
    busy = RUNS._replace(name="u", id="u-1", components=(BOLT._replace(capacity=0.97),))
    lack, bottleneck = troubles(WELL._replace(topologies=(busy, lacking)))
    assert (lack.severity, lack.topology) == (CRITICAL, "t-1")
    assert lack.what == "t: Not scheduled: no supervisor has a free slot."
    assert bottleneck.what == "u: split is the bottleneck: it was busy 97 % of the time."
    assert (bottleneck.topology, bottleneck.component) == ("u-1", "split")


def test_notes_on_topologies_are_for_their_own_pages() -> None:
    assert troubles(WELL._replace(topologies=(RUNS._replace(status="KILLED"),))) == []


def test_what_was_not_looked_at_is_not_said_to_be_well() -> None:
    assert [(one.severity, one.what) for one in troubles(WELL._replace(unseen=1))] == [
        (NOTE, "1 topology was not looked at yet: what is wrong there is not known here.")
    ]
    assert troubles(WELL._replace(unseen=1_200))[0].what.startswith("1,200 topologies were not looked at yet")
