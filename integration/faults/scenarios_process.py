"""Scenarios of processes that are more than a fault on a schedule."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import psutil
from callers import Reader, Writer
from checkers import Bar  # noqa: TC002
from cluster_site import wait_until
from daemons import StormDaemon
from fault_site import Plan
from faults import busyness
from load import TOPOLOGIES
from nemesis_run import Finished, audit, conclude, defunct
from results_table import Row
from scenario import Context, Outcome, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemons import Daemon
    from fault_site import FaultSite
    from load import Load

RATE = 100.0
SUBMIT_POINTS = ["uploaded", "blobs", "storms", "assignments"]
LOOP_SECS = 30.0
REMAINS_MS = 2_000  # until a Nimbus deletes what it holds of topologies that ended while it was away
REMAINS = {"nimbus.topology.blobstore.deletion.delay.ms": REMAINS_MS}
CLEAN_UP_SECS = 30.0  # that, and three of the looks every nimbus.monitor.freq.secs
# Of one supervisor in that time: the waits are 0, 1, 2, 4, 8 and 16 s, and with the short timers Nimbus once gives it
# another slot, which goes on with the same count.
LAUNCHES_MAX = 8
LOOP_CORE_SHARE = 0.05  # of a core, of one supervisor: the catalogue's P3
BEGUN_SECS = 10.0  # for another worker to start, and be connected to its peers
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")  # the next process has the number after it
NUMBER_TRIES = 200  # another process or thread may be quicker


Seconds = float | None | list[float]


class Seen(TypedDict, total=False):
    """What a scenario saw itself, for its row. `rounds`: how often all that is under way may have come again by it."""

    detected: Seconds
    recovered: Seconds
    restarts: int
    rounds: int
    bar: Bar


def finish(context: Context, site: FaultSite, load: Load, name: str, runs: int = 1, **seen: Unpack[Seen]) -> Outcome:
    """Drain and check the load that ran beside; before its rows one with what the scenario's own checks found."""
    row = Row(
        name, runs, violations=tuple(context.violations), restarts=seen.get("restarts", 0), bar=seen.get("bar"),
        detected=as_times(seen.get("detected")), recovered=as_times(seen.get("recovered")),
    )  # fmt: skip
    rest = conclude(context, Finished(site, load, rounds=seen.get("rounds", 0)))
    return Outcome([row, *rest.rows], [], rest.notes)


def as_times(found: Seconds) -> tuple[float, ...]:
    """None: it was not seen."""
    return tuple(found) if isinstance(found, list) else () if found is None else (found,)


def crash_loop(context: Context) -> Outcome:
    """A topology that never starts, beside one that runs."""
    with context.site(Plan()) as site:
        load = context.load(site, 4_000, RATE)
        before = {worker.pid for worker in load.processes()}
        cpu = _cpu_secs(site)
        site.submit(TOPOLOGIES / "dies_at_start.py", "dies", {"topology.workers": 1}, wait=False)
        time.sleep(LOOP_SECS)
        shares = {name: (secs - cpu[name]) / LOOP_SECS for name, secs in _cpu_secs(site).items()}
        dying = site.call("getTopologySummaryByName", "dies").id
        launched = re.compile(rf"launched worker \S+ of {re.escape(dying)}")
        counts = [len(launched.findall(path.read_text(errors="replace"))) for path in site.logs("supervisor")]
        context.check(any(counts), "the topology was never launched")
        context.check(max(counts) <= LAUNCHES_MAX, f"{counts} launches in {LOOP_SECS:g} s: it does not back off")
        for name, share in shares.items():
            context.check(share < LOOP_CORE_SHARE, f"supervisor {name} used {100 * share:.1f} % of a core")
        context.notes.append(
            f"{counts} launches in {LOOP_SECS:g} s, no supervisor used more than {100 * max(shares.values()):.1f} % of"
            " a core"
        )
        _status_tells(context, site)
        context.check(
            "exited with code" in site.storm("get-errors", "dies").stdout, "`storm get-errors` names no exit code"
        )
        context.check(
            {worker.pid for worker in load.processes()} == before, "workers of another topology were restarted"
        )
        site.storm("kill", "dies", "-w", "0")
        return finish(context, site, load, "crash-loop", 1, restarts=sum(counts))


