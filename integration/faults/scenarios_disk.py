"""Scenarios of disks: full, read-only, damaged, deleted while in use."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from daemons import StormDaemon
from fault_site import Plan
from nemesis_run import audit
from scenario import Context, Outcome, Scenario
from scenarios_process import RATE, finish
from sessions import ending_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fault_site import FaultSite
    from load import Load

DISK_BYTES = 8 << 20
FULL_SECS = 5.0
READ_ONLY, NOT_STARTED = "Read-only file system", "is on a file system that is read-only"
NO_SPACE = "No space left on device"
SAID_MAX = 20  # lines of a log that name one trouble: each try to start a worker is one
LOG_MIB_MAX = 210  # 100, and what is printed in the second between two looks
PRINTED_MIB, PRINTING_SECS = 400, 4.0  # CHAT_MIB, CHAT_PAUSE_SECS of topologies/numbered.py
CUT_AFTER = 4_000  # bytes of a download
SAID_OF_DAMAGE = {  # file: what its supervisor says; nothing of those that it fetches anew
    "supervisor/localstate/state.json": "state.json is damaged",
    "supervisor/node-id": "does not hold a supervisor's id",
    "workers/*/launch.json": "launch.json is not readable",
    "supervisor/stormdist/*/stormconf.ser": "",
    "supervisor/stormdist/*/stormcode.ser": "",
}
MOUNTS = frozenset({"mounts"})


@contextlib.contextmanager
def small_disk(directory: Path, options: str = f"size={DISK_BYTES}") -> Iterator[Path]:
    """A file system of its own at this directory, for daemons that are started within the block."""
    directory.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", options, "tmpfs", directory)
    try:
        # What is mounted on it later is seen by daemons, too, whose hosts have mounts of their own.
        _mount("--make-shared", directory)
        yield directory
    finally:
        with contextlib.suppress(shutil.Error, OSError):  # what is on it is gone with it
            shutil.copytree(directory, f"{directory}-kept", ignore=shutil.ignore_patterns("filler"))
        subprocess.run(["umount", "--lazy", str(directory)], check=False)


@contextlib.contextmanager
def read_only_meanwhile(disk: Path) -> Iterator[None]:
    """Whatever is opened on this small disk within the block, by whomever, can only be read. Files that were open to be
    written stay so: only a disk that breaks takes that away.
    """
    beside = disk.with_name(f"{disk.name}-read-only")
    beside.mkdir()
    with contextlib.ExitStack() as mounts:
        with _bound(disk, beside):
            _mount("--make-private", beside)
            _mount("-o", "remount,bind,ro", beside)
            mounts.enter_context(_bound(beside, disk))
        yield


@contextlib.contextmanager
def _bound(source: Path, target: Path) -> Iterator[None]:
    """What is at `source` is at `target`, too."""
    _mount("--bind", source, target)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(target)], check=True)


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


def fill(directory: Path) -> Path:
    """Leave no byte free; the file to remove afterwards."""
    file = directory / "filler"
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    out.write(bytes(size))
    return file


def supervisor_disk_full(context: Context) -> Outcome:
    """The disk with a supervisor's state, code and workers' logs is full for a while: its workers go on, what it cannot
    write it says, and all that it should have done it does once there is room.
    """
    where = context.directory / "cluster-1" / "host-a" / "local"
    with small_disk(where) as disk, context.site(Plan(hosts=2)) as site:
        load = context.load(site, 4_000, RATE, topology__workers=2)
        before = {worker.pid for worker in load.processes()}
        filler = fill(disk)
        context.check(shutil.disk_usage(disk).free == 0, "the disk is not full: this scenario shows nothing", "HARNESS")
        load.wait_progress(200)
        time.sleep(FULL_SECS)
        context.check({worker.pid for worker in load.processes()} == before, "a full disk ended workers", "C-ALIVE")
        late = context.made(site, 50, RATE, topology__workers=2)
        site.storm("submit", str(late.file), "--name", late.name, "--no-wait", *late.words())
        _status_says_full(context, site, late, "code cannot be stored")
        _kill_without_room(site, load, disk)
        told = _status_says_full(context, site, load, "a worker cannot be started")
        for daemon in site.daemons:
            context.check(daemon.is_running, f"{daemon.name} ended", "C-ALIVE")
        text = site.supervisors["a"].log.read_text(errors="replace")
        context.check(
            f"state.json cannot be written ({NO_SPACE})" in text, "its log does not say it of its state", "C-LOG"
        )
        context.check(text.count(NO_SPACE) <= SAID_MAX, f"its log says it {text.count(NO_SPACE)} times", "C-LOG")
        context.check(len(load.processes()) == 1, "its worker runs: the disk was not full when it mattered", "HARNESS")
        filler.unlink()
        took = context.must(lambda: len(load.processes()) == 2, "the worker runs once there is space", 40)
        late.topology_id = site.call("getTopologySummaryByName", late.name).id
        site.wait_workers(late.topology_id, 2)
        late.begin()
        for each in (late, context.load(site, 50, RATE, topology__workers=2)):
            audit(context, each)
            each.kill()
        text = site.supervisors["a"].log.read_text(errors="replace")
        context.check("state.json is written again" in text, "its log does not say that all is written again", "C-LOG")
        return finish(
            context, site, load, "supervisor-disk-full", 1, detected=told, recovered=took, restarts=1, rounds=6
        )


def _status_says_full(context: Context, site: FaultSite, load: Load, what: str) -> float | None:
    """After how many seconds `storm status` said why host a does not run the topology's worker."""
    return context.must(
        lambda: NO_SPACE in site.storm("status", load.name).stdout, f"`storm status` says that {what}: {NO_SPACE}", 20
    )


