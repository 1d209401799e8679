"""Where the settings of a topology come from: values do not tell, so its conf has the names of those that were set.

The client says what its command line set, Nimbus all the rest, under one key of the conf, as lists of names: what
stands beside the name of a secret would be masked. What nobody set is the default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

KEY = "storm.conf.origins"
# Who set it: names in confs that are stored, so none changes.
COMMAND_LINE, SUBMISSION, REBALANCE, CLUSTER = "-c", "submission", "rebalance", "cluster"
NAMES = frozenset({"topology.name", "storm.id", "storm.cluster.id"})  # of what was submitted; Nimbus fills them in


def with_command_line(conf: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """The conf to submit, which says that these keys were set by `-c`."""
    return {**conf, KEY: {COMMAND_LINE: sorted(keys)}}


def submitted(conf: Mapping[str, Any], own: Mapping[str, Any], cluster_keys: Collection[str]) -> dict[str, Any]:
    """`conf` with the origins of its keys: `own` is what was submitted, `cluster_keys` what is set in the cluster's."""
    all_own = (own.keys() | NAMES) - {KEY}
    by_command_line = all_own & set(_names(own.get(KEY), COMMAND_LINE))
    by_cluster = (conf.keys() & set(cluster_keys)) - all_own
    found = {COMMAND_LINE: by_command_line, SUBMISSION: all_own - by_command_line, CLUSTER: by_cluster}
    return {**conf, KEY: _stored(found)}


def rebalanced(conf: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`conf` with what a rebalance sets. What the topology had set so is still whose it was: nothing changes by that.

    Where it has no origins, as that of an older release, it still has none.
    """
    after = {**conf, **overrides}
    if (known := origins(conf)) is None:
        return after
    new = {key for key in overrides if known.get(key, CLUSTER) == CLUSTER or conf.get(key) != overrides[key]}
    if not new:
        return after
    before: dict[str, set[str]] = {who: set(_names(conf[KEY], who)) - new for who in conf[KEY]}
    before[REBALANCE] = before.get(REBALANCE, set()) | new
    return {**after, KEY: _stored(before)}


def origins(conf: Mapping[str, Any]) -> dict[str, str] | None:
    """{key: who set it}, of those that are not defaults; None where that is not known.

    Nimbus of an older release keeps what the client says and adds nothing.
    """
    told = conf.get(KEY)
    if not isinstance(told, dict) or CLUSTER not in told:
        return None
    return {key: who for who in told for key in _names(told, who)}


def _stored(found: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    return {who: sorted(keys) for who, keys in found.items()}


def _names(told: object, who: str) -> list[str]:
    """What a client sends may be anything."""
    names = told.get(who) if isinstance(told, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