def broken_host(context: Context) -> Outcome:
    """A worker that cannot start any more on its host, where something is missing that the other one has."""
    timers = context.timers.settings
    launch_secs, silent_secs = timers.get("nimbus.task.launch.secs", 120), context.timers.executor_secs
    with context.site(Plan(hosts=2, slots=3)) as site:
        load = context.load(site, 4_000, RATE, topology__workers=2)
        worker = load.processes()[0]
        (site.supervisors[worker.host].local_dir / "lacks-a-library").touch()
        os.kill(worker.pid, signal.SIGKILL)

        def is_elsewhere() -> bool:
            return load.is_settled() and worker.host not in {each.host for each in load.processes()}

        what = f"the work of {worker.host} is on the other host"
        took = context.must(is_elsewhere, what, (launch_secs + silent_secs + BEGUN_SECS) * busyness())
        load.wait_progress(100)
        return finish(context, site, load, "broken-host", recovered=took, rounds=2)


def _status_tells(context: Context, site: FaultSite) -> None:
    """`storm status` says how it ends, how often in a row, when it is tried again, and what its log ends with."""
    shown = ""
    wanted = [
        r"died ([4-9]|\d\d+) times in a row", r"exited with code 13", r"it is tried again in \d+ s",
        r"wrote last:\n(    .*\n)*    .*not_installed_here",
    ]  # fmt: skip

    def tells_all() -> bool:
        nonlocal shown
        shown = site.storm("status", "dies").stdout
        return all(re.search(each, shown) for each in wanted)

    if context.must(tells_all, "`storm status` tells of the loop", 10) is None:
        missing = [each for each in wanted if not re.search(each, shown)]
        context.check(False, f"`storm status` lacks {missing}:\n{shown}", "C-LOG")


def _cpu_secs(site: FaultSite) -> dict[str, float]:
    """Of each supervisor, without its workers."""
    return {name: sum(psutil.Process(daemon.pid).cpu_times()[:2]) for name, daemon in site.supervisors.items()}


def killed_in_submit(context: Context) -> Outcome:
    """kill -9 Nimbus at four points of a submission: afterwards the topology is whole or not there."""
    with context.site(Plan(hosts=1, settings=REMAINS)) as site:
        load = context.load(site, 6_000, RATE, topology__workers=1)
        times = []
        for point in SUBMIT_POINTS:
            name = f"torn-{point}"
            before = _stored(site)
            thread = threading.Thread(target=_submit_and_forget, args=(site, load, name))
            thread.start()
            was_there = _kill_nimbus_when(site, _reached(site, name, point))
            context.check(was_there, f"{name} never came to {point}: this shows nothing", "HARNESS")
            thread.join()
            began = time.monotonic()
            site.restart(site.nimbuses[0])
            context.must(lambda: site.leader() is not None, f"Nimbus leads again after {point}", 20)
            times.append(time.monotonic() - began)
            _audit_submission(context, site, load, name, point, before)
            _nothing_else_stored(context, site, before, f"{name} was killed")
        return finish(context, site, load, "nimbus-killed-in-submit", len(times), recovered=times)


def _submit_and_forget(site: FaultSite, load: Load, name: str) -> None:
    """It may fail: its Nimbus dies meanwhile."""
    words = ["submit", str(TOPOLOGIES / "numbered.py"), "--name", name, "--no-wait"]
    conf = {**load.conf, "faults.dir": str(load.directory.parent / f"run-{name}"), "faults.messages": 10}
    (load.directory.parent / f"run-{name}").mkdir(exist_ok=True)
    for key, value in conf.items():
        words += ["-c", f"{key}={value}"]
    with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for a Nimbus that is started later
        site.storm(*words, code=None)


def _reached(site: FaultSite, name: str, point: str) -> Callable[[], bool]:
    nimbus = site.nimbuses[0].local_dir
    state = site.state
    uploads = {path.name for path in (nimbus / "nimbus" / "inbox").glob("*")}

    def there() -> bool:
        if point == "uploaded":
            return any(path.name not in uploads for path in (nimbus / "nimbus" / "inbox").glob("*"))
        if point == "blobs":
            with contextlib.suppress(OSError):  # directories are renamed while this looks
                return any(f"{name}-" in path.name for path in nimbus.rglob("*"))
            return False
        ids = state.topology_ids() if point == "storms" else state.assignment_ids()
        return any(each.startswith(f"{name}-") for each in ids)

    return there


def _kill_nimbus_when(site: FaultSite, there: Callable[[], bool]) -> bool:
    """Whether it was there when Nimbus was killed."""
    deadline = time.monotonic() + 30
    while not (is_there := there()) and time.monotonic() < deadline:
        time.sleep(0.001)
    site.nimbuses[0].end(signal.SIGKILL)
    return is_there


