from __future__ import annotations

import pytest

from storm.thrift.interface import enum_name, service, storm_thrift, unions


def fields(name: str) -> dict[int, tuple[str, bool]]:
    """{field id: (name, required)}."""
    spec = getattr(storm_thrift(), name).thrift_spec
    return {number: (entry[1], entry[-1]) for number, entry in spec.items()}


def test_services_have_storms_methods() -> None:
    counts = {
        name: len(service(name).thrift_services)
        for name in ("Nimbus", "Supervisor", "DistributedRPC", "DistributedRPCInvocations")
    }
    assert counts == {"Nimbus": 60, "Supervisor": 8, "DistributedRPC": 1, "DistributedRPCInvocations": 4}


def test_ids_that_clients_of_storm_rely_on() -> None:
    """A sample of Storm's field ids: a change of one breaks streamparse and the Java clients silently."""
    assert fields("ComponentObject") == {
        1: ("serialized_java", False),
        2: ("shell", False),
        3: ("java_object", False),
        4: ("serialized_python", False),
    }
    assert fields("ClusterSummary") == {
        1: ("supervisors", True),
        3: ("topologies", True),
        4: ("nimbuses", True),
        1001: ("drained", False),
    }
    assert fields("LogConfig") == {2: ("named_logger_level", False)}
    summary = fields("TopologySummary")
    assert [summary[number] for number in range(1, 8)] == [
        (name, True) for name in ("id", "name", "num_tasks", "num_executors", "num_workers", "uptime_secs", "status")
    ]
    assert summary[513] == ("sched_status", False)
    assert summary[528] == ("assigned_generic_resources", False)
    assert fields("ExecutorSummary")[7] == ("stats", False)


def test_additions_have_ids_that_storm_does_not_use() -> None:
    t = storm_thrift()
    ours = {
        (cls.__name__, number) for cls in t.__thrift_meta__["structs"] for number in cls.thrift_spec if number > 536
    }
    assert {number for _, number in ours} == set(range(1001, 1007))


def test_enumerations() -> None:
    t = storm_thrift()
    assert t.TopologyInitialStatus.INACTIVE == 2
    assert enum_name("NumErrorsChoice", 2) == "ONE"
    assert enum_name("NumErrorsChoice", 9) == "9"


def test_unions_are_known() -> None:
    names = {cls.__name__ for cls in unions()}
    assert names == {
        "JavaObjectArg",
        "Grouping",
        "ComponentObject",
        "ExecutorSpecificStats",
        "SpecificAggregateStats",
    }


def test_keys_of_maps_are_equal_by_value() -> None:
    t = storm_thrift()
    assert {t.GlobalStreamId(componentId="a", streamId="b"): 1}[t.GlobalStreamId(componentId="a", streamId="b")] == 1
    assert hash(t.ExecutorInfo(task_start=1, task_end=2)) == hash(t.ExecutorInfo(task_start=1, task_end=2))


def test_a_service_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="no service 'Pacemaker'"):
        service("Pacemaker")