def _kill_without_room(site: FaultSite, load: Load, disk: Path) -> None:
    """kill -9 the worker of host a, whose place on the disk is taken before its supervisor sees that it is gone."""
    [worker] = [each for each in load.processes() if each.host == "a"]
    site.supervisors["a"].send(signal.SIGSTOP)
    try:
        os.kill(worker.pid, signal.SIGKILL)
        shutil.rmtree(Path(worker.launch_file).parent)
        fill(disk)
    finally:
        site.supervisors["a"].send(signal.SIGCONT)


def nimbus_disk_full(context: Context) -> Outcome:
    """Nimbus's disk is full: a submission is refused and leaves nothing, and what runs goes on."""
    where = context.directory / "cluster-1" / "nimbus" / "local"
    with small_disk(where) as disk, context.site(Plan(hosts=1)) as site:
        load = context.load(site, 3_000, RATE, topology__workers=1)
        filler = fill(disk)
        done = site.storm("submit", str(load.file), "--name", "refused", "--no-wait", *load.words(), code=None)
        context.check(done.returncode == 1, f"a submission to a full disk ended with {done.returncode}: {done.stdout}")
        context.check("space" in done.stderr.lower(), f"it does not say that there is no space: {done.stderr[-300:]}")
        context.check("Traceback" not in done.stderr, "it shows a traceback", "C-LOG")
        load.wait_progress(100)
        context.check(site.nimbuses[0].is_running, "Nimbus ended", "C-ALIVE")
        filler.unlink()
        left = [path.name for path in where.rglob("*refused*")]
        context.check(not left, f"of the refused submission there is still {left}", "C-LEAK")
        context.must(lambda: site.leader() is not None, "Nimbus leads", 20)
        second = context.load(site, 50, RATE, topology__workers=1)
        audit(context, second)
        second.kill()
        return finish(context, site, load, "nimbus-disk-full", 1)


def supervisor_disk_read_only(context: Context) -> Outcome:
    """The disk with a supervisor's state, code and workers' logs turns read-only under it, and back."""
    where = context.directory / "cluster-1" / "host-a" / "local"
    with small_disk(where) as disk, context.site(Plan(hosts=2)) as site:
        load = context.load(site, 4_000, RATE, topology__workers=2)
        before = {worker.pid for worker in load.processes()}
        daemon = site.supervisors["a"]
        with read_only_meanwhile(disk):
            load.wait_progress(200)
            time.sleep(FULL_SECS)
            is_kept = {worker.pid for worker in load.processes()} == before
            context.check(is_kept, "a read-only disk ended workers", "C-ALIVE")
            for worker in [worker for worker in load.processes() if worker.host == "a"]:
                os.kill(worker.pid, signal.SIGKILL)  # it cannot be started again now
            told = context.must(lambda: NOT_STARTED in site.storm("status", load.name).stdout, "`status` says why", 20)
            found = site.storm("doctor", code=None).stdout
            context.check("mounted read-only" in found, f"`storm doctor` does not find it: {found}")
            time.sleep(FULL_SECS)
            for each in site.daemons:
                context.check(each.is_running, f"{each.name} ended", "C-ALIVE")
            text = daemon.log.read_text(errors="replace")
            said = text.count(READ_ONLY) + text.count(NOT_STARTED)
            context.check(1 <= said <= SAID_MAX, f"the supervisor's log says it {said} times", "C-LOG")
        took = context.must(lambda: len(load.processes()) == 2, "the worker runs once the disk can be written", 40)
        site.wait(load.is_settled, "its workers are up")
        running = {worker.pid for worker in load.processes()}
        daemon.end(signal.SIGKILL)
        site.restart(daemon)
        load.wait_progress(200)
        context.check({worker.pid for worker in load.processes()} == running, "the next supervisor ended workers")
        return finish(context, site, load, "supervisor-disk-read-only", 1, detected=told, recovered=took, rounds=6)


