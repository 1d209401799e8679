"""`storm doctor`: what is wrong with this host and the cluster, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from storm.cli.options import as_json, with_settings
from storm.cli.output import plural, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storm.config.settings import Settings
    from storm.hosts.checks import Finding

COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


@click.command()
@click.option("--quiet", is_flag=True, help="Leave out what is as it should be.")
@as_json
@with_settings
def doctor(settings: Settings, quiet: bool, as_json: bool) -> int:
    """Look over this host and the cluster: ZooKeeper, Nimbus, supervisors, ports, names, versions, clocks, disks.

    Changes nothing. Exit code 1 if something does not work; notes alone give 0.
    """
    from storm.cli.doctor_facts import gather
    from storm.hosts.checks import Level, findings

    found = findings(gather(settings))
    shown = [one for one in found if not (quiet and one.level is Level.OK)]
    problems = sum(one.level is Level.PROBLEM for one in found)
    notes = sum(one.level is Level.NOTE for one in found)
    if as_json:
        print_json(
            {
                "healthy": problems == 0,
                "findings": [
                    {"area": one.area, "level": one.level.value, "text": one.text, "remedy": one.remedy or None}
                    for one in shown
                ],
            }
        )
    else:
        if shown:
            click.echo(described(shown))
        click.echo(f"{plural(problems, 'problem')}, {plural(notes, 'note')}")
    return 1 if problems else 0


def described(found: Sequence[Finding]) -> str:
    """For people: by area, each with its remedy below it."""
    lines, area = [], ""
    for one in found:
        if one.area != area:
            area = one.area
            lines.append(click.style(area, bold=True))
        level = one.level.value
        lines.append(f"  {click.style(level.ljust(8), fg=COLOURS[level])} {one.text}")
        if one.remedy:
            lines.append(f"           to do: {one.remedy}")
    return "\n".join(lines)
