"""`storm status`: one topology, as a person wants to see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from storm.cli.options import as_json, connect_nimbus, with_settings
from storm.cli.output import Toned, duration, narrow_table, plural, print_json, printable, table
from storm.cli.version import what_runs
from storm.cli.watch import Look, Watching, watch, watch_options
from storm.config.addresses import joined
from storm.diagnosis.facts import Severity, Trouble
from storm.diagnosis.nimbus_pages import WINDOW, facts
from storm.diagnosis.topology import RECENT_SECS, busy_level, troubles
from storm.diagnosis.wording import headline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storm.config.settings import Settings

WINDOWS = {"10m": "600", "3h": "10800", "1d": "86400", "all": ":all-time"}
COUNTED = ("emitted", "transferred", "acked", "failed")
RATED = ("emitted", "acked", "failed")  # the rate of what is transferred says little more than that of what is emitted
DISPENSABLE = ("transferred", "tasks", "kind", "acked", "emitted", "executors")  # in a window that is too narrow
TONES = {"bad": "red", "warn": "yellow"}  # of a bolt's capacity
LAST_LINES = 5  # of a failing worker's log; `storm logs` has the rest
WORDS = {
    Severity.CRITICAL: ("trouble", "red"),
    Severity.WARNING: ("warning", "yellow"),
    Severity.NOTE: ("note", None),
}


@click.command()
@click.argument("name")
@click.option("--window", type=click.Choice(list(WINDOWS)), default="all", help="Over which time to count.")
@click.option("--system", is_flag=True, help="System components too.")
@watch_options
@as_json
@with_settings
def status(settings: Settings, name: str, window: str, system: bool, as_json: bool, **watching: Any) -> None:
    """Show topology NAME: its components, what keeps its spouts from emitting, its workers, and those that fail.

    With --watch it is shown again and again, with rates a second.
    """
    from storm.clock import SystemClock

    if not watching["watch"]:
        with connect_nimbus(settings) as nimbus:
            seen = look_at(nimbus, name, window, system)
        if as_json:
            print_json(look_as_dict(seen))
        else:
            click.echo(status_text([Look(0.0, seen)], None))
            click.echo(f"\nthis command: {what_runs()}; each worker's log begins with its own")
        return
    with connect_nimbus(settings, leader_wait_secs=0.0) as nimbus:
        watched = Watching(
            lambda: look_at(nimbus, name, window, system),
            status_text,
            lambda looks: {**look_as_dict(looks[-1].seen), "rates": rates(looks)},
        )
        watch(watched, SystemClock(), watching["interval"], watching["count"], as_json)


class Seen(NamedTuple):
    """What Nimbus says of a topology. `ever`: its page since its start, where `page` is of a window.

    `errors`: the last one of each component. `wall_secs`: when that was.
    """

    page: Any
    ever: Any
    errors: dict[str, dict[str, Any]]
    levels: dict[str, str]
    troubles: list[Trouble]
    wall_secs: int


def look_at(nimbus: Any, name: str, window: str, system: bool) -> Seen:
    """Ask Nimbus. Raises StormError."""
    from storm.clock import SystemClock
    from storm.thrift.interface import storm_thrift

    t = storm_thrift()
    one_each = t.GetInfoOptions(num_err_choice=t.NumErrorsChoice.ONE)
    topology_id = nimbus.call("getTopologySummaryByName", name).id
    pages = {
        each: nimbus.call("getTopologyPageInfo", topology_id, each, system)
        for each in dict.fromkeys((WINDOWS[window], WINDOWS["all"], WINDOW))
    }
    # Not those of the page: it has none of __system, where supervisors tell of workers that do not start.
    errors = last_errors(nimbus.call("getTopologyInfoWithOpts", topology_id, one_each))
    levels, now = set_levels(nimbus.call("getLogConfig", topology_id)), SystemClock().wall_secs()
    return Seen(pages[WINDOWS[window]], pages[WINDOWS["all"]], errors, levels, troubles(facts(pages[WINDOW], now)), now)


def look_as_dict(seen: Seen) -> dict[str, Any]:
    """As plain data."""
    found = [{**one._asdict(), "severity": one.severity.name.lower()} for one in seen.troubles]
    return {**page_as_dict(seen.page), "troubles": found, "errors": seen.errors, "log_levels": seen.levels}


def set_levels(config: Any) -> dict[str, str]:
    """{logger: "DEBUG", "DEBUG for 25 s"} of a LogConfig: the levels that were set and hold."""
    found = {}
    for logger, level in sorted((config.named_logger_level or {}).items()):
        secs = level.reset_log_level_timeout_secs
        if secs is None:
            found[logger] = level.target_log_level
        elif secs > 0:
            found[logger] = f"{level.target_log_level} for {duration(secs)}"
        elif level.reset_log_level:
            found[logger] = level.reset_log_level
    return found


def rates(looks: Sequence[Look]) -> dict[str, dict[str, float | None]]:
    """{component: {"emitted": a second, ...}} between the first and the last look; None: not known, as at a restart."""
    first, last = looks[0], looks[-1]
    secs = last.at - first.at
    before = _counters(first.seen.ever) if first.seen.page.id == last.seen.page.id else {}
    found: dict[str, dict[str, float | None]] = {}
    for component, counts in _counters(last.seen.ever).items():
        earlier = before.get(component)
        if secs <= 0 or earlier is None or any(counts[name] < earlier[name] for name in counts):
            found[component] = dict.fromkeys(counts)
        else:
            found[component] = {name: (count - earlier[name]) / secs for name, count in counts.items()}
    return found


def _counters(page: Any) -> dict[str, dict[str, int]]:
    """{component: {name: how many so far}}."""
    parts = {**(page.id_to_spout_agg_stats or {}), **(page.id_to_bolt_agg_stats or {})}
    return {
        component: {name: getattr(stats.common_stats, name) or 0 for name in RATED}
        for component, stats in parts.items()
    }


def status_text(looks: Sequence[Look], width: int | None) -> str:
    """The last look for people, with rates if there are several, in at most `width` columns where that can be."""
    seen = looks[-1].seen
    page, levels = seen.page, seen.levels
    colour = None if page.status == "ACTIVE" else "yellow"
    lines = [
        click.style(f"{page.name}  ", bold=True)
        + click.style(page.status, bold=True, fg=colour)
        + click.style(f"  up {duration(page.uptime_secs)}  {page.id}", bold=True)
    ]
    counts = (
        f"{plural(page.num_workers, 'worker')}, {plural(page.num_executors, 'executor')}, "
        f"{plural(page.num_tasks, 'task')}."
    )
    lines += [f"{counts} {page.sched_status or ''}".rstrip()]
    if levels:
        lines.append(f"log levels: {', '.join(f'{printable(logger)} {level}' for logger, level in levels.items())}")
    lines += ["", component_table(page, rates(looks) if len(looks) > 1 else None, width)]
    if page.workers:
        lines += ["", worker_table(page)]
    for one in seen.troubles:
        lines += ["", trouble_text(one)]
    for failure in page.slot_failures or []:
        if failure.deaths and failure.last_lines:
            lines += ["", last_lines_text(failure)]
    for component, error in untold(seen).items():
        where = f"of {component} on {joined(error['host'], error['port'])}"
        lines += ["", f"{click.style('last error', fg='red')} {where}: {printable(headline(error['error']))}"]
    if seen.errors:
        lines += ["", f"`storm get-errors {page.name}` shows errors whole"]
    return "\n".join(lines)


def component_table(
    page: Any, a_second: dict[str, dict[str, float | None]] | None = None, width: int | None = None
) -> str:
    """Spouts, then bolts; with rates if they are given."""
    head = ["component", "kind", "executors", "tasks"]
    for name in COUNTED:
        head += [name, f"{name}/s"] if a_second is not None and name in RATED else [name]
    head += ["latency ms", "capacity"]
    rows: list[list[object]] = []
    for component_id, stats in sorted((page.id_to_spout_agg_stats or {}).items()):
        specific = stats.specific_stats.spout if stats.specific_stats else None
        latency_ms = specific.complete_latency_ms if specific and stats.common_stats.acked else None
        rows.append([component_id, "spout", *_counts(stats, component_id, a_second), latency_ms, None])
    for component_id, stats in sorted((page.id_to_bolt_agg_stats or {}).items()):
        bolt = stats.specific_stats.bolt if stats.specific_stats else None
        capacity = bolt.capacity if bolt else None
        latency_ms = bolt.process_latency_ms if bolt and stats.common_stats.acked else None
        rows.append([component_id, "bolt", *_counts(stats, component_id, a_second), latency_ms, _busy(capacity)])
    return narrow_table(head, rows, width, DISPENSABLE)


def _counts(stats: Any, component_id: str, a_second: dict[str, dict[str, float | None]] | None) -> list[object]:
    c = stats.common_stats
    cells: list[object] = [c.num_executors, c.num_tasks]
    known = (a_second or {}).get(component_id, {})
    for name in COUNTED:
        count, rate = getattr(c, name), known.get(name)
        is_failing = name == "failed" and bool(count)
        cells.append(Toned(count, "yellow") if is_failing else count)
        if a_second is not None and name in RATED:
            shown = None if rate is None else round(rate)
            cells.append(Toned(max(1, shown), "red") if is_failing and shown is not None and rate else shown)
    return cells


def _busy(capacity: float | None) -> object:
    """A bolt that is busy nearly all the time holds up those before it."""
    level = busy_level(capacity) if capacity is not None else ""
    return Toned(capacity, TONES[level]) if level else capacity


def worker_table(page: Any) -> str:
    """Where it runs, and what each worker's process takes there: resident memory, CPU in percent of a core."""
    rows = [
        [joined(w.host, w.port), w.num_executors, _uptime(w),
         _whole(w.used_mem), _whole(w.used_cpu),
         ", ".join(f"{name} x{count}" for name, count in sorted((w.component_to_num_tasks or {}).items()))]
        for w in sorted(page.workers, key=lambda w: (w.host, w.port))
    ]  # fmt: skip
    return table(["worker", "executors", "uptime", "memory MB", "cpu %", "tasks"], rows)


