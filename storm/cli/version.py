"""`storm version`."""

from __future__ import annotations

import platform

import click

from storm import hot_path
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


def what_runs() -> str:
    """One line: the versions of this process, and whether it runs the compiled hot path or why not."""
    return f"Storm {installed_version()}, Python {platform.python_version()}, hot path {hot_path.mode()}"


@click.command()
@as_json
def version(as_json: bool) -> None:
    """Print the version of Storm, and what runs it."""
    found = {
        "storm": installed_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hot_path": hot_path.mode(),
    }
    if as_json:
        print_json(found)
    else:
        click.echo(
            f"Storm {found['storm']}\nPython {found['python']} on {found['platform']}\nhot path {found['hot_path']}"
        )
