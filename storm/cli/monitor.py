"""`storm monitor`: throughput of a topology, every few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from storm.cli.options import connect_nimbus, with_settings
from storm.errors import StormError
from storm.metrics.stats_records import ALL_TIME

if TYPE_CHECKING:
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
@with_settings
def monitor(settings: Settings, name: str, **options: Any) -> None:
    """Print the throughput of topology NAME, as Storm's monitor does, until Ctrl-C."""
    from storm.clock import SystemClock
    from storm.thrift.interface import storm_thrift

    t, clock = storm_thrift(), SystemClock()
    none = t.GetInfoOptions(num_err_choice=t.NumErrorsChoice.NONE)
    click.echo("topology  component  parallelism  stream  time-diff ms  " + options["watched"] + "  throughput (Kt/s)")
    before: tuple[float, int] | None = None
    printed = 0
    with connect_nimbus(settings) as nimbus:
        while options["count"] is None or printed < options["count"]:
            info = nimbus.call("getTopologyInfoByNameWithOpts", name, none)
            executors = chosen_executors(info.executors, options["component"])
            now, count = clock.now(), counted(executors, options["watched"], options["stream"])
            if before is not None:
                ms, difference = (now - before[0]) * 1_000, count - before[1]
                where = options["component"] or "(all)"
                head = f"{name}  {where}  {len(executors)}  {options['stream']}"
                click.echo(f"{head}  {ms:.0f}  {difference:,}  {difference / ms:.3f}")
                printed += 1
            before = (now, count)
            if printed != options["count"]:
                clock.sleep(options["interval"])


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