def nimbus_disk_read_only(context: Context) -> Outcome:
    """Nimbus's disk turns read-only under it: a submission is refused, what runs goes on, what needs no disk is done,
    and what was killed meanwhile is removed as soon as that can be.
    """
    where = context.directory / "cluster-1" / "nimbus" / "local"
    with small_disk(where) as disk, context.site(Plan(hosts=1)) as site:
        load = context.load(site, 3_000, RATE, topology__workers=1)
        killed = context.load(site, 50, RATE, topology__workers=1)
        audit(context, killed)
        with read_only_meanwhile(disk):
            done = site.storm("submit", str(load.file), "--name", "refused", "--no-wait", *load.words(), code=None)
            context.check(done.returncode == 1, f"a submission ended with {done.returncode}: {done.stdout}")
            context.check(READ_ONLY in done.stderr, f"it does not say why: {done.stderr[-300:]}")
            context.check("Traceback" not in done.stderr, "it shows a traceback", "C-LOG")
            site.storm("deactivate", killed.name)
            site.storm("activate", killed.name)
            [worker] = load.processes()
            os.kill(worker.pid, signal.SIGKILL)
            site.storm("kill", killed.name, "-w", "0")
            context.must(lambda: not killed.processes(), "the workers of a killed topology end", 20)
            load.wait_progress(200)
            said = site.nimbuses[0].log.read_text(errors="replace").count(READ_ONLY)
            context.check(1 <= said <= SAID_MAX, f"Nimbus's log says it {said} times", "C-LOG")
            context.check(site.nimbuses[0].is_running, "Nimbus ended", "C-ALIVE")

        def left() -> list[str]:
            names = ("refused", killed.topology_id)
            stored = [str(path) for name in names for path in where.rglob(f"*{name}*")]
            return [*stored, *killed.remains()]

        took = context.must(lambda: not left(), "what was killed and what was refused is gone", 40)
        second = context.load(site, 50, RATE, topology__workers=1)
        audit(context, second)
        second.kill()
        return finish(context, site, load, "nimbus-disk-read-only", 1, recovered=took, restarts=1, rounds=2)


def download_cut(context: Context) -> Outcome:
    """Downloads from Nimbus break off in their middle: no worker is started from half a package."""
    with context.site(Plan(hosts=2, proxied=frozenset({"nimbus"}))) as site:
        for proxy in site.nimbus_proxies:
            proxy.to_client.change = ending_after(CUT_AFTER)
        load_conf = {"topology.workers": 2}
        load = context.made(site, 2_000, RATE, **{key.replace(".", "__"): value for key, value in load_conf.items()})
        site.storm("submit", str(load.file), "--name", load.name, "--no-wait", *load.words(), code=None)
        time.sleep(FULL_SECS)
        launched = site.workers()
        context.check(not launched, f"workers run though no download can have ended: {launched}")
        for proxy in site.nimbus_proxies:
            proxy.to_client.change = None
        took = context.must(lambda: len(site.workers()) == 2, "the workers run once downloads pass", 30)
        if took is None:
            return context.outcome("download-cut")
        load.topology_id = site.call("getTopologySummaryByName", load.name).id
        load.begin()
        return finish(context, site, load, "download-cut", 1, recovered=took, rounds=1)


