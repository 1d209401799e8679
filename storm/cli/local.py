"""`storm local`: a topology in this process."""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from storm.cli.interrupts import interrupt_on_signals
from storm.cli.options import with_settings
from storm.cli.output import printable
from storm.ids import SYSTEM_COMPONENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from storm.config.settings import Settings
    from storm.local.local_cluster import LocalCluster

NAME = "local"
# Of loggers: how a cluster in this process does its work is told in dozens of lines, which nobody asked for here.
LEVELS = {"": logging.INFO, "storm": logging.WARNING, "storm.examples": logging.INFO}


@click.command()
@click.argument("path", metavar="FILE_OR_DIR", type=click.Path(path_type=Path))
@click.argument("args", nargs=-1)
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds (default: at Ctrl-C).")
@click.option("--every", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="Seconds between tables.")
@with_settings
def local(settings: Settings, path: Path, args: tuple[str, ...], seconds: float | None, every: float) -> int:
    """Run the topology of FILE_OR_DIR in this process, without any daemon, and show its figures.

    Errors and log lines, from INFO on, are told on standard error, and it goes on. Exit code 1 if a worker died, as of
    what a component raised.
    """
    from storm.cli.status import component_table
    from storm.cli.submit import conf_overrides
    from storm.client.topology_file import load_topology
    from storm.local.local_cluster import LocalCluster

    with _logging_to_stderr():
        loaded = load_topology(path, conf_overrides(settings), args)
        sys.path[:0] = map(str, loaded.module_roots)  # for what its components import when they run
        interrupt_on_signals()
        own = {
            key: settings[key] for key in settings if key.startswith("topology.") and settings.origin(key) != "default"
        }
        with LocalCluster(slots=max(4, int(loaded.conf.get("topology.workers", 1))), settings=own) as cluster:
            cluster.submit(NAME, loaded.topology, loaded.conf)
            told: dict[str, list[str]] = {}
            try:
                for secs in _looks(seconds, every):
                    click.echo(f"after {secs:.0f} s\n{component_table(cluster.page(NAME))}\n")
                    told = _tell_errors(cluster, told)
            except KeyboardInterrupt:
                click.echo()
            has_failed = cluster.is_failing()
            told = _tell_errors(cluster, told)
            cluster.kill(NAME)
    return 1 if has_failed or SYSTEM_COMPONENT in told else 0  # it has those of workers that died


class _PrintableFormatter(logging.Formatter):
    """As daemons' lines are, for a terminal: what users log does nothing to it."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=True, colours=True)


@contextlib.contextmanager
def _logging_to_stderr() -> Iterator[None]:
    """As in a worker, the root logger is set up before the user's code is imported."""
    from storm.cli.daemons import LOG_FORMAT

    root, handler = logging.getLogger(), logging.StreamHandler()
    handler.setFormatter(_PrintableFormatter(LOG_FORMAT))
    root.addHandler(handler)
    before = {name: logging.getLogger(name).level for name in LEVELS}
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _tell_errors(cluster: LocalCluster, told: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    errors = cluster.errors(NAME)
    for line in new_error_lines(errors, told):
        click.echo(line, err=True)
    return errors


def new_error_lines(errors: Mapping[str, Sequence[str]], told: Mapping[str, Sequence[str]]) -> list[str]:
    """Those of {component: its last errors, newest first} that were not among them before; oldest first."""
    return [
        f"{click.style(component, fg='red')}: {printable(text, lines=True)}"
        for component, found in errors.items()
        for text in reversed(found)
        if text not in told.get(component, ())
    ]


def _looks(seconds: float | None, every: float) -> Iterator[float]:
    """How many seconds have passed, now and then until all have."""
    from storm.clock import SystemClock

    clock = SystemClock()
    started = clock.now()
    while seconds is None or clock.now() - started < seconds:
        left = every if seconds is None else min(every, seconds - (clock.now() - started))
        clock.sleep(max(0.0, left))
        yield clock.now() - started
