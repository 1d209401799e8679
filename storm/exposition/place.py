"""Where a daemon shows how it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Place:
    """Where a daemon shows how it does. `key` is the setting of its port; None: nowhere."""

    host: str = "127.0.0.1"
    port: int | None = None
    key: str = ""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], key: str) -> Place:
        """`storm.metrics.host`, and the port that `key` names."""
        return cls(settings["storm.metrics.host"], settings[key], key)
