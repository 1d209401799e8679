"""Where a daemon shows how it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storm.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """Where a daemon shows how it does. `port` None: nowhere; `key` is its setting, `names` the host's own."""

    host: str = "127.0.0.1"
    port: int | None = None
    key: str = ""
    names: frozenset[str] = frozenset()

    @classmethod
    def from_settings(cls, settings: Settings, key: str) -> Place:
        """`storm.metrics.host`, and the port that `key` names."""
        host = settings["storm.metrics.host"]
        return cls(host, settings[key], key, settings.names_of(host))
