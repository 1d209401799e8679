"""What `storm status` says of executors that do not work, and why; and `storm failures`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from storm.cli.options import as_json, connect_nimbus, with_settings
from storm.cli.output import duration, plural, print_json, printable
from storm.config.addresses import joined
from storm.errors import StormError
from storm.metrics.insight_records import IN_CALL, OPENING, WAITS_FOR_THREAD

if TYPE_CHECKING:
    from storm.config.settings import Settings

HALTED = {IN_CALL, WAITS_FOR_THREAD, OPENING}  # of a bolt that waits for others to take tuples, these are told of


def insight_lines(page: Any) -> list[str]:
    """A line for each spout that does not emit, each bolt that others wait for, each worker that misses its peers.

    `page` is a TopologyPageInfo; an older Nimbus tells nothing of this.
    """
    found = []
    for component_id, stats in sorted((page.id_to_spout_agg_stats or {}).items()):
        if stats.insight is not None:
            found += _spout_lines(component_id, stats.insight)
    for component_id, stats in sorted((page.id_to_bolt_agg_stats or {}).items()):
        if stats.insight is not None:
            found += _bolt_lines(component_id, stats.insight)
    for worker in sorted(page.workers or [], key=lambda each: (each.host, each.port)):
        if worker.insight is not None:
            found += _worker_lines(joined(worker.host, worker.port), worker.insight)
    return found


def _spout_lines(component_id: str, insight: Any) -> list[str]:
    if insight.silent:
        return [f"{_head(component_id, 'emits nothing')}{_of(insight.silent, insight)}: {insight.text}"]
    if insight.text:
        return [f"{_head(component_id, 'emits less than it could')}: {insight.text}"]
    return []


def _bolt_lines(component_id: str, insight: Any) -> list[str]:
    found = []
    if insight.full:
        queue = (
            f"{plural(insight.queue_max or 0, 'tuple')} in its longest queue; the mark is {insight.queue_mark or 0:,}"
        )
        found.append(f"{_head(component_id, 'causes back pressure')}{_of(insight.full, insight)}: {queue}")
    halted = sum(count for reason, count in (insight.reasons or {}).items() if reason in HALTED)
    if halted:
        found.append(f"{_head(component_id, 'stands still')}{_of(halted, insight)}: {insight.text}")
    return found


def _worker_lines(worker: str, insight: Any) -> list[str]:
    found = []
    if insight.missing_peers:
        found.append(f"{_head(worker, 'has no connection')} to {', '.join(insight.missing_peers)}")
    if insight.slow_peers:
        found.append(f"{_head(worker, 'sends more')} than is taken by {', '.join(insight.slow_peers)}")
    if insight.dropped:
        told = "; ".join(f"{count:,} {why}" for why, count in sorted(insight.dropped.items()))
        found.append(f"{_head(worker, 'has dropped')}, since it began: {told}")
    return found


def _head(who: str, what: str) -> str:
    return f"{click.style(who, bold=True)} {click.style(what, fg='yellow')}"


def _of(count: int, insight: Any) -> str:
    return "" if count == insight.known else f" in {count} of {plural(insight.known, 'executor')}"


@click.command()
@click.argument("name")
@click.argument("spout", required=False)
@as_json
@with_settings
def failures(settings: Settings, name: str, spout: str | None, as_json: bool) -> None:
    """Print the tuples of topology NAME's spouts that failed last: why, who failed or held them, and how old they were.

    With SPOUT only those of one spout. A worker keeps the last ten of each executor, and tells them every few seconds.
    """
    with connect_nimbus(settings) as nimbus:
        topology_id = nimbus.call("getTopologySummaryByName", name).id
        page = nimbus.call("getTopologyPageInfo", topology_id, ":all-time", False)
        spouts = sorted(page.id_to_spout_agg_stats or {})
        if spout is not None and spout not in spouts:
            raise StormError(f"{name} has no spout {spout!r}; there are {', '.join(spouts)}")
        found = {
            each: nimbus.call("getComponentPageInfo", topology_id, each, ":all-time", False).failures or []
            for each in (spouts if spout is None else [spout])
        }
    if as_json:
        print_json({each: [failure_as_dict(failure) for failure in failed] for each, failed in found.items()})
        return
    if not any(found.values()):
        click.echo(f"{name}: no tuple has failed lately")
    for each, failed in found.items():
        for failure in failed:
            click.echo(failure_text(each, failure))


def failure_text(spout: str, failure: Any) -> str:
    """Two lines: when and what; why."""
    from storm.clock import format_wall

    where = joined(failure.host or "", failure.port or 0)
    head = f"{format_wall(failure.time_secs)}  {failure.message_id}  of {spout}, task {failure.task} on {where}"
    why = printable(failure.text or "")
    return f"{click.style(printable(head), bold=True)}\n  {why}, {duration(failure.age_secs or 0)} after its emit"


def failure_as_dict(failure: Any) -> dict[str, Any]:
    """A TupleFailure as plain data."""
    names = ("time_secs", "message_id", "task", "kind", "component", "text", "age_secs", "host", "port")
    return {key: getattr(failure, key) for key in names}
