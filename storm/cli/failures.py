"""`storm failures`: the tuples that failed last, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from storm.cli.options import as_json, connect_nimbus, with_settings
from storm.cli.output import duration, print_json, printable
from storm.config.addresses import joined
from storm.errors import StormError

if TYPE_CHECKING:
    from storm.config.settings import Settings


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
