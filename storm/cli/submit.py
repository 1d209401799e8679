"""`storm submit`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from storm.cli.options import connect_nimbus, with_settings
from storm.cli.output import Steps, plural, print_json, size
from storm.config.addresses import joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.client.code_package import PackedRequirements
    from storm.client.submitter import Worker
    from storm.client.topology_file import LoadedTopology
    from storm.config.settings import Settings
    from storm.thrift.nimbus_client import NimbusClient


def conf_overrides(settings: Settings) -> dict[str, Any]:
    """What `-c` says, and it alone: it wins over what the topology's file says."""
    return {key: settings[key] for key in settings if settings.origin(key).startswith("-c")}


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("path", metavar="FILE_OR_DIR", type=click.Path(path_type=Path))
@click.argument("args", nargs=-1)
@click.option("--name", "-n", required=True, help="The topology's name in the cluster.")
@click.option("--no-wait", is_flag=True, help="Return when Nimbus has taken it, without waiting for the workers.")
@click.option(
    "--wait-secs",
    type=click.FloatRange(min=0),
    help="How long to wait for the workers: 120 s by default, 720 s where hosts install what it requires.",
)
@click.option(
    "--requirements",
    "named",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What hosts install: a requirements.txt, pylock.toml, uv.lock or pyproject.toml; by default the project's.",
)
@click.option(
    "--wheelhouse",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Send the wheels that are needed along from DIR: hosts then ask no index.",
)
@click.option("--no-env", is_flag=True, help="Run on the hosts' own Python, whatever the project requires.")
@click.option("--dry-run", is_flag=True, help="Load, check and pack it, but send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def submit(settings: Settings, path: Path, args: tuple[str, ...], name: str, as_json: bool, **options: Any) -> None:
    """Send the topology of FILE_OR_DIR to the cluster, and wait until all its workers run.

    FILE has `topology = builder.create_topology()` or `def topology(conf)` at its top level; a directory names its
    file in pyproject.toml under [tool.storm], or has a topology.py. Settings given by -c win over the file's own.
    What the project requires (uv.lock, pylock.toml, requirements.txt, pyproject.toml) each host installs for it.
    """
    from storm.client.topology_file import load_topology
    from storm.clock import SystemClock
    from storm.topology.validation import validate_name

    validate_name(name)
    if options["no_env"] and (options["wheelhouse"] or options["named"]):
        raise click.UsageError("--no-env installs nothing: it does not go with --requirements or --wheelhouse.")
    steps = Steps(2 if options["dry_run"] else 4 if options["no_wait"] else 5, SystemClock(), quiet=as_json)
    try:
        steps.start(f"loading {path}")
        loaded = load_topology(path, conf_overrides(settings), args)
        of = f" of the project {loaded.root}" if loaded.is_project and path.is_file() else ""
        steps.done(f"{plural(len(loaded.topology.spouts), 'spout')}, {plural(len(loaded.topology.bolts), 'bolt')}{of}")
        _pack_and_send(settings, loaded, name, steps, {**options, "as_json": as_json, "path": path})
    except KeyboardInterrupt:
        steps.failed("interrupted")
        raise
    except BaseException:
        steps.failed()
        raise


def _requirements(path: Path, named: Path | None, wheelhouse: Path | None) -> tuple[str, PackedRequirements] | None:
    """In words and as they are packed; None: it needs nothing but the hosts' Python. Raises PackageError."""
    from storm.cli.uv_export import export_uv_lock
    from storm.client.code_package import PackedRequirements, python_version
    from storm.client.requirements import find_requirements
    from storm.client.wheelhouse import wheels_for
    from storm.errors import PackageError

    found = find_requirements(path, named, export_uv_lock)
    if found is None:
        if wheelhouse is not None:
            raise PackageError(
                f"nothing says which wheels of {wheelhouse} the topology needs: write a requirements.txt beside it"
            )
        return None
    wheels = {} if wheelhouse is None else wheels_for(wheelhouse, found.lines, python_version())
    if wheelhouse is not None and not wheels:
        raise PackageError(f"{wheelhouse} has no wheel that {found.source} needs")
    with_wheels = "" if wheelhouse is None else f" with {plural(len(wheels), 'wheel')}"
    text = f"; {plural(found.projects, 'requirement')} of {found.source.name}{with_wheels}"
    return text, PackedRequirements(found.lines, wheels)


def _without(files: dict[str, Path], wheelhouse: Path | None) -> dict[str, Path]:
    """The files but for those of a wheelhouse within the project: what is needed of it has its own place."""
    if wheelhouse is None:
        return files
    return {name: path for name, path in files.items() if not path.resolve().is_relative_to(wheelhouse.resolve())}


def _pack_and_send(
    settings: Settings, loaded: LoadedTopology, name: str, steps: Steps, options: dict[str, Any]
) -> None:
    from storm.client.code_package import build_package
    from storm.config.conf_origins import with_command_line

    with tempfile.TemporaryDirectory(prefix="storm-submit-") as directory:
        steps.start("packing its code")
        required_by = loaded.root if loaded.is_project else loaded.root / options["path"].name
        found = None if options["no_env"] else _requirements(required_by, options["named"], options["wheelhouse"])
        files = _without(loaded.files, options["wheelhouse"])
        package = build_package(
            files, Path(directory) / "package.zip", None if found is None else found[1], loaded.source
        )
        steps.done(f"{plural(package.files, 'file')}, {size(package.size_bytes)}{'' if found is None else found[0]}")
        if options["dry_run"]:
            if options["as_json"]:
                counts = {"spouts": len(loaded.topology.spouts), "bolts": len(loaded.topology.bolts)}
                print_json({"name": name, **counts, "files": package.files, "size_bytes": package.size_bytes})
            return
        from storm.client import submitter

        with connect_nimbus(settings, submitter.NIMBUS_TIMEOUT_SECS) as nimbus:
            steps.start("asking Nimbus for the name")
            submitter.check_name_is_free(nimbus, name)
            supervisors = nimbus.call("getClusterInfo").supervisors
            submitter.check_python(supervisors, no_env=options["no_env"])
            if found is not None and options["wheelhouse"] is not None:
                submitter.check_wheels(supervisors, options["wheelhouse"], found[1].lines)
            steps.done(name)
            steps.start(f"uploading {size(package.size_bytes)} and submitting")
            upload: Callable[[int, int], None] = steps.progress
            conf = with_command_line(loaded.conf, conf_overrides(settings))
            topology_id = submitter.send(nimbus, name, loaded.topology, conf, package, upload)
            steps.done(topology_id)
            workers = []
            if not options["no_wait"]:
                given = options["wait_secs"]
                limit = submitter.wait_secs(package) if given is None else given
                workers = running_workers(nimbus, topology_id, steps, limit)
    if options["as_json"]:
        print_json({"id": topology_id, "name": name, "workers": [worker._asdict() for worker in workers]})
    elif workers:
        click.echo(
            f"{click.style(name, bold=True)} runs. See it with `storm status {name}`, end it with `storm kill {name}`."
        )
    else:
        click.echo(f"{name} is submitted; `storm status {name}` says when it runs.")


def running_workers(nimbus: NimbusClient, topology_id: str, steps: Steps, limit_secs: float) -> list[Worker]:
    """Its workers, once all run. Who interrupts the wait is told that this does not take the topology back."""
    from storm.client import submitter

    steps.start("waiting for its workers")
    workers = submitter.wait_until_running(nimbus, topology_id, steps, timeout_secs=limit_secs)
    steps.done(", ".join(joined(worker.host, worker.port) for worker in workers))
    return workers
