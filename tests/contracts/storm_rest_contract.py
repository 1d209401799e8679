"""What Storm's REST API answers for one topology: ours has the same keys and types. Subclasses say who answers.

storm_rest_answers/ holds what a Storm 2.8.3 answered while a word count ran in two workers: `words`, a spout of 2 tasks
with a stream `side` beside its own; `split`, 4 tasks in 2 executors, which fails every 50th line and reports an error
every 500th; `count`, 2 tasks, by fields of `split` and all of `side`. The configuration in topology_page.json is cut.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWERS = Path(__file__).with_name("storm_rest_answers")
PATHS = {
    "cluster_summary": "/cluster/summary",
    "nimbus_summary": "/nimbus/summary",
    "supervisor_summary": "/supervisor/summary",
    "topology_summary": "/topology/summary",
    "history_summary": "/history/summary",
    "topology_page": "/topology/{id}",
    "topology_workers": "/topology-workers/{id}",
    "component_words": "/topology/{id}/component/words",
    "component_split": "/topology/{id}/component/split",
    "component_count": "/topology/{id}/component/count",
    "viz": "/topology/{id}/visualization",
    "logconfig": "/topology/{id}/logconfig",
}
LEVELS = {"ROOT": {"target_level": "DEBUG", "reset_level": "INFO", "timeout": 60, "timeout_epoch": 1_700_000_060_000}}
OWNER = {
    "owner": "storm",
    **dict.fromkeys(("totalTopologies", "totalExecutors", "totalWorkers", "totalTasks", "isolatedNodes"), 1),
    **dict.fromkeys(("totalMemoryUsage", "totalCpuUsage"), 1.0),
    **dict.fromkeys(("memoryGuarantee", "cpuGuarantee", "memoryGuaranteeRemaining", "cpuGuaranteeRemaining"), "N/A"),
    **dict.fromkeys(("totalReqOnHeapMem", "totalReqOffHeapMem", "totalReqMem", "totalReqCpu"), 1.0),
    **dict.fromkeys(("totalAssignedOnHeapMem", "totalAssignedOffHeapMem"), 1.0),
}
OPERATION = {"topologyOperation": "deactivate", "topologyId": "t-1-1", "status": "success"}
# What changes a topology, and may be asked of one that others read: (path, body, Storm's answer).
CHANGES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "deactivate": ("/topology/{id}/deactivate", None, OPERATION),
    "activate": ("/topology/{id}/activate", None, OPERATION),
    "debug": ("/topology/{id}/debug/enable/10", None, OPERATION),
    "debug_of_one": ("/topology/{id}/component/split/debug/enable/10", None, OPERATION),
    "no_debug_of_one": ("/topology/{id}/component/split/debug/disable/0", None, OPERATION),
    "no_debug": ("/topology/{id}/debug/disable/0", None, OPERATION),
    "logconfig": ("/topology/{id}/logconfig", {"namedLoggerLevels": LEVELS}, {"namedLoggerLevels": LEVELS}),
}
NO_LEVELS = {"namedLoggerLevels": {"ROOT": {"target_level": None}}}  # takes LEVELS back
MISSING = "missing_topology"  # of a topology that is not there
# Keys whose values are mappings by names that are data.
BY_NAME = {"componentNumTasks", "configuration", "namedLoggerLevels", ":transferred"}
DEEP = {":transferred"}  # and the values of those mappings are such mappings too
LEFT_OUT = {"configuration"}  # what stands in it is the settings', not the API's


def storm_answer(name: str) -> Any:
    return json.loads((ANSWERS / f"{name}.json").read_text())


def documented(name: str) -> Any:
    """Answers of which none was recorded, by Storm's documentation and its sources."""
    supervisors, page = storm_answer("supervisor_summary"), storm_answer("topology_page")
    return {
        "supervisor": {**supervisors, "workers": page["workers"]},
        "owners": {"owners": [OWNER]},
        "owner": {**OWNER, "topologies": storm_answer("topology_summary")["topologies"]},
        "viz_init": {"visualizationTable": [[{"stream": "default", "sani-stream": "default", "checked": True}]]},
        "configuration": {"nimbus.thrift.port": 6627, "storm.zookeeper.servers": ["localhost"]},
        "lag": {},
        "profiles": {"profilerActive": [{**dict.fromkeys(("host", "port", "dumplink"), "text"), "timestamp": -1}]},
        "levels": {"namedLoggerLevels": LEVELS},
    }[name]


DOCUMENTED = {
    "owners": "/owner-resources",
    "viz_init": "/topology/{id}/visualization-init",
    "configuration": "/cluster/configuration",
    "lag": "/topology/{id}/lag",
}


def kinds(name: str, answer: Any) -> dict[str, set[str]]:
    """{path of keys: the types found there}: `[]` stands for the items of a list, `{}` for any name."""
    found: dict[str, set[str]] = {}
    for path, kind in _kinds(answer, "", by_name=name == "viz"):
        found.setdefault(path, set()).add(kind)
    return found


