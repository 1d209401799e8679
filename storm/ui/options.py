"""The UI's settings, typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storm.config.addresses import is_loopback
from storm.errors import ConfigError

if TYPE_CHECKING:
    from storm.config.settings import Settings


@dataclass(frozen=True, slots=True)
class UiOptions:
    """What the UI reads from the configuration. `names` are those that it may be called by, in small letters."""

    host: str = "127.0.0.1"
    port: int = 8080
    names: frozenset[str] = frozenset()
    nimbus_seeds: tuple[str, ...] = ("localhost",)
    nimbus_port: int = 6627
    logviewer_port: int = 8000

    @classmethod
    def from_settings(cls, settings: Settings) -> UiOptions:
        """Raises ConfigError where other hosts could reach the UI and nobody has said that they may."""
        host = settings["ui.host"]
        if not is_loopback(host) and not settings["storm.security.insecure"]:
            raise ConfigError(
                f"ui.host: other hosts reach {host}, and whoever reaches the UI can kill topologies. In a network that "
                "you trust set storm.security.insecure: true; else leave ui.host at 127.0.0.1, and let a proxy that "
                "knows its users stand in front"
            )
        return cls(
            host=host,
            port=settings["ui.port"],
            names=settings.names_of(host),
            nimbus_seeds=tuple(settings["nimbus.seeds"]),
            nimbus_port=settings["nimbus.thrift.port"],
            logviewer_port=settings["logviewer.port"],
        )
