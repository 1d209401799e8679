"""`bin/quickstart`: a cluster on this machine that counts the words of a real text, live in the terminal."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from storm.cli.dev_cluster import DevCluster, DevPlan, free_port, free_port_base
from storm.cli.interrupts import interrupt_on_signals
from storm.cli.main import run
from storm.cli.output import Steps
from storm.cli.version import what_runs
from storm.clock import SystemClock
from storm.config.addresses import joined
from storm.errors import StormError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.thrift.nimbus_client import NimbusClient

NAME = "quickstart"
DRAIN_SECS = 60.0
NIMBUS_TIMEOUT_SECS = 30.0  # for a machine that is busy with the start
REFRESH_SECS = 1.0
UI_PORT = 8080  # or the next that is free
LEADING_WORDS = 6
PORTS = 16


@dataclass(slots=True)
class Report:
    """What the tasks of the topology wrote down: the spout its lines, each count task its words."""

    emitted: int = 0
    acked: int = 0
    failed: int = 0
    words: Counter[str] = field(default_factory=Counter)

    @property
    def settled(self) -> bool:
        """Whether no line is under way."""
        return self.emitted > 0 and self.emitted == self.acked + self.failed


@click.command()
@click.option("--seconds", type=click.FloatRange(min=1), help="End after so many seconds (default: at Ctrl-C).")
@click.option("--check", is_flag=True, help="Exit 0 only if every line was counted right and acked, and none failed.")
@click.option("--text", type=click.Path(exists=True, path_type=Path), help="A file or directory to count instead.")
@click.option("--workers", type=click.IntRange(1, 4), default=2, show_default=True, help="Worker processes to use.")
def quickstart(seconds: float | None, check: bool, text: Path | None, workers: int) -> int:
    """Start a cluster, count the words of a real text on it, and show how it goes."""
    clock = SystemClock()
    interrupt_on_signals()
    click.echo(what_runs())
    steps = Steps(3, clock)
    with tempfile.TemporaryDirectory(prefix="storm-quickstart-") as directory:
        reports = Path(directory) / "reports"
        reports.mkdir()
        cluster = DevCluster(_plan(Path(directory) / "cluster"), clock)
        try:
            steps.start("starting ZooKeeper (embedded), Nimbus, a supervisor and the UI")
            cluster.start()
            cluster.wait_ready()
            steps.done(f"on ports {cluster.plan.zookeeper_port} and {cluster.plan.nimbus_port}, with 4 worker slots")
            with cluster.connect_nimbus(NIMBUS_TIMEOUT_SECS) as nimbus:
                _submit(nimbus, reports, steps, _topology_conf(reports, text, workers))
                click.echo(next_steps(cluster, os.environ))
                _watch(reports, clock, seconds)
                return _finish(nimbus, reports, text, clock) if check else 0
        except KeyboardInterrupt:
            click.echo("\nstopping ...")
            return 130 if check else 0
        except StormError:
            steps.failed()
            raise
        finally:
            cluster.stop()


def _plan(directory: Path) -> DevPlan:
    plan = DevPlan(directory, volatile=True, ui_port=free_port(UI_PORT))
    if plan.taken():
        base = free_port_base(PORTS)
        plan = DevPlan(
            directory,
            zookeeper_port=base,
            nimbus_port=base + 1,
            supervisor_port=base + 2,
            first_slot=base + 3,
            ui_port=plan.ui_port,
            volatile=True,
        )
    return plan


def _topology_conf(reports: Path, text: Path | None, workers: int) -> dict[str, Any]:
    conf: dict[str, Any] = {
        "topology.workers": workers,
        "word_count.report_dir": str(reports),
        "word_count.passes": 0,
    }
    if text is not None:
        conf["word_count.text"] = str(text.resolve())
    return conf


def _submit(nimbus: NimbusClient, reports: Path, steps: Steps, conf: dict[str, Any]) -> None:
    import storm.examples.word_count as example
    from storm.client import submitter
    from storm.client.code_package import build_package
    from storm.client.topology_file import load_topology

    steps.start("submitting storm/examples/word_count.py")
    loaded = load_topology(Path(example.__file__), conf)
    package = build_package(loaded.files, reports.parent / "package.zip")
    topology_id = submitter.send(nimbus, NAME, loaded.topology, loaded.conf, package)
    steps.done(topology_id)
    steps.start("waiting for its workers")
    workers = submitter.wait_until_running(nimbus, topology_id, steps)
    steps.done(", ".join(joined(worker.host, worker.port) for worker in workers))


def next_steps(cluster: DevCluster, environ: Mapping[str, str]) -> str:
    """Where to look, and what to type in a second terminal, while it runs."""
    lines = []
    if cluster.plan.ui_port is not None:
        lines += [f"{click.style('In a browser:', bold=True)} {cluster.plan.ui_address()}", ""]
    lines += [click.style("In another terminal:", bold=True), *cluster.terminal_lines(environ)]
    commands = [
        "list",
        f"status {NAME}",
        "submit storm/examples/groupings.py --name groupings",
        f"rebalance {NAME} -w 2 -n 3",
        "kill groupings -w 2",
    ]
    lines += [f"  bin/storm {command}" for command in commands]
    return "\n".join([*lines, f"Logs are in {cluster.plan.directory}. Ctrl-C ends it."])


def read_reports(directory: Path) -> Report:
    """Add up what the tasks wrote; a file that is not there yet counts nothing."""
    import json

    report = Report()
    for file in directory.glob("*.json"):
        found = json.loads(file.read_text())
        report.emitted += found.get("emitted", 0)
        report.acked += found.get("acked", 0)
        report.failed += found.get("failed", 0)
        report.words.update(found.get("counts", {}))
    return report


def _watch(reports: Path, clock: SystemClock, seconds: float | None) -> None:
    """Show a line a second until the time is over or Ctrl-C."""
    click.echo(f"\n{'lines':>12} {'acked':>12} {'failed':>7} {'words':>13} {'words/s':>11}   leading words")
    started = clock.now()
    before, seen = started, 0
    while seconds is None or clock.now() - started < seconds:
        clock.sleep(REFRESH_SECS)
        report = read_reports(reports)
        now, words = clock.now(), report.words.total()
        leading = " ".join(f"{word}:{count:,}" for word, count in report.words.most_common(LEADING_WORDS))
        if words < seen and sys.stdout.isatty():
            click.echo("\r\033[Kits workers were started again: their counts are in memory, and begin anew")
        rate = words_per_sec(words, seen, now - before)
        line = f"{report.emitted:12,} {report.acked:12,} {report.failed:7,} {words:13,} {rate:11,.0f}   {leading}"
        if sys.stdout.isatty():  # a line that wraps could not be drawn over
            click.echo(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", nl=False)
        else:
            click.echo(line)
        before, seen = now, words
    click.echo()


def words_per_sec(words: int, seen: int, secs: float) -> float:
    """The rate of `secs` seconds in which the count went from `seen` to `words`: if it fell, it began anew at 0."""
    return (words - seen if words >= seen else words) / secs


def _finish(nimbus: NimbusClient, reports: Path, text: Path | None, clock: SystemClock) -> int:
    """Stop the spout, wait until nothing is under way, and compare the counts with a recount."""
    nimbus.call("deactivate", NAME)
    deadline = clock.now() + DRAIN_SECS
    report = read_reports(reports)
    stable_since = clock.now()
    while clock.now() < deadline and not (report.settled and clock.now() - stable_since > 2.0):
        clock.sleep(0.2)
        again = read_reports(reports)
        if again != report:
            report, stable_since = again, clock.now()
    expected = recount(text, report.emitted)
    problems = []
    if not report.emitted:
        problems.append("no line was emitted")
    if report.acked != report.emitted or report.failed:
        problems.append(f"{report.emitted} lines emitted, {report.acked} acked, {report.failed} failed")
    if report.words != expected:
        wrong = {word for word in expected | report.words if expected[word] != report.words[word]}
        problems.append(f"{len(wrong)} words are counted wrong, such as {sorted(wrong)[:5]}")
    for problem in problems:
        click.echo(f"{click.style('wrong:', fg='red')} {problem}", err=True)
    if not problems:
        click.echo(f"checked: {report.emitted:,} lines, all acked; {report.words.total():,} words, all counted right")
    return 1 if problems else 0


def recount(text: Path | None, lines: int) -> Counter[str]:
    """The words of the first `lines` lines of the text, which begins again at its end, counted without the cluster."""
    from storm.examples.word_count import read_lines

    read = list(read_lines(str(text) if text else None))
    whole, rest = divmod(lines, len(read))
    once = Counter(word for line in read for word in line.split())
    part = Counter(word for line in read[:rest] for word in line.split())
    return Counter({word: count * whole + part[word] for word, count in once.items() if count * whole + part[word]})


def main() -> None:
    """Run it and exit as the other commands do."""
    run(quickstart, "bin/quickstart")


if __name__ == "__main__":
    main()
