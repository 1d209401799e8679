"""Scenarios of wall clocks that jump, differ or are far ahead: those of single processes, by libfaketime."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fault_site import Plan
from log_lines import parse
from nemesis_run import audit
from scenario import Context, Outcome, Scenario, faketime_library
from scenarios_process import RATE, finish

if TYPE_CHECKING:
    from daemons import StormDaemon
    from fault_site import FaultSite

JUMPS = ["+1h", "-1h", "+0"]
SKEW = "+10m"
FAR = "@2039-06-01 12:00:00"
CLOCK_MARGIN_SECS = 300.0  # a run takes less
FAKETIME = frozenset({"faketime"})
FAKED_CLOCK = Path(__file__).resolve().parent / "faked_clock"


def faked(daemon: StormDaemon, file: Path, offset: str) -> None:
    """This daemon's wall clock, from its next start on, is what the file says; its monotonic clock stays true."""
    file.write_text(f"{offset}\n")
    daemon.environment |= {
        "PYTHONPATH": os.pathsep.join([str(FAKED_CLOCK), daemon.environment["PYTHONPATH"]]),
        "LD_PRELOAD": str(faketime_library()),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def jumping(context: Context) -> Outcome:
    """The clocks of Nimbus and of one supervisor jump an hour ahead and back."""
    return _with_clocks(context, "clock-jumps", "+0", JUMPS)


def skewed(context: Context) -> Outcome:
    """The clock of one supervisor is ten minutes ahead of Nimbus's."""
    return _with_clocks(context, "clock-skew", SKEW, [SKEW], nimbus="+0")


def far_ahead(context: Context) -> Outcome:
    """It is 2039 for Nimbus and the supervisors."""
    return _with_clocks(context, "clock-2039", FAR, [FAR], hosts=("a", "b"))


def _with_clocks(
    context: Context,
    name: str,
    first: str,
    offsets: list[str],
    nimbus: str | None = None,
    hosts: tuple[str, ...] = ("a",),
) -> Outcome:
    """`nimbus`: what its clock shows all the time; None: the same as the supervisors'."""
    with context.prepared(Plan(hosts=2)) as site:
        files = {host: site.directory / f"clock-{host}" for host in hosts}
        for host, file in files.items():
            faked(site.supervisors[host], file, first)
        masters = site.directory / "clock-nimbus"
        faked(site.nimbuses[0], masters, nimbus or first)
        site.start()
        load = context.load(site, 3_000, RATE, topology__workers=2)
        moved = {site.supervisors[host]: file for host, file in files.items()}
        if nimbus is None:
            moved[site.nimbuses[0]] = masters
        before = {worker.pid for worker in load.processes()}
        version = site.assignment_version(load.topology_id)
        for offset in offsets:
            changed_at = time.time()
            for file in moved.values():
                file.write_text(f"{offset}\n")
            time.sleep(context.timers.worker_secs + context.timers.executor_secs)
            _run_another(context, site)
            _check_clocks(context, [daemon.log for daemon in moved], offset, changed_at if len(offsets) > 1 else 0.0)
            context.check({worker.pid for worker in load.processes()} == before, f"at {offset} workers were restarted")
            uptime = site.call("getTopologySummaryByName", load.name).uptime_secs
            context.check(uptime >= 0, f"at {offset} the topology is up for {uptime} s")
        context.check(site.assignment_version(load.topology_id) == version, "executors were assigned anew")
        return finish(context, site, load, name, len(offsets))


def _run_another(context: Context, site: FaultSite) -> None:
    """A small topology on both hosts: daemons work, and write into their logs."""
    another = context.load(site, 60, RATE, topology__workers=2)
    audit(context, another)
    context.check(not (left := another.kill()), f"of {another.name} there is still {left}", "C-LEAK")


def _check_clocks(context: Context, logs: list[Path], offset: str, since: float) -> None:
    """The times in logs that were written since are those of the faked clock: otherwise all this shows nothing."""
    compared = 0
    for log in logs:
        written_at = log.stat().st_mtime  # by the kernel, which nobody has faked
        lines = parse(log.read_text(errors="replace"), 0.0)
        if lines and written_at > since:
            compared += 1
            off_secs = lines[-1].at - faked_time(offset, written_at)
            is_right = abs(off_secs) < CLOCK_MARGIN_SECS
            context.check(is_right, f"{log}: at {offset} it is {off_secs:.0f} s off", "HARNESS")
    context.check(compared == len(logs), f"at {offset} only {compared} of {len(logs)} logs were written", "HARNESS")


def faked_time(offset: str, now: float) -> float:
    """What a clock with this offset shows at this time of the true one, within a run's length. Seconds since 1970."""
    if offset.startswith("@"):
        return time.mktime(time.strptime(offset, "@%Y-%m-%d %H:%M:%S"))
    return now + int(offset.rstrip("hm")) * {"h": 3600, "m": 60}.get(offset[-1], 1)


CLOCK_SCENARIOS = [
    Scenario("clock-jumps", "T1", "wall clocks jump an hour ahead and back", jumping, FAKETIME),
    Scenario("clock-skew", "T2", "a supervisor's wall clock is ten minutes ahead", skewed, FAKETIME),
    Scenario("clock-2039", "T3", "the year 2039", far_ahead, FAKETIME),
]
