"""`storm version`."""

from __future__ import annotations

import platform

import click

from storm.cli.options import as_json
from storm.cli.output import print_json


def installed_version() -> str:
    """The version of the distribution, as installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as of

    try:
        return of("storm-cluster")
    except PackageNotFoundError:
        return "0+unknown"


@click.command()
@as_json
def version(as_json: bool) -> None:
    """Print the version of Storm, and what runs it."""
    found = {
        "storm": installed_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    if as_json:
        print_json(found)
    else:
        click.echo(f"Storm {found['storm']}\nPython {found['python']} on {found['platform']}")
