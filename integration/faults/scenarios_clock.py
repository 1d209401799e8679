"""Scenarios of wall clocks that jump, differ or are far ahead: those of single processes, by libfaketime."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fault_site import Plan
from log_lines import parse
from nemesis_run import audit
from scenario import Context, Outcome, Scenario, faketime_library
from scenarios_process import RATE, finish
from scenarios_zookeeper import client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fault_site import FaultSite
    from load import Load
    from log_lines import LogLine

JUMPS = ["+1h", "-1h", "+0"]
SKEW = "+10m"
FAR = "@2039-06-01 12:00:00"
CLOCK_MARGIN_SECS = 300.0  # a run takes less
FAKETIME = frozenset({"faketime"})
WORKERS, ZOOKEEPER = "workers", "zookeeper"
FAKED_CLOCK = Path(__file__).resolve().parent / "faked_clock"


class Clocks(NamedTuple):
    """`moved`: whose wall clocks show these `offsets`, one after the other: names of daemons, or "workers", all of one
    topology. `first`: what they show before.
    """

    moved: tuple[str, ...]
    offsets: Sequence[str]
    first: str = "+0"


def faked_environment(file: Path, python_path: str) -> dict[str, str]:
    """For a process whose wall clock is to be what the file says; its monotonic clock stays true."""
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(FAKED_CLOCK), python_path])),
        "LD_PRELOAD": str(faketime_library()),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def jumping(context: Context) -> Outcome:
    """The clocks of Nimbus and of one supervisor jump an hour ahead and back."""
    return _with_clocks(context, "clock-jumps", Clocks(("nimbus", "a"), JUMPS))


def workers_jumping(context: Context) -> Outcome:
    """The clocks of all workers jump an hour ahead and back."""
    return _with_clocks(context, "workers-clocks-jump", Clocks((WORKERS,), JUMPS))


def zookeeper_jumping(context: Context) -> Outcome:
    """ZooKeeper's clock jumps an hour ahead and back."""
    return _with_clocks(context, "zookeepers-clock-jumps", Clocks((ZOOKEEPER,), JUMPS))


def skewed(context: Context) -> Outcome:
    """The clock of one supervisor is ten minutes ahead of Nimbus's."""
    return _with_clocks(context, "clock-skew", Clocks(("a",), [SKEW], SKEW))


def far_ahead(context: Context) -> Outcome:
    """It is 2039 for Nimbus, the supervisors and ZooKeeper."""
    return _with_clocks(context, "clock-2039", Clocks(("nimbus", "a", "b", ZOOKEEPER), [FAR], FAR))


def _with_clocks(context: Context, name: str, clocks: Clocks) -> Outcome:
    with context.prepared(Plan(hosts=2)) as site:
        files = {each: site.directory / f"clock-{each}" for each in clocks.moved}
        conf: dict[str, Any] = {}
        for each, file in files.items():
            file.write_text(f"{clocks.first}\n")
            if each == WORKERS:
                conf["topology__environment"] = faked_environment(file, "")
            else:
                environment = site.daemon(each).environment
                python_path = environment.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
                environment |= faked_environment(file, python_path)
        site.start()
        load = context.load(site, 3_000, RATE, topology__workers=2, **conf)
        before = {worker.pid for worker in load.processes()}
        version = site.assignment_version(load.topology_id)
        for offset in clocks.offsets:
            changed_at = time.time()
            for file in files.values():
                file.write_text(f"{offset}\n")
            time.sleep(context.timers.worker_secs + context.timers.executor_secs)
            _run_another(context, site)
            _check_clocks(context, site, load, clocks, (offset, changed_at))
            context.check({worker.pid for worker in load.processes()} == before, f"at {offset} workers were restarted")
            uptime = site.call("getTopologySummaryByName", load.name).uptime_secs
            context.check(uptime >= 0, f"at {offset} the topology is up for {uptime} s")
        context.check(site.assignment_version(load.topology_id) == version, "executors were assigned anew")
        fails = load.read().fails
        context.check(not fails, f"{len(fails)} numbers failed, as if their time were over: {fails[:3]}")
        return finish(context, site, load, name, len(clocks.offsets))


def _run_another(context: Context, site: FaultSite) -> None:
    """A small topology on both hosts: daemons work, and write into their logs."""
    another = context.load(site, 60, RATE, topology__workers=2)
    audit(context, another)
    context.check(not (left := another.kill()), f"of {another.name} there is still {left}", "C-LEAK")


def _check_clocks(context: Context, site: FaultSite, load: Load, clocks: Clocks, shown: tuple[str, float]) -> None:
    """The times that those with a moved clock tell are its own: otherwise all this shows nothing. `shown`: the offset,
    and since when.
    """
    offset, since = shown
    for name in clocks.moved:
        if name == ZOOKEEPER:
            _compare(context, "ZooKeeper's nodes", offset, (_made_at(site), time.time()))
        elif name == WORKERS:
            logger = f"clocks.{time.monotonic_ns()}"
            site.storm("set-log-level", load.name, "-l", f"{logger}=DEBUG:600")  # each says so in its log
            for worker in load.processes():
                for log in site.worker_logs(worker)[:1]:
                    _compare_log(context, log, offset, since)
        else:
            _compare_log(context, site.daemon(name).log, offset, since)


def _compare_log(context: Context, log: Path, offset: str, since: float) -> None:
    lines: list[LogLine] = []

    def is_written() -> bool:
        lines[:] = parse(log.read_text(errors="replace"), 0.0)
        return bool(lines) and log.stat().st_mtime > since

    if context.must(is_written, f"{log} is written at {offset}", 10) is not None:
        # The second time is by the kernel, which nobody has faked.
        _compare(context, str(log), offset, (lines[-1].at, log.stat().st_mtime))


def _compare(context: Context, what: str, offset: str, times: tuple[float, float]) -> None:
    """`times`: by the faked clock and by the true one."""
    off_secs = times[0] - faked_time(offset, times[1])
    context.check(abs(off_secs) < CLOCK_MARGIN_SECS, f"{what}: at {offset} it is {off_secs:.0f} s off", "HARNESS")


def _made_at(site: FaultSite) -> float:
    """When a node is made, as ZooKeeper notes it."""
    zk = client(site)
    try:
        path = zk.create("/made-at-", ephemeral=True, sequence=True)
        return float(zk.exists(path).created)
    finally:
        zk.stop()
        zk.close()


def faked_time(offset: str, now: float) -> float:
    """What a clock with this offset shows at this time of the true one, within a run's length. Seconds since 1970."""
    if offset.startswith("@"):
        return time.mktime(time.strptime(offset, "@%Y-%m-%d %H:%M:%S"))
    return now + int(offset.rstrip("hm")) * {"h": 3600, "m": 60}.get(offset[-1], 1)


CLOCK_SCENARIOS = [
    Scenario("clock-jumps", "T1", "wall clocks jump an hour ahead and back", jumping, FAKETIME),
    Scenario(
        "workers-clocks-jump", "T1", "all workers' wall clocks jump an hour ahead and back", workers_jumping, FAKETIME
    ),
    Scenario(
        "zookeepers-clock-jumps",
        "T1",
        "ZooKeeper's wall clock jumps an hour ahead and back",
        zookeeper_jumping,
        FAKETIME,
    ),
    Scenario("clock-skew", "T2", "a supervisor's wall clock is ten minutes ahead", skewed, FAKETIME),
    Scenario("clock-2039", "T3", "the year 2039", far_ahead, FAKETIME),
]
