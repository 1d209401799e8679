"""`storm config show`, `storm localconfvalue`, `storm remoteconfvalue`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from storm.cli.options import as_json, connect_nimbus, with_settings
from storm.cli.output import print_json, table
from storm.config.near_names import did_you_mean
from storm.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.config.settings import Settings


@click.group()
def config() -> None:
    """Show the configuration."""


@config.command()
@click.option("--origin", is_flag=True, help="Say for each value where it comes from.")
@click.option("--all", "everything", is_flag=True, help="Defaults too, not only what was set.")
@click.argument("keys", nargs=-1)
@as_json
@with_settings
def show(settings: Settings, keys: tuple[str, ...], origin: bool, everything: bool, as_json: bool) -> None:
    """Show the settings of this machine; KEYS: only those that begin so.

    Without --all, KEYS or --json only what differs from the defaults is shown. Secrets are masked.
    """
    from storm.config.settings import redacted

    shown = redacted(settings)
    for prefix in keys:
        if not any(key.startswith(prefix) for key in shown):
            raise ConfigError(f"no key begins with {prefix!r}{did_you_mean(prefix, shown) or '; --all shows them'}")
    chosen = [key for key in sorted(shown) if not keys or key.startswith(keys)]
    if not (everything or keys or as_json):
        chosen = [key for key in chosen if settings.origin(key) != "default"]
    if as_json:
        print_json(
            {key: {"value": shown[key], "origin": settings.origin(key)} if origin else shown[key] for key in chosen}
        )
        return
    if not chosen:
        click.echo("every key has its default; --all shows them")
        return
    rows = [[key, json.dumps(shown[key]), *([settings.origin(key)] if origin else [])] for key in chosen]
    click.echo(table(["key", "value", *(["origin"] if origin else [])], rows))


@click.command()
@click.argument("key")
@as_json
@with_settings
def localconfvalue(settings: Settings, key: str, as_json: bool) -> None:
    """Print the value of KEY as this machine's configuration has it."""
    _print_value(key, value_of(settings, key), as_json)


@click.command()
@click.argument("key")
@as_json
@with_settings
def remoteconfvalue(settings: Settings, key: str, as_json: bool) -> None:
    """Print the value of KEY as the cluster (its leading Nimbus) has it."""
    with connect_nimbus(settings) as nimbus:
        conf = json.loads(nimbus.call("getNimbusConf"))
    _print_value(key, value_of(conf, key), as_json)


def _print_value(key: str, value: Any, as_json: bool) -> None:
    if as_json:
        print_json({key: value})
    else:
        click.echo(f"{key}: {json.dumps(value)}")


def value_of(conf: Mapping[str, Any], key: str) -> Any:
    """The value of a key. Raises ConfigError, with the nearest known key, where there is none."""
    if key in conf:
        return conf[key]
    raise ConfigError(f"no key {key!r}{did_you_mean(key, conf)}")
