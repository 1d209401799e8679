"""Scenarios of wall clocks that jump, differ or are far ahead: those of single processes, by libfaketime."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fault_site import Plan
from scenario import Context, Outcome, Scenario, faketime_library
from scenarios_process import RATE, finish

if TYPE_CHECKING:
    from daemons import StormDaemon
    from fault_site import FaultSite

JUMPS = ["+1h", "-1h", "+0"]
SKEW = "+10m"
FAR = "@2039-06-01 12:00:00"
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
    with context.prepared(Plan(hosts=2)) as site:
        files = {host: site.directory / f"clock-{host}" for host in hosts}
        for host, file in files.items():
            faked(site.supervisors[host], file, first)
        masters = site.directory / "clock-nimbus"
        faked(site.nimbuses[0], masters, nimbus or first)
        site.start()
        load = context.load(site, 3_000, RATE, topology__workers=2)
        before = {worker.pid for worker in load.processes()}
        version = _version(site, load.topology_id)
        for offset in offsets:
            for file in (*files.values(), *([masters] if nimbus is None else [])):
                file.write_text(f"{offset}\n")
            time.sleep(context.timers.worker_secs + context.timers.executor_secs)
            context.check({worker.pid for worker in load.processes()} == before, f"at {offset} workers were restarted")
            uptime = site.call("getTopologySummaryByName", load.name).uptime_secs
            context.check(uptime >= 0, f"at {offset} the topology is up for {uptime} s")
        context.check(_version(site, load.topology_id) == version, "executors were assigned anew")
        return finish(context, site, load, name, len(offsets))


def _version(site: FaultSite, topology_id: str) -> int:
    found = site.state.assignment(topology_id)
    return -1 if found is None else found.version


CLOCK_SCENARIOS = [
    Scenario("clock-jumps", "T1", "wall clocks jump an hour ahead and back", jumping, FAKETIME),
    Scenario("clock-skew", "T2", "a supervisor's wall clock is ten minutes ahead", skewed, FAKETIME),
    Scenario("clock-2039", "T3", "the year 2039", far_ahead, FAKETIME),
]
