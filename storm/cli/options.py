"""Options that many commands share, and what they make: settings, and a connection to Nimbus."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.config.settings import Settings
    from storm.thrift.nimbus_client import NimbusClient

F = TypeVar("F", bound="Callable[..., Any]")
NIMBUS_TIMEOUT_SECS = 5.0  # how long a person waits for an answer before being told that there is none


def with_settings(function: F) -> F:
    """Add `--config FILE` and `-c key=value`; the command gets `settings`."""

    @click.option(
        "--config",
        "config_file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Read this storm.yaml.",
    )
    @click.option(
        "-c",
        "overrides",
        metavar="KEY=VALUE",
        multiple=True,
        help="Set a key; the value is YAML. Repeatable.",
    )
    @functools.wraps(function)
    def wrapped(*args: Any, config_file: Path | None, overrides: tuple[str, ...], **kwargs: Any) -> Any:
        return function(*args, settings=read_settings(config_file, overrides), **kwargs)

    return wrapped  # type: ignore[return-value]


def read_settings(config_file: Path | None, overrides: tuple[str, ...]) -> Settings:
    """The settings of this process. Raises ConfigError."""
    import os

    from storm.config.loading import load_settings

    return load_settings(config_file, overrides, os.environ)


def connect_nimbus(
    settings: Settings, timeout_secs: float = NIMBUS_TIMEOUT_SECS, leader_wait_secs: float | None = None
) -> NimbusClient:
    """A client of the leading Nimbus. `leader_wait_secs` None: as long as a change of leaders takes."""
    from storm.thrift.nimbus_client import LEADER_WAIT_SECS, NimbusClient

    wait_secs = LEADER_WAIT_SECS if leader_wait_secs is None else leader_wait_secs
    return NimbusClient(
        settings["nimbus.seeds"], settings["nimbus.thrift.port"], timeout_secs, leader_wait_secs=wait_secs
    )


def wait_before(what: str) -> Callable[[F], F]:
    """`-w SECS`, how long spouts stand still before `what` begins; the command gets `wait_secs`."""
    return click.option(
        "-w",
        "--wait-time-secs",
        "wait_secs",
        type=click.IntRange(min=0),
        help=f"Seconds between deactivating the spouts and {what} (default: topology.message.timeout.secs).",
    )


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
