"""`storm`: the commands, each imported only when it is used, so that `storm --help` answers at once."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NamedTuple, NoReturn

import click

from storm.errors import StormError


class Entry(NamedTuple):
    """Where a command is, and its line in `storm --help`."""

    module: str
    attribute: str
    help: str


COMMANDS: dict[str, dict[str, Entry]] = {
    "Topologies": {
        "submit": Entry("submit", "submit", "Send a topology to the cluster and wait until it runs."),
        "local": Entry("local", "local", "Run a topology in this process."),
        "list": Entry("topologies", "list_topologies", "List the topologies of the cluster."),
        "status": Entry("status", "status", "Show one topology: components, workers, rates, errors."),
        "kill": Entry("topologies", "kill", "Stop a topology and remove it."),
        "activate": Entry("topologies", "activate", "Let a topology's spouts emit again."),
        "deactivate": Entry("topologies", "deactivate", "Stop a topology's spouts; its bolts go on."),
        "rebalance": Entry("topologies", "rebalance", "Change a topology's workers and executors while it runs."),
        "monitor": Entry("monitor", "monitor", "Print a topology's throughput every few seconds."),
        "get-errors": Entry("topologies", "get_errors", "Print the last errors of a topology's components."),
        "failures": Entry("failures", "failures", "Print the tuples that failed last, and who failed or held them."),
        "logs": Entry("logs", "logs", "Print or follow the logs of a topology's workers."),
        "debug": Entry("events", "debug", "Sample the tuples that components emit, or stop that."),
        "events": Entry("events", "events", "Print or follow the tuples that were sampled."),
        "profile": Entry("profile", "profile", "Show where the time of a component's worker goes, as a flame graph."),
        "stacks": Entry("profile", "stacks", "Print what the threads of a topology's workers are doing."),
        "heap": Entry("profile", "heap", "Print what is on the heaps of a topology's workers, by type."),
        "set-log-level": Entry("topologies", "set_log_level", "Change log levels of a running topology."),
    },
    "Hosts": {
        "hosts": Entry("hosts", "hosts", "List the supervisors: hosts, slots, tags, whether they are drained or ill."),
        "drain": Entry("hosts", "drain", "Take a host out of service: its workers move to others."),
        "undrain": Entry("hosts", "undrain", "Let a drained host work again."),
        "doctor": Entry("doctor", "doctor", "Find what is wrong with this host and the cluster, and what to do."),
    },
    "Files": {
        "blobstore": Entry("blobs", "blobstore", "Keep files in the cluster, for topologies to use."),
    },
    "Daemons": {
        "dev": Entry("dev", "dev", "Start a whole cluster on this machine, for development."),
        "nimbus": Entry("daemons", "nimbus", "Start the master."),
        "supervisor": Entry("daemons", "supervisor", "Start this machine's supervisor, which runs workers."),
        "ui": Entry("daemons", "ui", "Start the UI's server: the REST API."),
        "logviewer": Entry("daemons", "logviewer", "Serve the logs of this host over HTTP."),
        "dev-zookeeper": Entry("daemons", "dev_zookeeper", "Start a single-node ZooKeeper server, for development."),
        "node-health-check": Entry("health", "node_health_check", "Run this host's health scripts."),
        "kill-workers": Entry("daemons", "kill_workers", "End all workers of this machine's supervisor."),
    },
    "Configuration": {
        "config": Entry("configuration", "config", "Show the configuration and where each value comes from."),
        "localconfvalue": Entry("configuration", "localconfvalue", "Print a setting as this machine sees it."),
        "remoteconfvalue": Entry("configuration", "remoteconfvalue", "Print a setting as the cluster sees it."),
        "version": Entry("version", "version", "Print the version."),
    },
}
ENTRIES: dict[str, Entry] = {name: entry for section in COMMANDS.values() for name, entry in section.items()}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, and listed by section."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = ENTRIES.get(cmd_name.replace("_", "-"))
        if entry is None:
            return None
        command = getattr(importlib.import_module(f"storm.cli.{entry.module}"), entry.attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], ENTRIES, n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, ENTRIES))
        for section, entries in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in entries.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Storm: run topologies of spouts and bolts on many machines.

    \b
    First steps:
      storm dev                                    a cluster on this machine
      storm submit word_count.py --name words      run a topology on it
      storm status words                           see how it does
    """


def main(args: list[str] | None = None) -> NoReturn:
    """Run a command line and exit, as `run` says."""
    run(cli, "storm", args)


def run(command: click.Command, name: str, args: list[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted."""
    try:
        code = command.main(args, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        click.echo("\n".join(["interrupted", *_notes(error.__cause__ or error)]), err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except StormError as error:
        from storm.cli.output import printable

        text = printable("\n".join([str(error), *_notes(error)]), lines=True)
        click.echo(f"{click.style('error:', fg='red', bold=True)} {text}", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _notes(error: BaseException) -> list[str]:
    """What else its user should know, beside what went wrong."""
    found: list[str] = getattr(error, "__notes__", [])
    return found
