"""`storm status`: one topology, as a person wants to see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from storm.cli.insight import insight_lines
from storm.cli.options import as_json, connect_nimbus, with_settings
from storm.cli.output import duration, plural, print_json, table
from storm.cli.version import what_runs
from storm.config.addresses import joined

if TYPE_CHECKING:
    from storm.config.settings import Settings

WINDOWS = {"10m": "600", "3h": "10800", "1d": "86400", "all": ":all-time"}
ERROR_CHARS = 120
LAST_LINES = 5  # of a failing worker's log; `storm logs` has the rest
STATES = {
    "running": "runs again",
    "waiting-for-worker-start": "is starting again",
    "waiting-for-blobs": "is waiting for its code",
    "building-environment": "is waiting for its environment",
    "killing": "is being ended",
}


@click.command()
@click.argument("name")
@click.option("--window", type=click.Choice(list(WINDOWS)), default="all", help="Over which time to count.")
@click.option("--system", is_flag=True, help="System components too.")
@as_json
@with_settings
def status(settings: Settings, name: str, window: str, system: bool, as_json: bool) -> None:
    """Show topology NAME: its components, what keeps its spouts from emitting, its workers, and those that fail."""
    from storm.thrift.interface import storm_thrift

    t = storm_thrift()
    one_each = t.GetInfoOptions(num_err_choice=t.NumErrorsChoice.ONE)
    with connect_nimbus(settings) as nimbus:
        topology_id = nimbus.call("getTopologySummaryByName", name).id
        page = nimbus.call("getTopologyPageInfo", topology_id, WINDOWS[window], system)
        # Not those of the page: it has none of __system, where supervisors tell of workers that do not start.
        errors = last_errors(nimbus.call("getTopologyInfoWithOpts", topology_id, one_each))
    if as_json:
        print_json({**page_as_dict(page), "errors": errors})
        return
    head = f"{page.name}  {page.status}  up {duration(page.uptime_secs)}  {page.id}"
    click.echo(click.style(head, bold=True))
    counts = (
        f"{plural(page.num_workers, 'worker')}, {plural(page.num_executors, 'executor')}, "
        f"{plural(page.num_tasks, 'task')}."
    )
    click.echo(f"{counts} {page.sched_status or ''}".rstrip())
    click.echo()
    click.echo(component_table(page))
    if page.workers:
        click.echo()
        click.echo(worker_table(page))
    for line in insight_lines(page):
        click.echo(f"\n{line}")
    for failure in page.slot_failures or []:
        click.echo()
        click.echo(failure_text(failure))
    for component, error in errors.items():
        where = f"of {component} on {error['host']}:{error['port']}"
        click.echo(f"\n{click.style('last error', fg='red')} {where}: {headline(error['error'])}")
    if errors:
        click.echo(f"\n`storm get-errors {page.name}` shows them whole")
    click.echo(f"\nthis command: {what_runs()}; each worker's log begins with its own")


def component_table(page: Any) -> str:
    """Spouts, then bolts."""
    head = [
        "component",
        "kind",
        "executors",
        "tasks",
        "emitted",
        "transferred",
        "acked",
        "failed",
        "latency ms",
        "capacity",
    ]
    rows: list[list[object]] = []
    for component_id, stats in sorted((page.id_to_spout_agg_stats or {}).items()):
        specific = stats.specific_stats.spout if stats.specific_stats else None
        rows.append([component_id, "spout", *_counts(stats), specific.complete_latency_ms if specific else None, None])
    for component_id, stats in sorted((page.id_to_bolt_agg_stats or {}).items()):
        bolt = stats.specific_stats.bolt if stats.specific_stats else None
        rows.append(
            [
                component_id,
                "bolt",
                *_counts(stats),
                bolt.process_latency_ms if bolt else None,
                bolt.capacity if bolt else None,
            ]
        )
    return table(head, rows)


def _counts(stats: Any) -> list[object]:
    c = stats.common_stats
    return [c.num_executors, c.num_tasks, c.emitted, c.transferred, c.acked, c.failed]


def worker_table(page: Any) -> str:
    """Where it runs."""
    rows = [
        [joined(w.host, w.port), w.num_executors, duration(w.uptime_secs) if w.uptime_secs is not None else "starting",
         ", ".join(f"{name} x{count}" for name, count in sorted((w.component_to_num_tasks or {}).items()))]
        for w in sorted(page.workers, key=lambda w: (w.host, w.port))
    ]  # fmt: skip
    return table(["worker", "executors", "uptime", "tasks"], rows)


def failure_text(failure: Any) -> str:
    """A slot whose worker died lately: how often, why, its last lines, when it is tried again. Or what it waits for."""
    if failure.deaths == 0:
        return f"{failure.host}:{failure.port} {failure.reason}"
    if failure.retry_secs is not None:
        now = f"is tried again in {duration(failure.retry_secs)}"
    else:
        now = STATES.get(failure.state, failure.state)
    head = f"{joined(failure.host, failure.port)} died {plural(failure.deaths, 'time')} in a row and {now}"
    lines = [f"{click.style(head, fg='red')}: it {failure.reason}"]
    return "\n".join(lines + [f"    {line}" for line in (failure.last_lines or "").splitlines()[-LAST_LINES:]])


def last_errors(info: Any) -> dict[str, dict[str, Any]]:
    """{component: its last error} of a TopologyInfo, for the components that have one, __system among them."""
    return {
        component_id: {"error": last.error, "time_secs": last.error_time_secs, "host": last.host, "port": last.port}
        for component_id, found in sorted((info.errors or {}).items())
        for last in found[:1]
    }


def headline(error: str) -> str:
    """The line that says most: the last one of a traceback, else the first one."""
    lines = error.strip().splitlines() or [""]
    return (lines[-1] if lines[0].startswith("Traceback") else lines[0])[:ERROR_CHARS]


def page_as_dict(page: Any) -> dict[str, Any]:
    """A TopologyPageInfo as plain data."""

    def aggregate(stats: Any) -> dict[str, Any]:
        common, specific = stats.common_stats, stats.specific_stats
        inner = (specific.bolt or specific.spout) if specific else None
        insight = {} if stats.insight is None else {"insight": _public(stats.insight)}
        return {**_public(common), **(_public(inner) if inner else {}), **insight}

    return {
        **{
            key: getattr(page, key)
            for key in ("id", "name", "status", "uptime_secs", "num_workers", "num_executors", "num_tasks")
        },
        "spouts": {key: aggregate(stats) for key, stats in (page.id_to_spout_agg_stats or {}).items()},
        "bolts": {key: aggregate(stats) for key, stats in (page.id_to_bolt_agg_stats or {}).items()},
        "topology_stats": _public(page.topology_stats) if page.topology_stats else {},
        "workers": [_public(worker) for worker in page.workers or []],
        "slot_failures": [_public(failure) for failure in page.slot_failures or []],
    }


def _public(struct: Any) -> dict[str, Any]:
    found = {key: value for key, value in vars(struct).items() if value is not None and not key.startswith("_")}
    return {key: _public(value) if hasattr(value, "thrift_spec") else value for key, value in found.items()}
