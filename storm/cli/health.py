"""`storm node-health-check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from storm.cli.options import as_json, with_settings
from storm.cli.output import print_json, table

if TYPE_CHECKING:
    from storm.config.settings import Settings


@click.command("node-health-check")
@as_json
@with_settings
def node_health_check(settings: Settings, as_json: bool) -> int:
    """Run the scripts in storm.health.check.dir, as this host's supervisor does; exit code 1 if the host is ill.

    A script says that the host is ill by a line that begins with ERROR, or by taking longer than
    storm.health.check.timeout.ms.
    """
    from storm.hosts.health import illness, run_scripts, verdict

    directory = settings["storm.health.check.dir"]
    fail_on_timeouts = settings["storm.health.check.fail.on.timeouts"]
    timeout_secs = settings["storm.health.check.timeout.ms"] / 1000
    results = run_scripts(Path(directory), timeout_secs) if directory is not None else []
    ill = illness(results, fail_on_timeouts)
    verdicts = {result.name: verdict(result, fail_on_timeouts) for result in results}
    if as_json:
        print_json({"healthy": not ill, "illness": ill, "scripts": verdicts})
    elif directory is None:
        click.echo("storm.health.check.dir is not set: no script says anything against this host")
    elif not results:
        click.echo(f"{directory} has no file that can be executed: no script says anything against this host")
    else:
        click.echo(table(["script", "verdict"], list(verdicts.items())))
    return 1 if ill else 0
