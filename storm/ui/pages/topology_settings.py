"""The settings of a topology, and where each comes from; pure.

Nimbus keeps that in the topology's conf. For a topology of an older release it is guessed from values.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.config import conf_origins
from storm.config.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN, CLUSTER, DEFAULT = "topology", "cluster", "default"
MISSING = object()


class Setting(NamedTuple):
    """`origin`: OWN, CLUSTER (Nimbus's storm.yaml) or DEFAULT. `default`: what stands there else, where it is known.
    `by`: what set an own one, where it was not its code: "-c" of the command line, or "rebalance".
    """

    key: str
    value: str
    origin: str
    default: str = ""
    by: str = ""


def settings(conf: Mapping[str, Any], cluster_conf: Mapping[str, Any]) -> list[Setting]:
    """Those of `conf` (a topology's whole, as Nimbus tells it) by key; its own first."""
    setters = conf_origins.origins(conf)
    found = []
    for key, value in conf.items():
        if key == conf_origins.KEY:
            continue
        default = OPTIONS[key].default if key in OPTIONS else MISSING
        if setters is None:
            origin, by = _guessed(value, default, cluster_conf.get(key, MISSING)), ""
        else:
            origin, by = _told(setters.get(key))
        is_told = origin != DEFAULT and default is not MISSING and default is not None
        found.append(Setting(key, in_words(value), origin, in_words(default) if is_told else "", by))
    return sorted(found, key=lambda one: (one.origin != OWN, one.key))


def _told(who: str | None) -> tuple[str, str]:
    if who is None:
        return DEFAULT, ""
    if who == conf_origins.CLUSTER:
        return CLUSTER, ""
    return OWN, "" if who == conf_origins.SUBMISSION else who


def _guessed(value: Any, default: Any, clusters: Any) -> str:
    if default is not MISSING and _same(value, default):
        return DEFAULT
    return CLUSTER if clusters is not MISSING and _same(value, clusters) else OWN


def in_words(value: Any) -> str:
    """As it stands in a settings file; text without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _same(value: Any, other: Any) -> bool:
    """As JSON: 30 and 30.0 are the same, 1 and true are not."""
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if isinstance(value, list | tuple) and isinstance(other, list | tuple):
        return list(value) == list(other)
    return bool(value == other)