def _stored(site: FaultSite) -> set[Path]:
    """What Nimbus holds on its disk: blobs, also those that are not whole, and uploads."""
    directory = site.nimbuses[0].local_dir
    return {*directory.glob("blobs/*/*"), *directory.glob("nimbus/inbox/*")}


def _nothing_else_stored(context: Context, site: FaultSite, before: set[Path], after: str) -> None:
    """Than `before`, once the leader has looked over what is left."""
    if (
        context.must(lambda: _stored(site) <= before, f"Nimbus's disk is as it was after {after}", CLEAN_UP_SECS)
        is None
    ):
        left = sorted(map(str, _stored(site) - before))
        context.check(False, f"after {after} there is still {left}", "C-LEAK")


def _audit_submission(context: Context, site: FaultSite, load: Load, name: str, point: str, before: set[Path]) -> None:
    """Absent, and with it its package and its blobs, or running; a second submission under this name gets one clear
    answer. `before`: what Nimbus held on its disk.
    """
    time.sleep(2.0)
    ids = [each for each in site.state.topology_ids() if each.startswith(f"{name}-")]
    assigned = [each for each in site.state.assignment_ids() if each.startswith(f"{name}-")]
    context.check(set(assigned) <= set(ids), f"killed at {point}: assigned, and not wanted: {assigned}")
    context.check(len(ids) <= 1, f"killed at {point}: two topologies of one name: {ids}")
    if ids:
        site.wait_workers(ids[0], 1, 30)
    else:
        _nothing_else_stored(context, site, before, f"it was killed at {point}")
    words = ["submit", str(TOPOLOGIES / "numbered.py"), "--name", name, "--no-wait"]
    conf = {**load.conf, "faults.dir": str(load.directory.parent / f"run-{name}"), "faults.messages": 10}
    for key, value in conf.items():
        words += ["-c", f"{key}={value}"]
    again = site.storm(*words, code=None)
    if ids:
        context.check(
            again.returncode == 1 and "exists" in again.stderr,
            f"killed at {point}: the second submission was answered {again.returncode}: {again.stderr}",
        )
    else:
        context.check(again.returncode == 0, f"killed at {point}: it cannot be submitted again: {again.stderr}")
    context.notes.append(f"killed at {point}: {'it runs' if ids else 'it is not there'}")
    site.storm("kill", name, "-w", "0")
    context.must(
        lambda: not any(each.startswith(f"{name}-") for each in site.state.topology_ids()), f"{name} is gone", 20
    )


def killed_in_wait(context: Context) -> Outcome:
    """kill -9 Nimbus while a rebalance, then while a kill waits: both are carried out by the next one."""
    with context.site(Plan()) as site:
        load = context.load(site, 4_000, RATE)
        site.storm("rebalance", load.name, "-w", "4", "-n", "2")
        _restart_nimbus(context, site)
        context.must(lambda: len(load.processes()) == 2, "the rebalance is carried out", 30)
        load.wait_progress(100)
        audit(context, load, rounds=2)
        site.storm("kill", load.name, "-w", "4")
        _restart_nimbus(context, site)
        context.must(lambda: not load.remains(), "the kill is carried out", 30)
        return context.outcome("nimbus-killed-in-wait", 2)


def _restart_nimbus(context: Context, site: FaultSite) -> None:
    time.sleep(1.0)
    site.nimbuses[0].end(signal.SIGKILL)
    time.sleep(1.0)
    site.restart(site.nimbuses[0])
    context.must(lambda: site.leader() is not None, "Nimbus leads again", 20)


def duplicate_daemons(context: Context) -> Outcome:
    """A second Nimbus and a second supervisor in the same directory, then on the same port."""
    with context.site(Plan(hosts=1)) as site:
        for daemon in (site.nimbuses[0], site.supervisors["a"]):
            pid = daemon.pid
            command = "nimbus" if daemon is site.nimbuses[0] else "supervisor"
            elsewhere = site.directory / f"second-{daemon.name}"
            second = StormDaemon(command, f"second-{daemon.name}", daemon.place, elsewhere, daemon.settings)
            second.environment = daemon.environment
            _ends_and_says(context, second, [str(pid), "already running"])
            third = StormDaemon(command, f"third-{daemon.name}", daemon.place, elsewhere, daemon.settings)
            _ends_and_says(context, third, [str(daemon.port)])
            context.check(daemon.is_running and daemon.pid == pid, f"{daemon.name} ended when a second one was started")
        context.check(site.leader() is not None, "Nimbus does not answer after a second one was started")
        return context.outcome("duplicate-daemon", 4)


