"""`storm monitor`: throughput of a component, every few seconds, as Storm's `storm monitor` prints it.

Its columns and rules are those of org.apache.storm.utils.Monitor; `acked`, `failed`, --count and --json are ours.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from storm.cli.options import as_json, connect_nimbus, with_settings
from storm.errors import StormError
from storm.metrics.stats_records import ALL_TIME

if TYPE_CHECKING:
    from storm.config.settings import Settings

EMITS = ("emitted", "transferred")
WATCHED = (*EMITS, "acked", "failed")


@click.command()
@click.argument("name")
@click.option(
    "-i",
    "--interval",
    type=click.FloatRange(min=0.1),
    default=4.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("-m", "--component", help="The component; without it the components are listed.")
@click.option("-s", "--stream", default="default", show_default=True, help="The stream to count.")
@click.option(
    "-w",
    "--watch",
    "watched",
    type=click.Choice(WATCHED),
    default="emitted",
    show_default=True,
    help="What to count.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many lines (default: never).")
@as_json
@with_settings
def monitor(settings: Settings, name: str, **options: Any) -> None:
    """Print the throughput of a component of topology NAME until Ctrl-C; with --json an object each line.

    The first line has the count since the topology's start.
    """
    from storm.clock import SystemClock

    clock = SystemClock()
    component, stream, watched = options["component"], options["stream"], options["watched"]
    with connect_nimbus(settings) as nimbus:
        if component is None:
            click.echo(component_list(name, _executors(nimbus, name), options["as_json"]))
            return
        before, at, printed = 0, clock.now(), 0
        while True:
            executors = of_component(_executors(nimbus, name), component)
            count, now = counted(executors, watched, stream), clock.now()
            if not printed and not options["as_json"]:
                click.echo("\t".join(heads(watched)))
            ms = round((now - at) * 1_000) if printed else 0
            figures = [
                name,
                component,
                len(executors),
                stream,
                ms,
                count - before,
                (count - before) / ms if ms else 0.0,
            ]
            click.echo(
                json.dumps(dict(zip(heads(watched), figures, strict=True)))
                if options["as_json"]
                else "\t".join(map(str, figures))
            )
            before, at, printed = count, now, printed + 1
            if printed == options["count"]:
                return
            clock.sleep(options["interval"])


def heads(watched: str) -> list[str]:
    """Storm's heads of the columns."""
    return ["topology", "component", "parallelism", "stream", "time-diff ms", watched, "throughput (Kt/s)"]


def component_list(name: str, executors: list[Any], as_json: bool) -> str:
    """What there is to choose from, as Storm says it."""
    known = known_components(executors)
    if as_json:
        return json.dumps({"topology": name, "components": known})
    line = "-" * 18
    return "\n".join(
        [f"Available components for {name} :", line, *known, line, "Please use -m to specify one component"]
    )


def known_components(executors: list[Any]) -> list[str]:
    """The user's components."""
    return sorted({executor.component_id for executor in executors if not executor.component_id.startswith("__")})


def _executors(nimbus: Any, name: str) -> list[Any]:
    from storm.thrift.interface import storm_thrift

    t = storm_thrift()
    none = t.GetInfoOptions(num_err_choice=t.NumErrorsChoice.NONE)
    return list(nimbus.call("getTopologyInfoByNameWithOpts", name, none).executors)


def of_component(executors: list[Any], component: str) -> list[Any]:
    """Those of one component. Raises StormError, naming what there is."""
    found = [executor for executor in executors if executor.component_id == component]
    if not found:
        raise StormError(f"no component {component!r}; there are {', '.join(known_components(executors))}")
    return found


def counted(executors: list[Any], watched: str, stream: str) -> int:
    """The all-time count of `watched` on a stream, over these executors; acks and fails of bolts by input stream.

    Raises StormError, naming the streams, where executors emit on some and none of them on this one.
    """
    total = 0
    streams: set[str] = set()
    for executor in executors:
        for name, count in _all_time(executor.stats, watched) if executor.stats is not None else ():
            streams.add(name)
            total += count if name == stream else 0
    if watched in EMITS and streams and stream not in streams:
        raise StormError(f"it emits on no stream {stream!r}; there are {', '.join(sorted(streams))}")
    return total


def _all_time(stats: Any, watched: str) -> list[tuple[str, int]]:
    """(stream, count), a stream more than once where a bolt has it of several components."""
    if watched in EMITS:
        return list((getattr(stats, watched).get(ALL_TIME) or {}).items())
    if stats.specific.spout is not None:
        return list((getattr(stats.specific.spout, watched).get(ALL_TIME) or {}).items())
    per_input = getattr(stats.specific.bolt, watched).get(ALL_TIME) or {}
    return [(source.streamId, count) for source, count in per_input.items()]