def _uptime(worker: Any) -> str:
    if worker.uptime_secs is None:
        return "starting"
    told = worker.insight
    is_opening = told is not None and told.opening_components and not told.missing_peers
    return "preparing" if is_opening else duration(worker.uptime_secs)


def _whole(figure: float | None) -> int | None:
    return None if figure is None else round(figure)


def trouble_text(one: Trouble) -> str:
    """How bad it is, what it is, and below it what to do."""
    word, colour = WORDS[one.severity]
    return f"{click.style(word, bold=True, fg=colour)}: {printable(one.what)}\n    {printable(one.advice)}".rstrip()


def last_lines_text(failure: Any) -> str:
    """Of the log of a worker that died lately."""
    lines = failure.last_lines.splitlines()[-LAST_LINES:]
    return "\n".join(
        [f"{joined(failure.host, failure.port)} wrote last:", *(f"    {printable(line, lines=True)}" for line in lines)]
    )


def untold(seen: Seen) -> dict[str, dict[str, Any]]:
    """The last errors that no trouble tells of: of __system, and those that are no news any more."""
    components = {*(seen.page.id_to_spout_agg_stats or {}), *(seen.page.id_to_bolt_agg_stats or {})}
    return {
        component: error
        for component, error in seen.errors.items()
        if component not in components or seen.wall_secs - error["time_secs"] > RECENT_SECS
    }


def last_errors(info: Any) -> dict[str, dict[str, Any]]:
    """{component: its last error} of a TopologyInfo, for the components that have one, __system among them."""
    return {
        component_id: {"error": last.error, "time_secs": last.error_time_secs, "host": last.host, "port": last.port}
        for component_id, found in sorted((info.errors or {}).items())
        for last in found[:1]
    }


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
