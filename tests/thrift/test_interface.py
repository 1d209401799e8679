from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import thriftpy2

from storm.thrift import interface
from storm.thrift.interface import IDL_PATH, Enumeration, Interface, service, storm_thrift


def fields(name: str) -> dict[int, tuple[str, bool]]:
    """{field id: (name, required)}."""
    spec = getattr(storm_thrift(), name).thrift_spec
    return {number: (entry[1], entry[-1]) for number, entry in spec.items()}


def test_services_have_storms_methods() -> None:
    counts = {
        name: len(service(name).thrift_services)
        for name in ("Nimbus", "Supervisor", "DistributedRPC", "DistributedRPCInvocations")
    }
    assert counts == {"Nimbus": 60, "Supervisor": 15, "DistributedRPC": 1, "DistributedRPCInvocations": 4}


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
    structs = [cls for name, cls in classes().items() if hasattr(cls, "thrift_spec") and "_" not in name]
    ours = {number for cls in structs for number in cls.thrift_spec if number > 536}
    assert ours == set(range(1001, 1010))


def test_enumerations() -> None:
    t = storm_thrift()
    assert t.TopologyInitialStatus.INACTIVE == 2


def test_all_is_as_thriftpy2_reads_it() -> None:
    stock = thriftpy2.load(str(IDL_PATH), module_name="stock_interface_thrift")
    found = stock.__thrift_meta__
    unions = set(found["unions"])
    expected: dict[str, Any] = {
        cls.__name__: (told(cls.thrift_spec), dict(cls.default_spec), cls in unions)
        for kind in ("structs", "unions", "exceptions")
        for cls in found[kind]
    }
    expected |= {cls.__name__: cls._VALUES_TO_NAMES for cls in found["enums"]}
    for each in found["services"]:
        for method in each.thrift_services:
            for part in ("args", "result"):
                cls = getattr(each, f"{method}_{part}")
                expected[f"{each.__name__}.{method}_{part}"] = told(cls.thrift_spec), dict(cls.default_spec), False
    ours = {
        name: cls.names if issubclass(cls, Enumeration) else (told(cls.thrift_spec), vars(cls()), cls.is_union)
        for name, cls in classes().items()
    }
    assert ours == expected
    assert [service(each.__name__).thrift_services for each in found["services"]] == [
        each.thrift_services for each in found["services"]
    ]


def classes() -> dict[str, Any]:
    """Of the whole interface."""
    t = storm_thrift()
    found = {name: getattr(t, name) for name, each in t.definitions.items() if each.kind != "service"}
    for name in [name for name, each in t.definitions.items() if each.kind == "service"]:
        for method in service(name).thrift_services:
            for part in ("args", "result"):
                found[f"{name}.{method}_{part}"] = getattr(service(name), f"{method}_{part}")
    return found


def told(spec: Any) -> Any:
    """A `thrift_spec` with names in place of classes, in the order of numbers."""
    if isinstance(spec, dict):
        return [(number, told(entry)) for number, entry in sorted(spec.items())]
    if isinstance(spec, tuple | list):
        return tuple(map(told, spec))
    return spec.__name__ if isinstance(spec, type) else spec


def test_classes_are_made_once_and_only_when_they_are_asked_for() -> None:
    t = Interface(IDL_PATH.read_text())
    assert list(vars(t)) == ["definitions"]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: t.Assignment, range(8)))
    assert set(map(id, found)) == {id(t.Assignment)}
    assert set(vars(t)) == {"definitions", "Assignment", "NodeInfo", "WorkerResources"}


def test_threads_that_ask_for_the_first_time_at_once_get_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    class SlowPath:
        def read_text(self) -> str:
            assert asked.wait(60)
            return IDL_PATH.read_text()

    monkeypatch.setattr(interface, "_interface", None)
    monkeypatch.setattr(interface, "_services", {})
    monkeypatch.setattr(interface, "IDL_PATH", SlowPath())

    def ask(number: int) -> tuple[object, object]:
        if number:
            asked.set()  # while the first one reads
        return storm_thrift(), service("Nimbus")

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(ask, range(2)))) == 1


def test_structs_take_their_fields_in_order_or_by_name_and_no_others() -> None:
    t = storm_thrift()
    assert t.ExecutorInfo(1, 2) == t.ExecutorInfo(task_end=2, task_start=1) != t.ExecutorInfo(1, 3)
    assert vars(t.ExecutorInfo(1)) == {"task_start": 1, "task_end": None}
    assert repr(t.ExecutorInfo(1, 2)) == "ExecutorInfo(task_start=1, task_end=2)"
    for wrong in (lambda: t.ExecutorInfo(1, 2, 3), lambda: t.ExecutorInfo(first=1)):
        with pytest.raises(TypeError, match="ExecutorInfo has the fields task_start, task_end"):
            wrong()
    assert t.KillOptions() != t.DrainOptions()


def test_what_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no 'Nothing'"):
        storm_thrift().Nothing  # noqa: B018
    with pytest.raises(AttributeError, match="Nimbus has no 'nothing_args'"):
        service("Nimbus").nothing_args  # noqa: B018


def test_keys_of_maps_are_equal_by_value() -> None:
    t = storm_thrift()
    assert {t.GlobalStreamId(componentId="a", streamId="b"): 1}[t.GlobalStreamId(componentId="a", streamId="b")] == 1
    assert hash(t.ExecutorInfo(task_start=1, task_end=2)) == hash(t.ExecutorInfo(task_start=1, task_end=2))


def test_a_service_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="no service 'Pacemaker'"):
        service("Pacemaker")
