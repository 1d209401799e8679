"""`storm submit`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from storm.cli.options import with_settings
from storm.cli.output import Steps, plural, print_json, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.client.topology_file import LoadedTopology
    from storm.config.settings import Settings


def conf_overrides(settings: Settings) -> dict[str, Any]:
    """What `-c`, the environment and the file say of topologies: it wins over what the topology's file says."""
    return {key: settings[key] for key in settings if settings.origin(key).startswith("-c")}


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("path", metavar="FILE_OR_DIR", type=click.Path(path_type=Path))
@click.argument("args", nargs=-1)
@click.option("--name", "-n", required=True, help="The topology's name in the cluster.")
@click.option("--no-wait", is_flag=True, help="Return when Nimbus has taken it, without waiting for the workers.")
@click.option(
    "--wait-secs",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    help="How long to wait for the workers.",
)
@click.option("--dry-run", is_flag=True, help="Load, check and pack it, but send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def submit(settings: Settings, path: Path, args: tuple[str, ...], name: str, as_json: bool, **options: Any) -> None:
    """Send the topology of FILE_OR_DIR to the cluster, and wait until all its workers run.

    FILE has `topology = builder.create_topology()` or `def topology(conf)` at its top level; a directory names its
    file in pyproject.toml under [tool.storm], or has a topology.py. Settings given by -c win over the file's own.
    """
    from storm.client.topology_file import load_topology
    from storm.clock import SystemClock
    from storm.topology.validation import validate_name

    validate_name(name)
    steps = Steps(2 if options["dry_run"] else 4 if options["no_wait"] else 5, SystemClock(), quiet=as_json)
    try:
        steps.start(f"loading {path}")
        loaded = load_topology(path, conf_overrides(settings), args)
        steps.done(f"{plural(len(loaded.topology.spouts), 'spout')}, {plural(len(loaded.topology.bolts), 'bolt')}")
        _pack_and_send(settings, loaded, name, steps, {**options, "as_json": as_json})
    except BaseException:
        steps.failed()
        raise


def _pack_and_send(
    settings: Settings, loaded: LoadedTopology, name: str, steps: Steps, options: dict[str, Any]
) -> None:
    from storm.client.code_package import build_package

    with tempfile.TemporaryDirectory(prefix="storm-submit-") as directory:
        steps.start("packing its code")
        package = build_package(loaded.files, Path(directory) / "package.zip")
        steps.done(f"{plural(package.files, 'file')}, {size(package.size_bytes)}")
        if options["dry_run"]:
            return
        from storm.client import submitter
        from storm.thrift.nimbus_client import NimbusClient

        with NimbusClient(
            settings["nimbus.seeds"], settings["nimbus.thrift.port"], submitter.NIMBUS_TIMEOUT_SECS
        ) as nimbus:
            steps.start("asking Nimbus for the name")
            submitter.check_name_is_free(nimbus, name)
            steps.done(name)
            steps.start(f"uploading {size(package.size_bytes)} and submitting")
            upload: Callable[[int, int], None] = steps.progress
            topology_id = submitter.send(nimbus, name, loaded.topology, loaded.conf, package, upload)
            steps.done(topology_id)
            workers = []
            if not options["no_wait"]:
                steps.start("waiting for its workers")
                workers = submitter.wait_until_running(nimbus, topology_id, steps, timeout_secs=options["wait_secs"])
                steps.done(", ".join(f"{worker.host}:{worker.port}" for worker in workers))
    if options["as_json"]:
        print_json({"id": topology_id, "name": name, "workers": [worker._asdict() for worker in workers]})
    elif workers:
        click.echo(
            f"{click.style(name, bold=True)} runs. See it with `storm status {name}`, end it with `storm kill {name}`."
        )
    else:
        click.echo(f"{name} is submitted; `storm status {name}` says when it runs.")
