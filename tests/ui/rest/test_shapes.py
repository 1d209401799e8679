from __future__ import annotations

from typing import Any

import pytest
from storm_rest_contract import PATHS, storm_answer

from storm.cluster.records import DebugOptions
from storm.metrics.instruments import Histogram
from storm.metrics.series import Series, components_part, encode
from storm.nimbus.heartbeats import WorkerBeat
from storm.thrift.interface import storm_thrift
from storm.ui.rest.endpoints import ENDPOINTS
from storm.ui.rest.shapes import json_schema

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "array": (list,),
}


def misfits(schema: dict[str, Any], value: Any, path: str = "") -> list[str]:
    """Where a value does not fit, by as much of JSON Schema as shapes use."""
    if "oneOf" in schema:
        tries = [misfits(one, value, path) for one in schema["oneOf"]]
        return [] if [] in tries else min(tries, key=len)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    allowed = [kind for name in kinds for kind in KINDS[name]]
    if allowed and (not isinstance(value, tuple(allowed)) or (isinstance(value, bool) and bool not in allowed)):
        return [f"{path}: {value!r:.40} is no {kinds}"]
    found = []
    if isinstance(value, dict) and "object" in kinds:
        found += [f"{path}.{key} is missing" for key in schema.get("required", []) if key not in value]
        for key, item in value.items():
            if key in schema.get("properties", {}):
                found += misfits(schema["properties"][key], item, f"{path}.{key}")
            elif "additionalProperties" in schema:
                found += misfits(schema["additionalProperties"], item, f"{path}.{key}")
            else:
                found.append(f"{path}.{key} is not in the schema")
    if isinstance(value, list) and "array" in kinds:
        for item in value:
            found += misfits(schema["items"], item, f"{path}[]")
    return found


def shape_of(path: str) -> Any:
    as_template = path.replace("/component/words", "/component/{component}")
    for name in ("split", "count"):
        as_template = as_template.replace(f"/component/{name}", "/component/{component}")
    return next(one.shape for one in ENDPOINTS if one.method == "GET" and one.path == as_template)


@pytest.mark.parametrize("name", PATHS)
def test_storms_own_answers_fit(name: str) -> None:
    answer = storm_answer(name)
    if name == "topology_page":
        answer["configuration"] = {}
    assert misfits(json_schema(shape_of(PATHS[name])), answer) == []


def test_what_does_not_fit_is_seen() -> None:
    schema = json_schema({"a": "integer", "b": [{"c": "string?"}], "d": {"*": "number"}, "f?": "integer"})
    assert misfits(schema, {"a": 1, "b": [], "d": {}, "f": "x"}) == [".f: 'x' is no ['integer']"]
    assert misfits(schema, {"a": 1, "b": [{"c": None}, {"c": "x"}], "d": {"x": 1, "y": 0.5}}) == []
    assert misfits(schema, {"a": True, "b": [{"c": 1}, {}], "d": {"x": "1"}, "e": 0}) == [
        ".a: True is no ['integer']",
        ".b[].c: 1 is no ['string', 'null']",
        ".b[].c is missing",
        ".d.x: '1' is no ['number']",
        ".e is not in the schema",
    ]


def test_the_page_of_a_component_that_is_sampled_and_measures_fits(site: Any, topology_id: str, client: Any) -> None:
    values = Histogram()
    values.update(0.5)
    series = [
        Series("storm_metric_count_total", {"component": "split", "name": "lines"}, 3),
        Series("storm_metric_value", {"component": "split", "name": "size", "task": "3"}, 7),
        Series("storm_metric_seconds", {"component": "split", "name": "db"}, values.read()),
    ]
    (node_id, port), executors = next(iter(site.cluster.assignment(topology_id).slot_executors().items()))
    site.cluster.clock.secs += 1
    now, told = site.cluster.clock.wall_secs(), components_part(encode([], series))
    site.cluster.core.record([WorkerBeat(topology_id, frozenset(executors), now, node_id, port, metrics=told)])
    site.cluster.core.debug("wordcount", "split", DebugOptions(True, 50.0))
    site.cluster.core.step()
    answer = client.get(f"/api/v1/topology/{topology_id}/component/split").json()
    assert {one["kind"] for one in answer["metrics"]} == {"count", "gauge", "timer"}
    assert "eventLogLink" in answer
    assert misfits(json_schema(shape_of("/topology/{id}/component/split")), answer) == []


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if one.method == "GET"], ids=lambda one: one.path)
def test_our_answers_fit(endpoint: Any, site: Any, topology_id: str, client: Any) -> None:
    found = {"port": 6700, "file": "worker.log", "offset": 1, "text": "x"}
    site.records = {
        "host-a": [storm_thrift().FoundRecord(**found, time=time) for time in ("2026-01-31T23:59:59.123", "")]
    }
    path = endpoint.path.format(id=topology_id, component="split", owner="storm")
    query = {name: value for name, value in {"id": "a", "text": "x"}.items() if name in endpoint.query}
    answer = client.get(f"/api/v1{path}", params=query).json()
    assert misfits(json_schema(endpoint.shape), answer) == []
