"""`storm local`: a topology in this process."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from storm.cli.options import with_settings
from storm.cli.output import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storm.config.settings import Settings
    from storm.local.local_cluster import LocalCluster

NAME = "local"


@click.command()
@click.argument("path", metavar="FILE_OR_DIR", type=click.Path(path_type=Path))
@click.argument("args", nargs=-1)
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds (default: at Ctrl-C).")
@click.option("--every", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="Seconds between tables.")
@with_settings
def local(settings: Settings, path: Path, args: tuple[str, ...], seconds: float | None, every: float) -> int:
    """Run the topology of FILE_OR_DIR in this process, without any daemon, and show its figures.

    Exit code 1 if a component failed.
    """
    from storm.cli.submit import conf_overrides
    from storm.client.topology_file import load_topology
    from storm.local.local_cluster import LocalCluster

    loaded = load_topology(path, conf_overrides(settings), args)
    signal.signal(signal.SIGTERM, _interrupt)
    own = {key: settings[key] for key in settings if key.startswith("topology.") and settings.origin(key) != "default"}
    with LocalCluster(slots=max(4, int(loaded.conf.get("topology.workers", 1))), settings=own) as cluster:
        cluster.submit(NAME, loaded.topology, loaded.conf)
        try:
            _show(cluster, seconds, every)
        except KeyboardInterrupt:
            click.echo()
        errors = cluster.errors(NAME)
        cluster.kill(NAME)
    for line in error_lines(errors):
        click.echo(line, err=True)
    return 1 if errors else 0


def error_lines(errors: Mapping[str, Sequence[str]]) -> list[str]:
    """The newest error of each component of {component: its errors, newest first}."""
    return [
        f"{click.style(component, fg='red')}: {printable(found[0], lines=True)}" for component, found in errors.items()
    ]


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _show(cluster: LocalCluster, seconds: float | None, every: float) -> None:
    from storm.cli.status import component_table
    from storm.clock import SystemClock

    clock = SystemClock()
    started = clock.now()
    while seconds is None or clock.now() - started < seconds:
        left = every if seconds is None else min(every, seconds - (clock.now() - started))
        clock.sleep(max(0.0, left))
        click.echo(f"after {clock.now() - started:.0f} s\n{component_table(cluster.page(NAME))}\n")
        if cluster.errors(NAME):
            return
