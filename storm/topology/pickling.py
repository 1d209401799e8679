"""A user's spout, bolt or grouping as bytes. Only workers make objects of them again (`executor.component_loading`)."""

from __future__ import annotations

from typing import Any

import cloudpickle

from storm.errors import InvalidTopologyError

SEARCH_DEPTH_MAX = 5
SEARCH_ITEMS_MAX = 1000


def dump(component_id: str, component: object) -> bytes:
    """`component` pickled. Raises InvalidTopologyError that names the component and the attribute at fault."""
    try:
        data: bytes = cloudpickle.dumps(component)
    except Exception as error:  # noqa: BLE001 - a user's own __reduce__ or __getstate__ may raise anything
        path, culprit, reason = _culprit(component, error)
        where = f"its attribute {path[1:]}" if path else "it"
        raise InvalidTopologyError(
            f"component {component_id!r} ({type(component).__name__}) cannot be pickled: {where} "
            f"({type(culprit).__name__}) {_in_words(reason)}; "
            "make such things in open() or prepare(), which run in the worker"
        ) from None
    return data


def _in_words(error: Exception) -> str:
    return f"says: {error}" if str(error) else f"raised {type(error).__name__}"


def _culprit(value: object, error: Exception) -> tuple[str, object, Exception]:
    """The innermost part of `value` that cannot be pickled by itself: its path (".a[0]"), itself, and the error."""
    path = ""
    for _ in range(SEARCH_DEPTH_MAX):
        for step, part in _parts(value):
            found = _error(part)
            if found is not None:
                path, value, error = path + step, part, found
                break
        else:
            break
    return path, value, error


def _error(value: object) -> Exception | None:
    try:
        cloudpickle.dumps(value)
    except Exception as error:  # noqa: BLE001 - as in `dump`
        return error
    return None


def _parts(value: object) -> list[tuple[str, Any]]:
    """What `value` consists of, with the step that leads there."""
    found: list[tuple[str, Any]]
    if isinstance(value, dict):
        found = [(f"[{key!r}]", item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        found = [(f"[{i}]", item) for i, item in enumerate(value)]
    elif isinstance(value, set | frozenset):
        found = [("{...}", item) for item in value]
    elif isinstance(value, type):
        found = []
    else:
        slots = [
            name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if hasattr(value, name)
        ]
        found = [(f".{name}", getattr(value, name)) for name in slots if name not in {"__dict__", "__weakref__"}]
        found += [(f".{name}", item) for name, item in getattr(value, "__dict__", {}).items()]
    return found[:SEARCH_ITEMS_MAX]
