"""`storm profile`, `storm stacks`, `storm heap`: what workers do and hold, through their supervisors."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from storm.cli.options import as_json, connect_nimbus, with_settings
from storm.errors import StormError

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.cli.worker_files import LogSource
    from storm.config.settings import Settings

SECS_MAX = 300  # a supervisor's limit
MARGIN_SECS = 60.0  # that the answer may take beyond the profile's own time
STACKS_SECS, HEAP_SECS, STOP_SECS = 15.0, 45.0, 45.0  # until a supervisor has answered
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
    the worker's host, beside the supervisor. Ctrl-C ends that, too.
    """
    form = FORMAT_OF.get(output.suffix)
    if form is None:
        raise click.BadParameter(f"the name ends in {', '.join(FORMAT_OF)}", param_hint="'--output'")
    source = chosen(_sources(settings, name, component), worker)
    click.echo(f"looking at the worker on {source.label} for {seconds} s ...", err=True)
    try:
        data = _ask(source, seconds + MARGIN_SECS, "profileWorker", seconds, form)
    except KeyboardInterrupt as interrupt:
        click.echo("stopping that ...", err=True)
        interrupt.add_note(stopped(source, lambda source: _ask(source, STOP_SECS, "stopProfile")))
        raise
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
def stacks(settings: Settings, name: str, component: str | None, worker: str | None, as_json: bool) -> int:
    """Print what each thread of the workers of topology NAME is doing at the moment; with COMPONENT only of those that
    run it.
    """
    sources = _sources(settings, name, component)
    return tell(sources, worker, lambda source: _ask(source, STACKS_SECS, "getWorkerStacks"), as_json)


@click.command()
@click.argument("name")
@click.argument("component", required=False)
@WORKER_OPTION
@as_json
@with_settings
def heap(settings: Settings, name: str, component: str | None, worker: str | None, as_json: bool) -> int:
    """Print what is on the heaps of the workers of topology NAME: how many objects of which types, and how large they
    are; with COMPONENT only of those that run it.

    A worker counts for 15 s at most, at half its speed meanwhile; that there is more is said.
    """
    sources = _sources(settings, name, component)
    return tell(sources, worker, lambda source: _ask(source, HEAP_SECS, "getWorkerHeap"), as_json)


def tell(sources: list[LogSource], worker: str | None, ask: Callable[[LogSource], object], as_json: bool) -> int:
    """Print what each worker says, one after the other, or only the one that was asked for; who does not answer is told
    on standard error. The exit code: 1 if there is one.
    """
    from storm.cli.output import print_json, printable

    found, code = {}, 0
    for source in sources if worker is None else [chosen(sources, worker)]:
        try:
            text = found[source.label] = str(ask(source))
        except StormError as error:
            click.echo(click.style(f"{source.label}: {printable(str(error), lines=True)}", fg="yellow"), err=True)
            code = 1
            continue
        if not as_json:
            click.echo(f"{click.style(source.label, bold=True)}\n{printable(text, lines=True)}")
    if as_json:
        print_json(found)
    return code


def stopped(source: LogSource, ask: Callable[[LogSource], object]) -> str:
    """What became of a profile that nobody waits for any more, in words. `ask` stops it, and gives its file's name."""
    try:
        return f"what was seen until then is beside the log of the worker on {source.label}: {ask(source)}"
    except StormError as error:
        return f"whether the worker on {source.label} is still looked at is not known: {error}"


def chosen(sources: list[LogSource], worker: str | None) -> LogSource:
    """The worker that was asked for; without a word the first whose supervisor can be asked. Raises StormError where it
    is not among them.
    """
    if worker is None:
        return next((source for source in sources if source.supervisor_port is not None), sources[0])
    for source in sources:
        if source.label == worker:
            return source
    labels = ", ".join(source.label for source in sources)
    raise StormError(f"no worker on {worker} runs it; those that do are on {labels}")


def _sources(settings: Settings, name: str, component: str | None) -> list[LogSource]:
    from storm.cli.worker_files import log_sources

    with connect_nimbus(settings) as nimbus:
        return log_sources(nimbus, name, component)


def _ask(source: LogSource, timeout_secs: float, method: str, *arguments: object) -> object:
    from storm.cli.worker_files import supervisor_of

    with contextlib.closing(supervisor_of(source, timeout_secs)) as supervisor:
        return supervisor.call(method, source.topology_id, source.port, *arguments)
