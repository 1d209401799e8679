"""Daemons in the foreground, to be run under supervision: `storm nimbus`, `storm supervisor`, `storm ui`,
`storm logviewer` and `storm dev-zookeeper`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from storm import open_files
from storm.cli.options import with_settings

if TYPE_CHECKING:
    from storm.config.settings import Settings

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def log_to_stderr() -> None:
    """Log lines of a daemon, with time and logger; kazoo speaks only from WARNING on."""
    import logging

    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    logging.getLogger("kazoo").setLevel(logging.WARNING)


@click.command()
@with_settings
def nimbus(settings: Settings) -> int:
    """Start the master: it takes topologies over Thrift and assigns their executors to the supervisors' slots.

    Runs in the foreground until SIGTERM or Ctrl-C. Several may run on different hosts; one leads.
    """
    from storm.nimbus.daemon import run

    log_to_stderr()
    open_files.raise_limit()
    return run(settings)


@click.command()
@with_settings
def supervisor(settings: Settings) -> int:
    """Start this machine's supervisor: it runs the worker processes that Nimbus assigns to its slots.

    Runs in the foreground until SIGTERM or Ctrl-C. Its workers go on when it stops; the next one adopts them. Unless
    logviewer.embedded is false, it serves the logs of this host at http://HOST:logviewer.port/ too.
    """
    from storm.logviewer.daemon import beside_supervisor
    from storm.supervisor.daemon import run

    log_to_stderr()
    open_files.raise_limit()
    with beside_supervisor(settings) as log_viewer:
        return run(settings, log_viewer=log_viewer)


@click.command()
@with_settings
def ui(settings: Settings) -> int:
    """Start the UI's server: Storm's REST API at http://ui.host:ui.port/api/v1/, /health, and /metrics for Prometheus.

    Runs in the foreground until SIGTERM or Ctrl-C. It asks Nimbus for everything, and keeps nothing.
    """
    from storm.ui.daemon import run

    log_to_stderr()
    open_files.raise_limit()
    return run(settings)


@click.command()
@with_settings
def logviewer(settings: Settings) -> int:
    """Serve the logs of this host at http://HOST:logviewer.port/, and remove old ones of workers.

    For hosts where logviewer.embedded is false, or no supervisor runs. It needs the supervisor's storm.local.dir and
    storm.log.dir. Runs in the foreground until SIGTERM or Ctrl-C.
    """
    from storm.logviewer.daemon import run

    log_to_stderr()
    open_files.raise_limit()
    return run(settings)


@click.command("kill-workers")
@with_settings
def kill_workers(settings: Settings) -> int:
    """End all workers that this machine's supervisor (by its storm.local.dir) has left running."""
    from storm.errors import StormError
    from storm.supervisor.daemon import kill_all_workers
    from storm.supervisor.home import node_id_file
    from storm.supervisor.options import SupervisorOptions

    options = SupervisorOptions.from_settings(settings)
    node_id = node_id_file(options.supervisor_dir)
    try:
        # Its directory alone says nothing: /var/lib/storm/supervisor is the unit's whole storm.local.dir.
        has_run = node_id.exists() or options.workers_dir.exists()
    except OSError as error:
        raise StormError(
            f"cannot look into {options.local_dir} ({error.strerror}): run this as the supervisor's user"
        ) from error
    if not has_run:
        raise StormError(
            f"no supervisor has run here: there is no {node_id} and no {options.workers_dir}. Where it has a "
            "storm.local.dir of its own, as under systemd, name that: -c storm.local.dir=..."
        )
    count = kill_all_workers(settings)
    click.echo(f"{count} worker{'s' if count != 1 else ''} ended")
    return 0


@click.command("dev-zookeeper")
@click.option("--port", type=click.IntRange(1, 65_535), help="Port to listen on (default: storm.zookeeper.port).")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where it keeps its data (default: storm.local.dir/zookeeper).",
)
@click.option("--volatile", is_flag=True, help="Keep everything in memory only.")
@with_settings
def dev_zookeeper(settings: Settings, port: int | None, data_dir: Path | None, volatile: bool) -> int:
    """Start a single-node ZooKeeper server, for development and tests.

    It speaks ZooKeeper's protocol and keeps its data over restarts, but it is one process on one machine: in
    production run an ensemble of Apache ZooKeeper.
    """
    from storm.dev_zookeeper.daemon import DevZooKeeperOptions, run

    log_to_stderr()
    open_files.raise_limit()
    where = None if volatile else data_dir or Path(settings["storm.local.dir"]) / "zookeeper"
    options = DevZooKeeperOptions(
        host=settings.bind_host,
        port=settings["storm.zookeeper.port"] if port is None else port,
        data_dir=where,
        insecure=settings["storm.security.insecure"],
    )
    return run(options)