def damaged_state(context: Context) -> Outcome:
    """Each file of a supervisor is cut or overwritten while it is away: it says so, or has the right one again when
    the next worker runs.
    """
    with context.site(Plan(hosts=2)) as site:
        load = context.load(site, 10_000, RATE, topology__workers=2)
        daemon = site.supervisors["a"]
        count = 0
        for name, said in SAID_OF_DAMAGE.items():
            for cut in (0, 1, 0.5, -1, None):
                daemon.end(signal.SIGKILL)
                files = list(daemon.local_dir.glob(name))
                context.check(files, f"there is no {name}: this scenario has nothing to damage", "HARNESS")
                good = {file: file.read_bytes() for file in files}
                for file in files:
                    _damage(file, cut)
                log_size = daemon.log.stat().st_size
                count += 1
                where = f"after {name} was cut at {cut}"
                before = {worker.pid for worker in load.processes() if worker.host == "a"}
                context.check(before, f"there is no worker {where}: none is replaced", "HARNESS")
                for pid in before if not name.endswith("launch.json") else ():  # there the supervisor does it
                    os.kill(pid, signal.SIGKILL)
                site.restart(daemon)
                context.must(lambda before=before: _is_replaced(load, before), f"another worker runs {where}", 40)
                context.check(daemon.is_running, f"the supervisor ended {where}", "C-ALIVE")
                new = daemon.log.read_bytes()[log_size:].decode(errors="replace")
                whole = all(file.exists() and file.read_bytes() == content for file, content in good.items())
                is_well = _is_harmless(name, cut) or (said in new if said else whole)
                context.check(is_well, f"no word of it, and it is not whole again {where}", "C-LOG")
            load.wait_progress(50)
        return finish(context, site, load, "state-damaged", count, rounds=2 * count, restarts=count)


def _is_harmless(name: str, cut: float | None) -> bool:
    """Without its last byte, a line's end, the id is still what it was."""
    return name.endswith("node-id") and cut == -1


def _is_replaced(load: Load, before: set[int]) -> bool:
    """Whether both hosts have a worker, none of them one of these, and its components write."""
    running = load.processes()
    are_new = len(running) == 2 and not before & {worker.pid for worker in running}
    return are_new and all(any(load.directory.glob(f"*-{worker.pid}")) for worker in running)


def _damage(file: Path, cut: float | None) -> None:
    """`cut`: how many bytes stay, a share of them, or, if negative, how many go; None: all become zeros."""
    content = file.read_bytes()
    if cut is None:
        file.write_bytes(bytes(len(content)))
    else:
        keep = (
            int(len(content) * cut) if 0 < cut < 1 else int(cut) % (len(content) + 1) if cut >= 0 else len(content) - 1
        )
        file.write_bytes(content[: max(0, keep)])


def deleted_while_running(context: Context) -> Outcome:
    """A supervisor's directories are deleted under it: its worker goes on, and the next one is downloaded anew."""
    with context.site(Plan(hosts=2)) as site:
        load = context.load(site, 4_000, RATE, topology__workers=2)
        before = {worker.pid for worker in load.processes()}
        local = site.supervisors["a"].local_dir
        for name in ("supervisor/stormdist", "workers", "supervisor"):
            shutil.rmtree(local / name, ignore_errors=True)
            time.sleep(1.0)
        load.wait_progress(100)
        context.check({worker.pid for worker in load.processes()} == before, "workers were ended", "C-ALIVE")
        here = [worker for worker in load.processes() if worker.host == "a"]
        for worker in here:
            os.kill(worker.pid, signal.SIGKILL)
        took = context.must(lambda: len({w.pid for w in load.processes()} - {w.pid for w in here}) == 2, "replaced", 40)
        return finish(context, site, load, "state-deleted", 1, recovered=took, rounds=4)


def corrupt_blob(context: Context) -> Outcome:
    """One bit of a package in Nimbus's store is turned: it is not run, and the error names it."""
    with context.site(Plan(hosts=2)) as site:
        load = context.load(site, 4_000, RATE, topology__workers=2)
        blobs = [path for path in site.nimbuses[0].local_dir.glob("blobs/**/data") if "stormjar" in str(path)]
        context.check(blobs, "Nimbus's store has no package: this scenario has nothing to damage", "HARNESS")
        good = {path: path.read_bytes() for path in blobs}
        for path, content in good.items():
            middle = len(content) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        shutil.rmtree(site.supervisors["a"].local_dir / "supervisor" / "stormdist")
        here = [worker for worker in load.processes() if worker.host == "a"]
        for worker in here:
            os.kill(worker.pid, signal.SIGKILL)
        time.sleep(FULL_SECS)
        context.check(not [w for w in load.processes() if w.host == "a"], "a worker runs a package that is damaged")
        said = site.supervisors["a"].log.read_text(errors="replace")
        context.check("stormjar" in said or "sha256" in said, "the supervisor's log does not name the blob", "C-LOG")
        for path, content in good.items():
            path.write_bytes(content)
        took = context.must(lambda: len(load.processes()) == 2, "the worker runs with the right package", 40)
        return finish(context, site, load, "blob-damaged", 1, recovered=took, rounds=6)