def _ends_and_says(context: Context, daemon: Daemon, words: list[str]) -> None:
    daemon.log.unlink(missing_ok=True)
    daemon.start()
    ended = context.must(lambda: not daemon.is_running, f"{daemon.name} ends by itself", 15)
    code = daemon.end()
    if ended is not None:
        context.check(code == 1, f"{daemon.name} ended with exit code {code}, not 1")
    said = daemon.log.read_text(errors="replace").lower()
    for word in words:
        context.check(word in said, f"{daemon.name} does not say {word!r}: {said[-300:]}")
    context.check("traceback" not in said, f"{daemon.name} shows a traceback")


def foreign_pid(context: Context) -> Outcome:
    """Numbers of processes that ended belong to somebody else now, who is never signalled: those in the files of Nimbus
    and of a supervisor, and those of workers that died, while their supervisor runs and while it is away. The kernel
    is told which number comes next, so that a stranger really has the worker's; it names the worker's launch file in
    its command line, too, as whoever looks at that file does.
    """
    with context.site(Plan(hosts=1)) as site, contextlib.ExitStack() as strangers:
        load = context.load(site, 3_000, RATE, topology__workers=2)
        supervisor = site.supervisors["a"]
        everyone = [_stranger(strangers)]
        for daemon, name in ((site.nimbuses[0], "nimbus/nimbus.pid"), (supervisor, "supervisor/supervisor.lock")):
            daemon.end(signal.SIGKILL)
            file = daemon.local_dir / name
            context.check(file.exists(), f"{file} is not where it was: this scenario has nothing to change", "HARNESS")
            file.write_text(f"{everyone[0].pid}\n")
            site.restart(daemon)
        site.wait_well()
        for is_away in (True, False):
            worker, _ = site.wait_workers(load.topology_id, 2)
            if is_away:
                supervisor.end(signal.SIGKILL)
            os.kill(worker.pid, signal.SIGKILL)
            everyone.append(_stranger(strangers, worker.pid, worker.launch_file))
            site.restart(supervisor)
            context.must(lambda pid=worker.pid: _runs_without(load, pid), f"{worker.pid} is replaced", 40)
        ended = [f"{each.pid}: {each.returncode}" for each in everyone if each.poll() is not None]
        context.check(not ended, f"processes that only had the numbers were ended: {ended}")
        stopped = [each.pid for each in everyone if psutil.Process(each.pid).status() == psutil.STATUS_STOPPED]
        context.check(not stopped, f"processes that only had the numbers were stopped: {stopped}")
        outcome = finish(context, site, load, "foreign-pid", len(everyone), restarts=2, rounds=4)
        late = [each.pid for each in everyone if each.poll() is not None]
        context.check(not late, f"as the topology was killed, so were strangers: {late}")
        return outcome


def _runs_without(load: Load, pid: int) -> bool:
    """Whether two workers of it run, neither of them the one that had this number."""
    return len(found := [worker.pid for worker in load.processes()]) == 2 and pid not in found


def _stranger(until: contextlib.ExitStack, pid: int | None = None, *arguments: str) -> subprocess.Popen[bytes]:
    """A process of nobody's, ended with the block; of this number, whose owner ends just now. Raises AssertionError."""
    words = [sys.executable, "-c", "import time; time.sleep(600)", *arguments]
    if pid is not None:
        wait_until(lambda: not psutil.pid_exists(pid), f"process {pid} is reaped", 20)
    for _ in range(NUMBER_TRIES):
        if pid is not None:
            LAST_PID.write_text(str(pid - 1))
        process = subprocess.Popen(words, start_new_session=True)
        if pid in {None, process.pid}:
            until.callback(process.wait)
            until.callback(process.kill)
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"no process got the number {pid}")


def copied_directory(context: Context) -> Outcome:
    """A supervisor with a copy of another one's local directory, and so of its id, starts on another host."""
    with context.site(Plan(hosts=2)) as site:
        load = context.load(site, 3_000, RATE, topology__workers=2)
        before = {worker.pid for worker in load.processes()}
        original = site.supervisors["a"]
        copy = site.make_supervisor("d")
        shutil.copytree(original.local_dir, copy.local_dir)
        _ends_and_says(context, copy, ["in use", str(copy.local_dir).lower()])
        context.check({worker.pid for worker in load.processes()} == before, "workers were ended", "C-ALIVE")
        context.check(original.is_running, "the original ended", "C-ALIVE")
        return finish(context, site, load, "directory-copied")


