"""`storm monitor`: throughput of a topology, every few seconds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from storm.cli.options import as_json, connect_nimbus, with_settings
from storm.errors import StormError
from storm.metrics.stats_records import ALL_TIME

if TYPE_CHECKING:
    from storm.clock import Clock
    from storm.config.settings import Settings

WATCHED = ("emitted", "transferred", "acked", "failed")


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
@click.option("-m", "--component", help="Only this component (default: all but the system's).")
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
    """Print the throughput of topology NAME, as Storm's monitor does, until Ctrl-C; with --json a line each look."""
    from storm.clock import SystemClock

    clock = SystemClock()
    head = ["topology", "component", "parallelism", "stream", "time-diff ms", options["watched"], "throughput Kt/s"]
    if not options["as_json"]:
        click.echo(_line(head))
    printed = 0
    with connect_nimbus(settings) as nimbus:
        began, before, _ = _look(nimbus, name, options, clock)
        while options["count"] is None or printed < options["count"]:
            clock.sleep(options["interval"])
            now, count, executors = _look(nimbus, name, options, clock)
            ms, difference = (now - began) * 1_000, count - before
            found = [name, options["component"] or "(all)", executors, options["stream"], round(ms), difference]
            if options["as_json"]:
                click.echo(json.dumps(dict(zip(head, [*found, difference / ms], strict=True))))
            else:
                click.echo(_line([*map(str, found), f"{difference / ms:.3f}"]))
            began, before, printed = now, count, printed + 1


def _line(cells: list[str]) -> str:
    return "  ".join(cell.ljust(12) for cell in cells).rstrip()


def _look(nimbus: Any, name: str, options: dict[str, Any], clock: Clock) -> tuple[float, int, int]:
    """When it was, the count so far, and of how many executors."""
    from storm.thrift.interface import storm_thrift

    t = storm_thrift()
    none = t.GetInfoOptions(num_err_choice=t.NumErrorsChoice.NONE)
    info = nimbus.call("getTopologyInfoByNameWithOpts", name, none)
    executors = chosen_executors(info.executors, options["component"])
    return clock.now(), counted(executors, options["watched"], options["stream"]), len(executors)


def chosen_executors(executors: list[Any], component: str | None) -> list[Any]:
    """Those of one component, or of all of the user's. Raises StormError, naming what there is."""
    users = [executor for executor in executors if not executor.component_id.startswith("__")]
    if component is None:
        return users
    found = [executor for executor in executors if executor.component_id == component]
    if not found:
        known = ", ".join(sorted({executor.component_id for executor in users}))
        raise StormError(f"no component {component!r}; there are {known}")
    return found


def counted(executors: list[Any], watched: str, stream: str) -> int:
    """The all-time count of `watched` on a stream, over these executors; acks and fails of bolts by input stream."""
    total = 0
    for executor in executors:
        stats = executor.stats
        if stats is None:
            continue
        if watched in ("emitted", "transferred"):
            total += (getattr(stats, watched).get(ALL_TIME) or {}).get(stream, 0)
        elif stats.specific.spout is not None:
            total += (getattr(stats.specific.spout, watched).get(ALL_TIME) or {}).get(stream, 0)
        else:
            per_input = getattr(stats.specific.bolt, watched).get(ALL_TIME) or {}
            total += sum(count for source, count in per_input.items() if source.streamId == stream)
    return int(total)
