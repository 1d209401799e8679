"""Commands on running topologies: list, kill, activate, deactivate, rebalance, get-errors, set-log-level."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from storm.cli.hosts import drained_lines
from storm.cli.options import as_json, connect_nimbus, wait_before, with_settings
from storm.cli.output import Toned, duration, narrow_table, print_json, printable
from storm.cli.watch import Watching, watch, watch_options
from storm.config.addresses import joined
from storm.errors import StormError
from storm.level_names import known_level

if TYPE_CHECKING:
    from storm.config.settings import Settings


@click.command("list")
@watch_options
@as_json
@with_settings
def list_topologies(settings: Settings, as_json: bool, **watching: Any) -> None:
    """List the topologies of the cluster."""
    from storm.clock import SystemClock

    if watching["watch"]:
        with connect_nimbus(settings, leader_wait_secs=0.0) as nimbus:
            watched = Watching(
                lambda: nimbus.call("getClusterInfo"),
                lambda looks, width: list_text(looks[-1].seen, width),
                lambda looks: [summary_as_dict(summary) for summary in looks[-1].seen.topologies],
            )
            watch(watched, SystemClock(), watching["interval"], watching["count"], as_json)
        return
    with connect_nimbus(settings) as nimbus:
        cluster = nimbus.call("getClusterInfo")
    if as_json:
        print_json([summary_as_dict(summary) for summary in cluster.topologies])
    else:
        click.echo(list_text(cluster, None))


def list_text(cluster: Any, width: int | None) -> str:
    """A ClusterSummary's topologies for people, what each lacks to run as it should, and which hosts are drained."""
    head = ["name", "status", "tasks", "executors", "workers", "uptime", "id", "owner"]
    rows: list[list[object]] = [
        [
            s.name,
            Toned(s.status, None if s.status == "ACTIVE" else "yellow"),
            s.num_tasks,
            s.num_executors,
            s.num_workers,
            duration(s.uptime_secs),
            s.id,
            s.owner or None,
        ]
        for s in cluster.topologies
    ]
    shown = narrow_table(head, rows, width, ("owner", "id", "tasks", "executors"))
    if not rows:
        shown = "no topologies run; `storm submit FILE --name NAME` starts one"
    lacks = [f"{s.name}: {printable(s.sched_status)}" for s in cluster.topologies if s.sched_status]
    return "\n\n".join([shown, *lacks, *drained_lines(cluster)])


def summary_as_dict(summary: Any) -> dict[str, Any]:
    """A TopologySummary with Storm's names of its fields."""
    names = (
        "id",
        "name",
        "status",
        "num_tasks",
        "num_executors",
        "num_workers",
        "uptime_secs",
        "owner",
        "topology_version",
        "sched_status",
    )
    return {name: getattr(summary, name) for name in names}


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@wait_before("stopping the workers")
@click.option("-i", "--ignore-errors", is_flag=True, help="Go on with the next name after an error.")
@with_settings
def kill(settings: Settings, names: tuple[str, ...], wait_secs: int | None, ignore_errors: bool) -> int:
    """Stop topologies: their spouts at once, their workers after the wait; then remove them."""
    from storm.thrift.interface import storm_thrift

    failures = 0
    with connect_nimbus(settings) as nimbus:
        for name in names:
            try:
                nimbus.call("killTopologyWithOpts", name, storm_thrift().KillOptions(wait_secs=wait_secs))
                click.echo(f"{name}: spouts stopped, its workers follow {_after(wait_secs)}")
            except StormError as error:
                if not ignore_errors:
                    raise
                failures += 1
                click.echo(f"{name}: {error}", err=True)
    return 1 if failures else 0


def _after(wait_secs: int | None) -> str:
    if wait_secs is None:
        return "after its message timeout"
    return f"after {duration(wait_secs)}" if wait_secs else "at once"


@click.command()
@click.argument("name")
@with_settings
def activate(settings: Settings, name: str) -> None:
    """Let the spouts of topology NAME emit again."""
    with connect_nimbus(settings) as nimbus:
        nimbus.call("activate", name)
    click.echo(f"{name} is active")


@click.command()
@click.argument("name")
@with_settings
def deactivate(settings: Settings, name: str) -> None:
    """Stop the spouts of topology NAME; its bolts work off what is under way."""
    with connect_nimbus(settings) as nimbus:
        nimbus.call("deactivate", name)
    click.echo(f"{name} is inactive")


