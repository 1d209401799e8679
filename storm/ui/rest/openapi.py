"""The OpenAPI document of the REST API; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from storm.http.problems import REASONS
from storm.metrics.stats_records import ALL_TIME, WINDOWS
from storm.ui.rest.calls import PREFIX
from storm.ui.rest.requests import TEXT_BYTES_MAX
from storm.ui.rest.shapes import PROBLEM, json_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.ui.rest.calls import Endpoint

TITLE = "Storm REST API"
ABOUT = (
    "The paths, keys and types of Apache Storm's REST API. Latencies, in milliseconds, and capacities are text with "
    "three decimals. Programs may POST as they are; a page in a browser sends the token of its page in X-Storm-Token."
)
QUERY = {
    "window": (
        "The time that figures are of, in seconds.",
        {"type": "string", "enum": list(WINDOWS), "default": ALL_TIME},
    ),
    "sys": ("Whether the system's components and streams are in it.", {"type": "boolean", "default": False}),
    "id": ("The id of a supervisor.", {"type": "string"}),
    "host": ("The name of a host.", {"type": "string"}),
    "component": ("The id of a component: only what it emitted.", {"type": "string"}),
    "stream": ("The name of a stream: only what was emitted on it.", {"type": "string"}),
    "text": (
        f"What to look for, exactly so; {TEXT_BYTES_MAX:,} bytes at most.",
        {"type": "string", "minLength": 1, "maxLength": TEXT_BYTES_MAX},
    ),
}
NEEDED = {"text"}  # of QUERY
PATH = {
    "id": "The id of a topology.",
    "component": "The id of a component.",
    "owner": "The name of an owner.",
    "wait": "Seconds.",
    "action": "enable or disable.",
    "percent": "The share of tuples, 0 to 100.",
    "host_port": "A worker, host:port.",
    "minutes": "How long.",
}
WHOLE_IN_PATH, NUMBER_IN_PATH = {"wait", "minutes"}, {"percent"}
PROBLEMS_OF_ALL = (400, 401, 403, 413, 500, 503)


def document(endpoints: Iterable[Endpoint], version: str) -> dict[str, Any]:
    """OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(PREFIX + endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": version, "description": ABOUT},
        "paths": paths,
        "components": {"schemas": {"Problem": json_schema(PROBLEM)}},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    in_path = re.findall(r"\{(\w+)\}", endpoint.path)
    problems = {*PROBLEMS_OF_ALL, *_of_changes(endpoint)}
    if in_path:
        problems |= {404, 414}
    if endpoint.query:
        problems.add(404)
    found: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": _operation_id(endpoint),
        "parameters": [_in_path(name) for name in in_path] + [_in_query(name) for name in endpoint.query],
        "responses": {
            "200": {"description": "OK", "content": _json(json_schema(endpoint.shape))},
            **{
                str(status): {
                    "description": REASONS[status],
                    "content": _json({"$ref": "#/components/schemas/Problem"}),
                }
                for status in sorted(problems)
            },
        },
    }
    if endpoint.body is not None:
        found["requestBody"] = {
            "required": endpoint.path.endswith("logconfig"),
            "content": {"application/json": {"schema": {"type": "object"}, "example": dict(endpoint.body)}},
        }
    return found


def _of_changes(endpoint: Endpoint) -> tuple[int, ...]:
    if endpoint.method == "GET":
        return ()
    return (408, 409, 501) if "profiling" in endpoint.path else (408, 409)


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", endpoint.path)
    return "-".join([endpoint.method.lower(), *words])


def _in_path(name: str) -> dict[str, Any]:
    kind = "integer" if name in WHOLE_IN_PATH else "number" if name in NUMBER_IN_PATH else "string"
    schema = {"type": kind} if kind == "string" else {"type": kind, "minimum": 0}
    return {"name": name, "in": "path", "required": True, "description": PATH[name], "schema": schema}


def _in_query(name: str) -> dict[str, Any]:
    description, schema = QUERY[name]
    found = {"name": name, "in": "query", "description": description, "schema": schema}
    return {**found, "required": True} if name in NEEDED else found


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