def _kinds(value: Any, path: str, *, by_name: bool = False, deep: bool = False) -> Iterator[tuple[str, str]]:
    yield path, type(value).__name__
    if isinstance(value, list):
        for item in value:
            yield from _kinds(item, f"{path}[]")
    elif isinstance(value, dict):
        for key, item in value.items():
            if by_name:
                yield from _kinds(item, path + "{}", by_name=deep)
            elif key in LEFT_OUT:
                yield f"{path}.{key}", type(item).__name__
            else:
                yield from _kinds(item, f"{path}.{key}", by_name=key in BY_NAME, deep=key in DEEP)


def differences(name: str, ours: Any) -> list[str]:
    """Where `ours` is not as Storm's answer of that name. What is empty on one side says nothing of what is in it."""
    theirs, own = kinds(name, storm_answer(name)), kinds(name, ours)
    found = lacking(storm_answer(name), ours, name)
    found += [f"{path} is not Storm's" for path in own.keys() - theirs.keys() if not _is_below_nothing(path, theirs)]
    return sorted(found)


def lacking(expected: Any, ours: Any, name: str = "") -> list[str]:
    """What of `expected` a client would look for in vain in `ours`, or find of another type."""
    theirs, own = kinds(name, expected), kinds(name, ours)
    found = [f"{path} is missing" for path in theirs.keys() - own.keys() if not _is_below_nothing(path, own)]
    found += [
        f"{path} is {own[path] - theirs[path]}, not {theirs[path]}"
        for path in own.keys() & theirs.keys()
        # Where Storm had nothing to tell, null, it may tell something another time.
        if theirs[path] != {"NoneType"} and not own[path] <= theirs[path]
    ]
    return sorted(found)


def _is_below_nothing(path: str, there: dict[str, set[str]]) -> bool:
    """Whether a list or mapping above it is there, and nothing in it."""
    above = [path[:i] for i in range(len(path)) if path[i : i + 2] in {"[]", "{}"}]
    return any(one in there and one + path[len(one) : len(one) + 2] not in there for one in above)


class StormRestContract:
    """`get` answers a path below /api/v1, `post` one with a body, and `refused` one that is not answered with 200;
    `topology_id` is that of the topology above."""

    @pytest.fixture
    def topology_id(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def get(self) -> Callable[[str], Any]:
        raise NotImplementedError

    @pytest.fixture
    def post(self) -> Callable[[str, Any], Any]:
        raise NotImplementedError

    @pytest.fixture
    def refused(self) -> Callable[[str], Any]:
        raise NotImplementedError

    @pytest.mark.parametrize("name", PATHS)
    def test_keys_and_types_are_storms(self, name: str, get: Callable[[str], Any], topology_id: str) -> None:
        found = differences(name, get(PATHS[name].format(id=topology_id)))
        assert not found, "\n".join(found)

    def test_what_is_not_there_is_told_with_storms_keys(self, refused: Callable[[str], Any]) -> None:
        """The text is ours: Storm's is a Java stack trace, with the status 500."""
        assert not differences(MISSING, refused("/topology/nope-1-1"))

    def test_metrics_are_the_page(self, get: Callable[[str], Any], topology_id: str) -> None:
        found = differences("topology_page", get(f"/topology/{topology_id}/metrics?window=600"))
        assert not found, "\n".join(found)

    @pytest.mark.parametrize("name", DOCUMENTED)
    def test_what_storm_documents_is_there(self, name: str, get: Callable[[str], Any], topology_id: str) -> None:
        assert not lacking(documented(name), get(DOCUMENTED[name].format(id=topology_id)))

    def test_a_supervisors_page_is_storms(self, get: Callable[[str], Any], topology_id: str) -> None:
        worker = get(f"/topology/{topology_id}")["workers"][0]
        for query in (f"id={worker['supervisorId']}", f"host={worker['host']}"):
            found = get(f"/supervisor?{query}")
            assert found["supervisors"]
            assert found["workers"]
            assert not lacking(documented("supervisor"), found)

    def test_an_owners_page_is_storms(self, get: Callable[[str], Any], topology_id: str) -> None:
        [owner] = {one["owner"] for one in get("/topology/summary")["topologies"] if one["id"] == topology_id}
        found = get(f"/owner-resources/{owner}")
        assert topology_id in {one["id"] for one in found["topologies"]}
        assert not lacking(documented("owner"), found)

    def test_changes_are_answered_as_by_storm(
        self, get: Callable[[str], Any], post: Callable[[str, Any], Any], topology_id: str
    ) -> None:
        """The topology is afterwards as it was."""
        levels = f"/topology/{topology_id}/logconfig"
        try:
            for name, (path, body, expected) in CHANGES.items():
                found = post(path.format(id=topology_id), body)
                assert not lacking(expected, found), name
                if "topologyId" in expected:
                    assert (found["topologyId"], found["status"]) == (topology_id, "success")
            assert get(levels)["namedLoggerLevels"].keys() == LEVELS.keys()
            assert not lacking(documented("levels"), get(levels))
        finally:
            post(levels, NO_LEVELS)
            post(f"/topology/{topology_id}/activate", None)
        assert get(levels)["namedLoggerLevels"] == {}