@click.command()
@click.argument("name")
@wait_before("moving executors")
@click.option("-n", "--num-workers", type=click.IntRange(min=1), help="How many workers it shall have.")
@click.option(
    "-e",
    "--executor",
    "executors",
    multiple=True,
    metavar="COMPONENT=N",
    help="How many executors a component shall have. Repeatable.",
)
@click.option("-t", "--topology-conf", metavar="JSON", help="Settings to change, a JSON object.")
@with_settings
def rebalance(
    settings: Settings,
    name: str,
    wait_secs: int | None,
    num_workers: int | None,
    executors: tuple[str, ...],
    topology_conf: str | None,
) -> None:
    """Change the number of workers and executors of topology NAME while it runs.

    The number of tasks never changes, so a component has at most as many executors as tasks.
    """
    from storm.thrift.interface import storm_thrift

    wanted = parse_executors(executors)
    overrides = _json_object(topology_conf) if topology_conf is not None else None
    options = storm_thrift().RebalanceOptions(
        wait_secs=wait_secs,
        num_workers=num_workers,
        num_executors=wanted or None,
        topology_conf_overrides=overrides,
    )
    with connect_nimbus(settings) as nimbus:
        nimbus.call("rebalance", name, options)
    click.echo(f"{name}: spouts paused, its executors move {_after(wait_secs)}")


def parse_executors(words: tuple[str, ...]) -> dict[str, int]:
    """`("split=4",)` -> {"split": 4}. Raises click.BadParameter."""
    wanted: dict[str, int] = {}
    for word in words:
        component, equals, count = word.rpartition("=")
        if not equals or not component or not count.isdecimal() or int(count) < 1:
            raise click.BadParameter(f"expected COMPONENT=N with N at least 1, got {word!r}", param_hint="-e")
        wanted[component] = int(count)
    return wanted


def _json_object(text: str) -> str:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="-t") from None
    if not isinstance(value, dict):
        raise click.BadParameter(
            "expected a JSON object such as '{\"topology.max.spout.pending\": 100}'", param_hint="-t"
        )
    return text


@click.command("get-errors")
@click.argument("name")
@click.option(
    "--all", "everything", is_flag=True, help="All errors that are kept, not only the last of each component."
)
@as_json
@with_settings
def get_errors(settings: Settings, name: str, everything: bool, as_json: bool) -> None:
    """Print the last errors of topology NAME, by component, with host, port and traceback."""
    from storm.clock import format_wall
    from storm.thrift.interface import storm_thrift

    t = storm_thrift()
    choice = t.NumErrorsChoice.ALL if everything else t.NumErrorsChoice.ONE
    with connect_nimbus(settings) as nimbus:
        info = nimbus.call("getTopologyInfoByNameWithOpts", name, t.GetInfoOptions(num_err_choice=choice))
    errors = {component: found for component, found in sorted((info.errors or {}).items()) if found}
    if as_json:
        names = ("error", "error_time_secs", "host", "port")
        print_json({c: [{key: getattr(e, key) for key in names} for e in found] for c, found in errors.items()})
    elif not errors:
        click.echo(f"{name}: no errors")
    for component, found in errors.items() if not as_json else ():
        for error in found:
            head = f"{component}  {format_wall(error.error_time_secs)}  {joined(error.host, error.port)}"
            click.echo(f"{click.style(head, bold=True)}\n{_indented(printable(error.error, lines=True))}\n")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.rstrip().splitlines())


@click.command("set-log-level")
@click.argument("name")
@click.option(
    "-l",
    "--level",
    "levels",
    multiple=True,
    metavar="LOGGER=LEVEL[:SECS]",
    help="Set a logger's level, for SECS seconds or for good; ROOT is the root logger.",
)
@click.option("-r", "--reset", "resets", multiple=True, metavar="LOGGER", help="Take back what was set for a logger.")
@with_settings
def set_log_level(settings: Settings, name: str, levels: tuple[str, ...], resets: tuple[str, ...]) -> None:
    """Change log levels in all workers of topology NAME while it runs."""
    from storm.thrift.interface import storm_thrift

    t = storm_thrift()
    loggers = {}
    for word in levels:
        logger, level, secs = parse_level(word)
        loggers[logger] = t.LogLevel(
            action=t.LogLevelAction.UPDATE, target_log_level=level, reset_log_level_timeout_secs=secs
        )
    for logger in resets:
        loggers[logger] = t.LogLevel(action=t.LogLevelAction.REMOVE)
    if not loggers:
        raise click.UsageError("nothing to do: give -l LOGGER=LEVEL[:SECS] or -r LOGGER")
    with connect_nimbus(settings) as nimbus:
        topology_id = nimbus.call("getTopologySummaryByName", name).id
        nimbus.call("setLogConfig", topology_id, t.LogConfig(named_logger_level=loggers))
    done = [f"{', '.join(words)} {verb}" for verb, words in (("set", levels), ("reset", resets)) if words]
    click.echo(f"{name}: {', '.join(done)}; workers follow within seconds")


def parse_level(word: str) -> tuple[str, str, int | None]:
    """`app.orders=debug:30` -> ("app.orders", "DEBUG", 30). Raises click.BadParameter."""
    logger, equals, rest = word.partition("=")
    level, colon, secs = rest.partition(":")
    expected = f"expected LOGGER=LEVEL[:SECS], got {word!r}"
    if not equals or not logger or (colon and not secs.isdecimal()):
        raise click.BadParameter(expected, param_hint="-l")
    try:
        return logger, known_level(level), int(secs) if secs else None
    except ValueError as error:
        raise click.BadParameter(f"{expected}: {error}", param_hint="-l") from None