def orphan_child(context: Context) -> Outcome:
    """kill -9 a worker whose bolt has started a child: the child ends too."""
    with context.site(Plan(hosts=1)) as site:
        load = context.load(site, 3_000, RATE, topology__workers=2)
        load.ask("child")
        parent = site.wait(lambda: load.did("child"), "a bolt starts a child")
        found = site.wait(lambda: psutil.Process(parent).children(), "its child runs")
        os.kill(parent, signal.SIGKILL)
        took = context.must(lambda: not any(child.is_running() for child in found), "the child has ended", 5)
        return finish(context, site, load, "orphan-child", 1, recovered=took, rounds=2)


def zombies(context: Context) -> Outcome:
    """Workers of this supervisor and workers that it adopted die: none stays defunct."""
    with context.site(Plan(hosts=1)) as site:
        load = context.load(site, 3_000, RATE, topology__workers=2)
        own, adopted = load.processes()
        os.kill(own.pid, signal.SIGKILL)
        context.must(lambda: len(load.processes()) == 2, "the worker is replaced", 20)
        site.supervisors["a"].end(signal.SIGKILL)
        site.restart(site.supervisors["a"])
        os.kill(adopted.pid, signal.SIGKILL)
        context.must(
            lambda: len({worker.pid for worker in load.processes()} - {own.pid, adopted.pid}) == 2,
            "the adopted worker is replaced", 20,
        )  # fmt: skip
        context.violations += defunct(site)
        return finish(context, site, load, "zombie", 2, restarts=2, rounds=4)


def rolling_restart(context: Context) -> Outcome:
    """Every daemon is restarted, one after the other, and then the other way round, while clients read and write."""
    gap = 3.0 if context.timers.name == "short" else 5.0
    with context.site(Plan(nimbuses=2, settings=REMAINS)) as site:
        order = [*site.zookeepers, *site.nimbuses, *site.supervisors.values()]
        messages = context.options.messages or int(RATE * gap * 2 * len(order))
        load = context.load(site, messages, RATE)
        before = {worker.pid for worker in load.processes()}
        with Reader(site) as reader, Writer(site, load.conf) as writer:
            for daemon in [*order, *reversed(order)]:
                daemon.end(signal.SIGTERM)
                site.restart(daemon)
                time.sleep(gap)
            for caller in (reader, writer):
                failures = caller.stop()
                what = f"{len(failures)} of {caller.calls} calls failed three times: {failures[:3]}"
                context.check(not failures, what)
        context.check(writer.done, "no small topology went through all of its life: this shows nothing", "HARNESS")
        context.must(lambda: not writer.left(), "nothing is left of the small topologies", 30)
        context.notes.append(
            f"{writer.done} small topologies, {writer.calls} writes, {writer.repeated} attempts failed"
        )
        context.check({worker.pid for worker in load.processes()} == before, "workers were restarted", "C-ALIVE")
        return finish(context, site, load, "rolling-restart", 2 * len(order))


PROCESS_SCENARIOS = [
    Scenario("crash-loop", "P3", "a topology whose workers end at once, always, beside one that runs", crash_loop),
    Scenario("broken-host", "P3", "a worker that ends at once on one host, and would not on another", broken_host),
    Scenario("nimbus-killed-in-submit", "P8", "kill -9 Nimbus at four points of a submission", killed_in_submit),
    Scenario("nimbus-killed-in-wait", "P9", "kill -9 Nimbus while a rebalance and a kill wait", killed_in_wait),
    Scenario("duplicate-daemon", "P11", "a second daemon in the same directory, or on one port", duplicate_daemons),
    Scenario(
        "directory-copied", "P11", "a supervisor with a copy of another one's directory", copied_directory,
        frozenset({"copies-refused"}),
    ),
    Scenario(
        "foreign-pid", "P12", "numbers of daemons and workers that died belong to somebody else's process", foreign_pid,
        frozenset({"process-numbers"}),
    ),
    Scenario("orphan-child", "P13", "kill -9 a worker whose bolt has started a child", orphan_child),
    Scenario("zombie", "P14", "own and adopted workers die: none stays defunct", zombies),
    Scenario(
        "rolling-restart", "P17", "SIGTERM and start each daemon in turn, there and back, under reads and writes",
        rolling_restart,
        needs=frozenset({"replication"}),
    ),
]  # fmt: skip
