"""`storm hosts`, `storm drain`, `storm undrain`: the supervisors' hosts, and taking one out of service."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from storm.cli.options import as_json, connect_nimbus, wait_before, with_settings
from storm.cli.output import duration, plural, print_json, printable, table
from storm.errors import StormError

if TYPE_CHECKING:
    from storm.clock import Clock
    from storm.config.settings import Settings
    from storm.thrift.nimbus_client import NimbusClient

LOOK_SECS = 1.0  # between two looks at what is left on a host that is drained
HERE = "The supervisor of this machine, by its storm.local.dir, or supervisor/ in it, where systemd's unit has it."
UNSEEN_SECS = 60.0  # how long a supervisor is waited for that Nimbus does not see: a restart is over by then


class Left(NamedTuple):
    """What is still on hosts that are drained: slots that are assigned, or processes that run, whichever are more.

    `troubles`: what Nimbus says of topologies that leave them, or cannot. `unseen`: the supervisors that Nimbus does
    not see, so that nobody knows what is left there.
    """

    workers: int
    troubles: tuple[str, ...]
    unseen: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.workers and not self.unseen


@click.command("hosts")
@as_json
@with_settings
def hosts(settings: Settings, as_json: bool) -> None:
    """List the supervisors: hosts, slots, tags, and whether they are drained or ill."""
    with connect_nimbus(settings) as nimbus:
        rows = host_rows(nimbus.call("getClusterInfo"))
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("Nimbus sees no supervisor; `storm supervisor` starts one, `storm doctor` says more")
    else:
        click.echo(host_table(rows))
    for line in illness_lines(rows) if not as_json else ():
        click.echo(f"\n{line}")


def host_table(rows: list[dict[str, Any]]) -> str:
    """For people. Memory is in MB, CPU in percent of a core."""
    head = ["host", "state", "slots", "used", "running", "uptime", "memory", "cpu", "version", "tags", "id"]
    return table(head, [[_cell(name, row) for name in head] for row in rows])


def illness_lines(rows: list[dict[str, Any]]) -> list[str]:
    """A sentence for each of `host_rows` that is ill."""
    ill = [row for row in rows if row["illness"]]
    return [f"{row['host']} is ill, and has ended its workers: {printable(row['illness'])}" for row in ill]


def _cell(name: str, row: dict[str, Any]) -> object:
    if name == "memory":
        return _used(row["used_mem"], row["total_mem"], " MB")
    if name == "cpu":
        return _used(row["used_cpu"], row["total_cpu"], " %")
    value = row[name]
    if name == "uptime":
        return None if value is None else duration(value)
    return (", ".join(value) or None) if isinstance(value, list) else value


def _used(used: float | None, total: float | None, unit: str) -> str | None:
    """What workers use of what there is, as far as both are told."""
    if used is None and total is None:
        return None
    known = "-" if used is None else f"{used:,.0f}"
    return f"{known}{unit}" if total is None else f"{known} of {total:,.0f}{unit}"


def host_rows(cluster: Any) -> list[dict[str, Any]]:
    """A row for each supervisor of a ClusterSummary, and for each drained one that is gone.

    What its workers use, and what there is, is in MB and in percent of a core; None where it does not tell.
    """
    from storm.scheduler.tags import tags_of
    from storm.ui.rest.supervisors import resources

    drained = {each.supervisor_id: each for each in cluster.drained or []}
    rows = [
        {
            "host": each.host,
            "state": _state(each, drained.pop(each.supervisor_id, None) is not None),
            "slots": each.num_workers,
            "used": each.num_used_workers,
            "running": each.num_running_workers,
            "uptime": each.uptime_secs,
            "used_mem": each.used_mem,
            "total_mem": resources(each).total_mem or None,
            "used_cpu": each.used_cpu,
            "total_cpu": resources(each).total_cpu or None,
            "version": each.version,
            "tags": sorted(tags_of(each.scheduler_meta or {})),
            "id": each.supervisor_id,
            "illness": each.illness or "",
        }
        for each in cluster.supervisors
    ]
    told = ("slots", "used", "running", "uptime", "used_mem", "total_mem", "used_cpu", "total_cpu", "version")
    gone = dict.fromkeys(told)
    rows += [
        {"host": each.host, "state": "drained, gone", **gone, "tags": [], "id": each.supervisor_id, "illness": ""}
        for each in drained.values()
    ]
    return rows


def _state(supervisor: Any, is_drained: bool) -> str:
    words = ["drained"] if is_drained else []
    return ", ".join([*words, "ill"] if supervisor.illness else words) or "in use"


def drained_lines(cluster: Any) -> list[str]:
    """A sentence for each drained supervisor of a ClusterSummary."""
    found = []
    for row in host_rows(cluster):
        if "drained" in row["state"]:
            left = max(row["used"] or 0, row["running"] or 0)
            rest = f"{plural(left, 'worker')} left" if left else "empty"
            if row["used"] is None:
                rest = "what is left there is not known"
            found.append(f"{row['host']} is {row['state']}: {rest}; `storm undrain {row['host']}` lets it work again")
    return found


@click.command("drain")
@click.argument("host", required=False)
@click.option("--here", is_flag=True, help=HERE)
@wait_before("moving executors")
@click.option("--no-wait", is_flag=True, help="Return at once; `storm hosts` shows when it is empty.")
@click.option("--timeout", "timeout_secs", type=click.IntRange(min=1), help="Give up waiting after so many seconds.")
@with_settings
def drain(settings: Settings, host: str | None, here: bool, **options: Any) -> int:
    """Take HOST, a host's name or a supervisor's id, out of service, and wait until no worker is left on it.

    Nothing new is assigned to it. Topologies with workers there are rebalanced away from it: their spouts stand still
    until what is under way is done. It stays so until `storm undrain HOST`, also if its supervisor is restarted.
    Interrupting this command stops only the waiting. Exit code 1 if it is not empty after --timeout, or Nimbus does not
    see its supervisor for a minute, so that nobody knows.
    """
    from storm.clock import SystemClock
    from storm.thrift.interface import storm_thrift

    name = _host(settings, host, here)
    with connect_nimbus(settings) as nimbus:
        ids = nimbus.call("drainHost", name, storm_thrift().DrainOptions(wait_secs=options["wait_secs"]))
        click.echo(f"{name} is drained: nothing is assigned to it any more")
        if options["no_wait"]:
            return 0
        left = wait_empty(nimbus, set(ids), options["timeout_secs"], SystemClock())
    click.echo(result(name, left), err=not left.is_empty)
    return 0 if left.is_empty else 1


def result(name: str, left: Left) -> str:
    """What a drain of `name` came to, as a sentence."""
    if left.is_empty:
        return f"{name} is empty: its supervisor can be stopped; `storm undrain {name}` lets it work again"
    if not left.unseen:
        return f"{name} is not empty yet; it goes on leaving, `storm hosts` shows it"
    are = "are" if left.unseen[1:] else "is"
    return (
        f"{', '.join(left.unseen)} {are} not seen by Nimbus, so that workers may be left there: start the supervisor, "
        "or look for them. `storm undrain ID` forgets one that is gone for good."
    )


def wait_empty(nimbus: NimbusClient, node_ids: set[str], timeout_secs: int | None, clock: Clock) -> Left:
    """Until no worker is left on these supervisors, saying what changes; what is left then.

    That is something if `timeout_secs` were not enough, or Nimbus has not seen one of them for UNSEEN_SECS.
    """
    all_seen_at = clock.now()
    until = inf if timeout_secs is None else all_seen_at + timeout_secs
    told: Left | None = None
    while True:
        left = left_on(nimbus.call("getClusterInfo"), node_ids)
        if left.is_empty:
            return left
        if left != told:
            told = left
            workers = [f"{plural(left.workers, 'worker')} left"] if left.workers else []
            unseen = [f"waiting for {each}, which Nimbus does not see" for each in left.unseen]
            click.echo("\n".join([*workers, *(f"  {text}" for text in left.troubles), *unseen]))
        now = clock.now()
        if left.workers or not left.unseen:
            all_seen_at = now
        if now >= until or now - all_seen_at >= UNSEEN_SECS:
            return left
        clock.sleep(LOOK_SECS)


def left_on(cluster: Any, node_ids: set[str]) -> Left:
    """What a ClusterSummary tells of these supervisors."""
    there = [each for each in cluster.supervisors if each.supervisor_id in node_ids]
    workers = sum(max(each.num_used_workers, each.num_running_workers or 0) for each in there)
    troubles = [
        f"{each.name}: {each.sched_status}"
        for each in cluster.topologies
        if each.sched_status and not node_ids.isdisjoint(each.leaving_supervisors or ())
    ]
    names = {each.supervisor_id: f"{each.host} ({each.supervisor_id})" for each in cluster.drained or []}
    unseen = node_ids - {each.supervisor_id for each in there}
    return Left(workers, tuple(troubles), tuple(sorted(names.get(each, each) for each in unseen)))


@click.command("undrain")
@click.argument("host", required=False)
@click.option("--here", is_flag=True, help=HERE)
@with_settings
def undrain(settings: Settings, host: str | None, here: bool) -> None:
    """Let HOST, a host's name or a supervisor's id, be used again.

    Topologies that lack workers get them there at once, others with their next `storm rebalance`.
    """
    name = _host(settings, host, here)
    with connect_nimbus(settings) as nimbus:
        nimbus.call("undrainHost", name)
    click.echo(f"{name} is in use again; `storm rebalance NAME` moves workers of a topology to it")


def _host(settings: Settings, host: str | None, here: bool) -> str:
    """The name or id that was asked for. Raises StormError, click.UsageError."""
    if (host is None) != here:
        raise click.UsageError("name a HOST, or this machine's supervisor by --here")
    if host is not None:
        return host
    return node_id_here(Path(settings["storm.local.dir"]))


def node_id_here(local_dir: Path) -> str:
    """The id of the supervisor that has run in this directory, or in its own one below it, where the unit of systemd
    has it. Raises StormError that says where it was looked for.
    """
    from storm.host_paths import supervisor_dir
    from storm.supervisor.home import node_id_file

    found: dict[str, Path] = {}
    problems = []
    for path in (node_id_file(supervisor_dir(each)) for each in (local_dir, local_dir / "supervisor")):
        try:
            node_id = path.read_bytes().decode("ascii", "replace").strip()
        except OSError as error:
            problems.append(f"{path} ({error.strerror})")
            continue
        if node_id:
            found[node_id] = path
        else:
            problems.append(f"{path} (it is empty)")
    if not found:
        raise StormError(
            f"this machine's supervisor is not known. Looked for: {', '.join(problems)}. Run this as a user that may "
            "read these, give its storm.local.dir by --config or -c, or name the host."
        )
    if len(found) > 1:
        ids = ", ".join(f"{node_id} (by {path})" for node_id, path in found.items())
        raise StormError(f"two supervisors have run on this machine: {ids}. Name one by its id.")
    return next(iter(found))
