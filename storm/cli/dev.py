"""`storm dev`: a whole cluster on this machine, for development."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from storm.cli.options import with_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.cli.dev_cluster import DevCluster, DevPlan
    from storm.config.settings import Settings

WATCH_SECS = 0.5
OWN_KEYS = ("nimbus.seeds", "storm.local.dir", "supervisor.slots.ports")
# This machine's storm.yaml may be that of a real cluster: it is not to open ports here, to have submissions wait for a
# second Nimbus, to put this cluster's blobs among the other one's, or to leave it without workers.
ONLY_BY_COMMAND = ("storm.security.insecure", "ui.host", "logviewer.host", "storm.metrics.host",
                   "topology.min.replication.count", "blobstore.dir", "supervisor.enable")  # fmt: skip


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    default=Path("storm-local"),
    show_default=True,
    help="Where the daemons keep their data and logs.",
)
@click.option("--supervisors", type=click.IntRange(1, 20), default=1, show_default=True, help="How many supervisors.")
@click.option(
    "--slots", type=click.IntRange(1, 50), default=4, show_default=True, help="How many workers each may run."
)
@click.option("--port-base", type=click.IntRange(1024, 65_000), help="Take ports from here on instead of Storm's.")
@click.option(
    "--ui-port",
    type=click.IntRange(1, 65_535),
    help="The UI's port (default: ui.port, which is 8080, or the next one that is free).",
)
@click.option("--no-ui", is_flag=True, help="Start no UI.")
@click.option(
    "--insecure",
    is_flag=True,
    help="Listen on all addresses without authentication, so that other machines can join.",
)
@with_settings
def dev(settings: Settings, **options: Any) -> int:
    """Start ZooKeeper (the embedded one), Nimbus, supervisors and the UI on this machine, until Ctrl-C."""
    from storm.cli.dev_cluster import DevCluster
    from storm.cli.interrupts import interrupt_on_signals
    from storm.clock import SystemClock

    clock = SystemClock()
    cluster = DevCluster(plan_from(settings, options), clock)
    interrupt_on_signals()
    try:
        cluster.start()
        click.echo(first_lines(cluster.plan, settings, options))
        cluster.wait_ready()
        click.echo(announcement(cluster, os.environ))
        while True:
            for line in cluster.restart_ended():
                click.echo(line)
            clock.sleep(WATCH_SECS)
    except KeyboardInterrupt:
        click.echo("\nstopping ...")
        return 0
    finally:
        cluster.stop()


def plan_from(settings: Settings, options: dict[str, Any]) -> DevPlan:
    """The plan that the command line and this machine's configuration make together."""
    from storm.cli.dev_cluster import DevPlan
    from storm.config.settings import every_address

    set_here = {key: settings[key] for key in settings if is_passed_on(key, settings.origin(key))}
    if options["insecure"]:
        set_here["storm.security.insecure"] = True
        set_here.setdefault("ui.host", every_address())
    base = options["port_base"]
    shared = {
        "directory": options["directory"].resolve(),
        "supervisors": options["supervisors"],
        "slots": options["slots"],
        "ui_port": None if options["no_ui"] else ui_port(settings, options),
        "settings": set_here,
    }
    if base is None:
        return DevPlan(
            zookeeper_port=settings["storm.zookeeper.port"],
            nimbus_port=settings["nimbus.thrift.port"],
            logviewer_port=settings["logviewer.port"],
            **shared,
        )
    return DevPlan(
        zookeeper_port=base,
        nimbus_port=base + 1,
        supervisor_port=base + 2,
        first_slot=base + 2 + options["supervisors"],
        logviewer_port=base + 3 + options["supervisors"] * (1 + options["slots"]),
        **shared,
    )


def is_passed_on(key: str, origin: str) -> bool:
    """Whether what was set for this machine's commands is for this cluster, too."""
    if origin == "default" or key in OWN_KEYS or "zookeeper" in key:
        return False
    return key not in ONLY_BY_COMMAND or origin.startswith("-c")


def ui_port(settings: Settings, options: dict[str, Any]) -> int:
    """The one that was asked for, the last of a block of ports, or ui.port; only its default gives way, to the next."""
    from storm.cli.dev_cluster import free_port

    if options["ui_port"] is not None:
        return int(options["ui_port"])
    if options["port_base"] is not None:
        return int(options["port_base"] + 2 + options["supervisors"] * (1 + options["slots"]))
    port: int = settings["ui.port"]
    return port if settings.origin("ui.port") != "default" else free_port(port)


def first_lines(plan: DevPlan, settings: Settings, options: dict[str, Any]) -> str:
    """What is said at once: where the UI is, and what one waits for."""
    lines = []
    if plan.ui_port is not None:
        line = f"the UI: {click.style(plan.ui_address(), bold=True)}"
        if options["ui_port"] is None and options["port_base"] is None and plan.ui_port != settings["ui.port"]:
            line += f"  (port {settings['ui.port']} is in use; --ui-port names another)"
        lines.append(line)
    dropped = [
        key
        for key in ONLY_BY_COMMAND
        if settings.origin(key) != "default" and not is_passed_on(key, settings.origin(key))
    ]
    if dropped:
        lines.append(f"not taken from this machine's configuration: {', '.join(dropped)} (-c KEY=VALUE sets them here)")
    return "\n".join([*lines, "starting ZooKeeper (embedded, for development), Nimbus and supervisors ..."])


def announcement(cluster: DevCluster, environ: Mapping[str, str]) -> str:
    """What a person needs to know once it runs; another terminal is taken to have this one's environment."""
    plan = cluster.plan
    lines = [
        click.style("a cluster runs on this machine", bold=True),
        *([] if cluster.ui is None else [f"  UI          {plan.ui_address()}"]),
        f"  ZooKeeper   127.0.0.1:{plan.zookeeper_port}  (embedded, one node, for development)",
        f"  Nimbus      127.0.0.1:{plan.nimbus_port}",
        *(_supervisor_line(plan, i) for i in range(plan.supervisors)),
        f"  Daemon logs {plan.directory}/logs",
        "",
        "in another terminal:",
        *cluster.terminal_lines(environ),
        "  storm submit FILE --name NAME",
        "  storm list",
        "",
        join_lines(plan),
        "Ctrl-C ends it.",
    ]
    return "\n".join(lines)


def _supervisor_line(plan: DevPlan, i: int) -> str:
    ports = plan.slot_ports(i)
    return (
        f"  Supervisor  workers on ports {ports[0]}-{ports[-1]}, their logs in {plan.directory}/supervisor-{i + 1}/logs"
    )


def join_lines(plan: DevPlan) -> str:
    """The command that joins another machine, or what must come before it."""
    host = socket.gethostname()
    command = (
        f"  storm supervisor -c 'storm.zookeeper.servers=[{host}]' -c storm.zookeeper.port={plan.zookeeper_port} "
        f"-c 'nimbus.seeds=[{host}]' -c nimbus.thrift.port={plan.nimbus_port} -c storm.security.insecure=true"
    )
    if plan.settings.get("storm.security.insecure"):
        return f"another machine joins with:\n{command}\n"
    return f"it listens on this machine only; started with --insecure, another machine joins with:\n{command}\n"
