"""`storm profile`, `storm stacks`, `storm heap`: what workers do and hold, through their supervisors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from storm.cli.options import as_json, connect_nimbus, with_settings
from storm.errors import StormError

if TYPE_CHECKING:
    from storm.cli.logs import LogSource
    from storm.config.settings import Settings

SECS_MAX = 300  # a supervisor's limit
MARGIN_SECS = 60.0  # that the answer may take beyond the profile's own time
STACKS_SECS, HEAP_SECS = 15.0, 45.0  # until a supervisor has answered
FORMAT_OF = {".svg": "flamegraph", ".json": "speedscope", ".txt": "raw"}
WORKER_OPTION = click.option("--worker", help="HOST:PORT of the worker, where several run the component.")


@click.command()
@click.argument("name")
@click.argument("component")
@click.option(
    "--seconds", type=click.IntRange(1, SECS_MAX), default=10, show_default=True, help="For how long it is looked at."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("profile.svg"),
    show_default=True,
    help="Where to: .svg is a flame graph, .json is for speedscope.app, .txt has one stack a line.",
)
@WORKER_OPTION
@with_settings
def profile(settings: Settings, name: str, component: str, seconds: int, output: Path, worker: str | None) -> None:
    """Show where the time of a worker of topology NAME goes that runs COMPONENT.

    py-spy looks at it from outside, a hundred times a second; the worker goes on meanwhile. It has to be installed on
    the worker's host, beside the supervisor.
    """
    form = FORMAT_OF.get(output.suffix)
    if form is None:
        raise click.BadParameter(f"the name ends in {', '.join(FORMAT_OF)}", param_hint="'--output'")
    source = chosen(_sources(settings, name, component), worker)
    click.echo(f"looking at the worker on {source.label} for {seconds} s ...", err=True)
    data = _ask(source, seconds + MARGIN_SECS, "profileWorker", seconds, form)
    assert isinstance(data, bytes)
    try:
        output.write_bytes(data)
    except OSError as error:
        raise StormError(f"cannot write {output}: {error.strerror}") from None
    click.echo(f"{output}: {len(data):,} bytes")


@click.command()
@click.argument("name")
@click.argument("component", required=False)
@WORKER_OPTION
@as_json
@with_settings
def stacks(settings: Settings, name: str, component: str | None, worker: str | None, as_json: bool) -> None:
    """Print what each thread of the workers of topology NAME is doing at the moment; with COMPONENT only of those that
    run it.
    """
    _tell(_sources(settings, name, component), worker, "getWorkerStacks", STACKS_SECS, as_json)


@click.command()
@click.argument("name")
@click.argument("component", required=False)
@WORKER_OPTION
@as_json
@with_settings
def heap(settings: Settings, name: str, component: str | None, worker: str | None, as_json: bool) -> None:
    """Print what is on the heaps of the workers of topology NAME: how many objects of which types, and how large they
    are; with COMPONENT only of those that run it.

    A worker counts for 15 s at most, at half its speed meanwhile; that there is more is said.
    """
    _tell(_sources(settings, name, component), worker, "getWorkerHeap", HEAP_SECS, as_json)


def _tell(sources: list[LogSource], worker: str | None, method: str, timeout_secs: float, as_json: bool) -> None:
    """What each worker says, one after the other, or only the one that was asked for."""
    from storm.cli.output import print_json, printable

    found = {}
    for source in sources if worker is None else [chosen(sources, worker)]:
        text = found[source.label] = str(_ask(source, timeout_secs, method))
        if not as_json:
            click.echo(f"{click.style(source.label, bold=True)}\n{printable(text, lines=True)}")
    if as_json:
        print_json(found)


def chosen(sources: list[LogSource], worker: str | None) -> LogSource:
    """The worker that was asked for; without a word the first. Raises StormError where it is not among them."""
    if worker is None:
        return sources[0]
    for source in sources:
        if source.label == worker:
            return source
    labels = ", ".join(source.label for source in sources)
    raise StormError(f"no worker on {worker} runs it; those that do are on {labels}")


def _sources(settings: Settings, name: str, component: str | None) -> list[LogSource]:
    from storm.cli.logs import log_sources

    with connect_nimbus(settings) as nimbus:
        return log_sources(nimbus, name, component)


def _ask(source: LogSource, timeout_secs: float, method: str, *arguments: object) -> object:
    from storm.thrift.client import ThriftClient

    with ThriftClient("Supervisor", source.host, source.supervisor_port, timeout_secs) as supervisor:
        return supervisor.call(method, source.topology_id, source.port, *arguments)