def read_only(context: Context) -> Outcome:
    """The local directory cannot be written: a daemon says so and ends."""
    where = context.directory / "read-only"
    with small_disk(where, "ro"), context.site(Plan(hosts=1)) as site:
        for daemon, command, key in (
            (site.nimbuses[0], "nimbus", "nimbus.thrift.port"),
            (site.supervisors["a"], "supervisor", "supervisor.thrift.port"),
        ):
            settings = {**daemon.settings, key: daemon.settings[key] + 1000}
            second = StormDaemon(
                command, f"read-only-{command}", daemon.place, site.directory / f"ro-{command}", settings
            )
            second.set("storm.local.dir", str(where / command))
            second.start()
            if context.must(lambda second=second: not second.is_running, f"the {command} ends", 30) is not None:
                code = second.end()
                context.check(code == 1, f"the {command}'s exit code is {code}, not 1")
            second.end()
            said = second.log.read_text(errors="replace")
            context.check(str(where) in said, f"the {command} does not name its directory: {said[-300:]}", "C-LOG")
            context.check("Traceback" not in said, f"the {command} shows a traceback", "C-LOG")
        return context.outcome("disk-read-only", 2)


def log_flood(context: Context) -> Outcome:
    """A bolt prints more than its worker's log may hold: older parts are put aside, and the worker goes on."""
    with context.site(Plan(hosts=1)) as site:
        load = context.load(site, 2_000, RATE, topology__workers=1)
        before = {worker.pid for worker in load.processes()}
        load.ask("chat")
        site.wait(lambda: load.did("chat"), "a bolt prints")
        load.wait_progress(100)
        time.sleep(FULL_SECS + PRINTING_SECS)
        logs = list(site.supervisors["a"].local_dir.glob("logs/workers-artifacts/*/*/worker.log*"))
        sizes = {path.name: path.stat().st_size >> 20 for path in logs}
        context.notes.append(f"MiB: {sizes}")
        context.check(len(logs) > 1, "nothing was put aside")
        context.check(max(sizes.values()) <= LOG_MIB_MAX, f"a log has {max(sizes.values())} MiB", "C-LEAK")
        context.check(sum(sizes.values()) <= PRINTED_MIB + 20, f"of {PRINTED_MIB} MiB there are {sizes}", "C-LEAK")
        context.check({worker.pid for worker in load.processes()} == before, "the worker ended", "C-ALIVE")
        return finish(context, site, load, "log-flood", rounds=4)


DISK_SCENARIOS = [
    Scenario("supervisor-disk-full", "D1", "a supervisor's disk is full for a while", supervisor_disk_full, MOUNTS),
    Scenario(
        "supervisor-disk-read-only", "D7", "a supervisor's disk is read-only for a while",
        supervisor_disk_read_only, MOUNTS,
    ),
    Scenario(
        "nimbus-disk-read-only", "D7", "Nimbus's disk is read-only for a while", nimbus_disk_read_only, MOUNTS
    ),
    Scenario("nimbus-disk-full", "D1", "Nimbus's disk is full: a submission is refused", nimbus_disk_full, MOUNTS),
    Scenario(
        "download-cut", "D2", "downloads of a package break off in their middle", download_cut,
        frozenset({"own-addresses"}),
    ),
    Scenario("state-damaged", "D3", "each file of a supervisor is cut, or zeros", damaged_state),
    Scenario(
        "killed-in-write", "D4", "kill -9 between every write, fsync and rename of local state",
        missing="needs a failing file layer, not a cluster: tests/supervisor/test_local_state.py",
    ),
    Scenario("state-deleted", "D5", "a supervisor's directories are deleted under it", deleted_while_running),
    Scenario("blob-damaged", "D6", "one bit of a package in Nimbus's store is turned", corrupt_blob),
    Scenario("disk-read-only", "D7", "a daemon whose local directory cannot be written", read_only, MOUNTS),
    Scenario("log-flood", "D8", "a bolt prints 400 MiB at once", log_flood, frozenset({"log-cap"})),
]  # fmt: skip
