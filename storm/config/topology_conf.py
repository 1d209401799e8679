"""A topology's conf: `topology.*` settings and the user's own keys over the cluster's defaults; with a typed view."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from storm.config.near_names import did_you_mean
from storm.config.options import OPTIONS
from storm.config.settings import checked_value
from storm.config.topology_options import COMPONENT_KEYS
from storm.config.unsupported import reason_unsupported
from storm.config.without_effect import warning_of
from storm.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

TOPOLOGY_PREFIX = "topology."


def checked_conf(conf: Mapping[str, Any], origin: str = "the topology's conf") -> tuple[dict[str, Any], list[str]]:
    """`conf` with every known key checked, and warnings for what looks like a mistake.

    Keys that no option describes are the user's own and hold any JSON. Raises ConfigError, naming key and origin.
    """
    checked: dict[str, Any] = {}
    warnings: list[str] = []
    for key, value in conf.items():
        if not isinstance(key, str):
            raise ConfigError(f"{key!r}: expected text as a key (from {origin})")
        checked[key] = checked_value(key, value, origin)
        if key in OPTIONS:
            if warning := warning_of(key, checked[key]):
                warnings.append(f"{origin}: {warning}")
            continue
        if not key.startswith(TOPOLOGY_PREFIX):
            continue
        reason = reason_unsupported(key)
        if reason is not None:
            warnings.append(f"{origin}: {key} means nothing here: {reason}")
        else:
            hint = did_you_mean(key, OPTIONS)
            warnings.append(f"{origin}: {key} is no key of Storm, kept as your own{hint}")
    return checked, warnings


def effective_conf(settings: Mapping[str, Any], topology_conf: Mapping[str, Any]) -> dict[str, Any]:
    """What a topology runs with: the cluster's `topology.*` defaults overlaid by its own conf.

    Raises ConfigError where a value of its own does not fit its key.
    """
    defaults = {key: value for key, value in settings.items() if key.startswith(TOPOLOGY_PREFIX)}
    return {**defaults, **checked_conf(topology_conf)[0]}


def component_conf(conf: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What one component runs with: `conf` overlaid by its own settings.

    Of Storm's keys a component may set those in COMPONENT_KEYS only, the others of its own are dropped (Storm's rule);
    keys that no option describes survive.
    """
    kept = {key: value for key, value in own.items() if key in COMPONENT_KEYS or key not in OPTIONS}
    return {**conf, **kept}


@dataclass(frozen=True, slots=True)
class TopologyOptions:
    """The settings of a topology or of a component of it. Each field is the key `topology.<name with dots>`.

    None means not set, as the key's own text says; `acker_executors` None: one a worker.
    """

    workers: int
    acker_executors: int | None
    executor_lane: str
    enable_message_timeouts: bool
    message_timeout_secs: int
    max_spout_pending: int | None
    executor_stuck_secs: float | None
    executor_stuck_restart: bool
    tick_tuple_freq_secs: float | None
    debug: bool
    testing_always_try_serialize: bool
    error_throttle_interval_secs: float
    max_error_report_per_interval: int
    executor_receive_buffer_size: int
    transfer_buffer_size: int
    batch_flush_interval_millis: float
    backpressure_check_millis: int
    sleep_spout_wait_strategy_time_ms: float

    @classmethod
    def from_conf(cls, conf: Mapping[str, Any]) -> TopologyOptions:
        """From a conf as `effective_conf` or `component_conf` makes it; a key that it lacks has Storm's default.

        Raises ConfigError where a value does not fit its key.
        """
        found = {}
        for field in fields(cls):
            key = TOPOLOGY_PREFIX + field.name.replace("_", ".")
            found[field.name] = checked_value(key, conf.get(key, OPTIONS[key].default), "the topology's conf")
        return cls(**found)

    @property
    def ackers(self) -> int:
        """How many acker executors run: as asked for, else one a worker."""
        return self.workers if self.acker_executors is None else self.acker_executors
