"""The topology that runs while faults are injected, and what the harness asks of it."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from records import Progress, Run, read_run

from storm.errors import StormError
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fault_site import FaultSite, WorkerProcess

TOPOLOGIES = Path(__file__).resolve().parent / "topologies"
NUMBERED = TOPOLOGIES / "numbered.py"
WORKERS = 3
SPOUTS = 2
TRIAL = 10  # numbers of each spout task before the run begins
ENDS_IN_SECS = 1.0  # its sources see within a tenth of that when it ends
NO_PROGRESS_SECS = 1.0  # how often the drain looks


class Amount(NamedTuple):
    """How many numbers, and how many a second. `kept`: so many more for the time when all is calm."""

    messages: int
    rate: float
    kept: int = 0


class Load:
    """One run of topologies/numbered.py; its files are in `directory`."""

    def __init__(self, site: FaultSite, name: str, amount: Amount, **conf: Any) -> None:
        self.site = site
        self.name = name
        self.messages = amount.messages  # that were told to come so far
        self.kept = amount.kept
        self.workers = int(conf.get("topology.workers", WORKERS))
        self.directory = site.directory / f"run-{name}"
        self.directory.mkdir()
        self.conf: Mapping[str, Any] = {
            "topology.workers": self.workers,
            **site.timers.conf,
            "faults.dir": str(self.directory),
            "faults.messages": amount.messages + amount.kept,
            "faults.kept": amount.kept,
            "faults.rate": amount.rate,
            "faults.trial": TRIAL,
            "faults.spouts": SPOUTS,
            "faults.parts": 1,
            **conf,
        }
        self.topology_id = ""
        self._began = 0.0
        self._progress = Progress(self.directory)

    @property
    def file(self) -> Path:
        return NUMBERED

    def words(self) -> list[str]:
        """Its settings as `storm submit` takes them."""
        return [word for key, value in self.conf.items() for word in ("-c", f"{key}={json.dumps(value)}")]

    def start(self) -> Load:
        """Submit it; returns when its first numbers are acked. The others come once it is told to `begin`."""
        self.topology_id = self.site.submit(NUMBERED, self.name, self.conf)
        self.site.wait(lambda: self.done() > 0, f"numbers of {self.name} are acked")
        return self

    def begin(self) -> None:
        """From now on numbers come at their rate."""
        self._began = time.monotonic()
        self._tell("started", self._began)

    def calm(self) -> float:
        """Let those come that were kept; the time from which on they do. All others are done."""
        now = time.monotonic()
        self.messages += self.kept
        self.kept = 0
        self._tell("calm", now)
        return now

    def end(self) -> None:
        """No more numbers come than those of the next second; `messages` is how many there are then."""
        ends = time.monotonic() + ENDS_IN_SECS
        self._tell("ends", ends)
        spouts, trial = int(self.conf["faults.spouts"]), int(self.conf["faults.trial"])
        each = trial + (ends - self._began) * (float(self.conf["faults.rate"]) / spouts)
        self.messages = min(self.messages, spouts * math.ceil(each))

    def _tell(self, name: str, time: float) -> None:
        being_written = self.directory / f"{name}.tmp"
        being_written.write_text(repr(time))
        os.replace(being_written, self.directory / name)

    @property
    def grace_secs(self) -> float:
        """How long whatever should come may take."""
        return self.site.timers.grace_secs

    @property
    def pending_max(self) -> int:
        """How many lines sinks write of what all its spout tasks together may have under way."""
        return int(self.conf["topology.max.spout.pending"]) * int(self.conf["faults.spouts"]) * self.parts

    @property
    def parts(self) -> int:
        """How many tuples the bolt in the middle makes of each number."""
        return int(self.conf["faults.parts"])

    def ask(self, kind: str) -> None:
        """Let the next bolt in the middle do this."""
        (self.directory / f"ask-{kind}").touch()

    def ask_no_more(self, kind: str) -> None:
        """Take back what no bolt has seen."""
        (self.directory / f"ask-{kind}").unlink(missing_ok=True)

    def did(self, kind: str) -> int | None:
        """The process that does what was asked for, or did it; None if none has seen it yet."""
        found = sorted(self.directory.glob(f"did-{kind}-*"), key=lambda path: path.stat().st_mtime)
        if (self.directory / f"ask-{kind}").exists() or not found:
            return None
        return int(found[-1].name.rpartition("-")[2])

    def slow(self, on: bool) -> None:
        """Let the sinks be slow, or not any more."""
        if on:
            (self.directory / "slow").touch()
        else:
            (self.directory / "slow").unlink(missing_ok=True)

    def processes(self) -> list[WorkerProcess]:
        return self.site.workers(self.topology_id)

    def has_written(self, worker: WorkerProcess) -> bool:
        """Whether a sink task in this process has written to its ledger."""
        return any(path.stat().st_size for path in self.directory.glob(f"ledger-*-{worker.pid}"))

    def is_settled(self) -> bool:
        """Whether the workers that run are those that are assigned, and Nimbus has heard of all of them."""
        try:
            page = self.site.call("getTopologyPageInfo", self.topology_id, ":all-time", False)
        except StormError:
            return False
        up = [worker for worker in page.workers or [] if worker.uptime_secs is not None]
        return bool(up) and len(up) == len(page.workers) == len(self.processes())

    def runs_without(self, node_id: str) -> bool:
        """Whether all its workers run, and none of them is assigned to this supervisor."""
        workers = self.site.call("getTopologyPageInfo", self.topology_id, ":all-time", False).workers or []
        away = [worker for worker in workers if worker.uptime_secs is not None and worker.supervisor_id != node_id]
        return bool(workers) and len(away) == len(workers)

    def fenced_frames(self, node_id: str) -> int:
        """How many frames of workers that were replaced its workers say they have dropped, but this supervisor's."""
        workers = self.site.call("getTopologyPageInfo", self.topology_id, ":all-time", False).workers or []
        dropped = [
            worker.insight.dropped or {} for worker in workers if worker.insight and worker.supervisor_id != node_id
        ]
        return sum(count for each in dropped for why, count in each.items() if "worker that was replaced" in why)

    def runs_on(self) -> tuple[int, int] | None:
        """How many workers, and executors of the bolt in the middle, once all workers that are assigned run."""
        page = self.site.call("getTopologyPageInfo", self.topology_id, ":all-time", False)
        executors = page.id_to_bolt_agg_stats["forward"].common_stats.num_executors
        return (len(page.workers), executors) if page.status == "ACTIVE" and self.is_settled() else None

    def done(self) -> int:
        """How many numbers are acked, or given up."""
        return self._progress.count()

    def wait_progress(self, more: int, secs: float = 60.0) -> None:
        """Until so many more numbers are done than now, or all."""
        wanted = min(self.done() + more, self.messages)
        self.site.wait(lambda: self.done() >= wanted, f"{more} more numbers of {self.name} are acked", secs)

    def drain(self) -> bool:
        """Let it finish: whether every number is done. It gives up when nothing was for the profile's grace."""
        moved_at, before = time.monotonic(), self.done()
        while before < self.messages:
            time.sleep(NO_PROGRESS_SECS)
            now, done = time.monotonic(), self.done()
            if done > before:
                moved_at, before = now, done
            elif now - moved_at > self.grace_secs:
                return False
        return True

    def read(self) -> Run:
        return read_run(self.directory, self.messages, self.parts)

    def kill(self) -> list[str]:
        """Kill the topology; what of it was still there after the grace.

        Not by the command line, which is for people: they do not wait as long as a busy machine may take.
        """
        self.site.call("killTopologyWithOpts", self.name, storm_thrift().KillOptions(wait_secs=0))
        try:
            self.site.wait(lambda: not self.remains(), "it is gone", self.grace_secs)
        except AssertionError:
            return self.remains()
        return []

    def remains(self) -> list[str]:
        """Whatever is left of it in ZooKeeper, among processes and in the supervisors' directories."""
        others = [worker for worker in self.site.workers() if worker.topology_id != self.topology_id]
        of_others = {Path(worker.launch_file).parent for worker in others}
        state, found = self.site.state, [f"worker process {worker.pid}" for worker in self.processes()]
        for kind, ids in (("storms", state.topology_ids()), ("assignments", state.assignment_ids())):
            found += [f"node {kind}/{self.topology_id}" for each in ids if each == self.topology_id]
        for daemon in self.site.supervisors.values():
            found += [str(path) for path in (daemon.local_dir / "supervisor" / "stormdist").glob(self.topology_id)]
            found += [str(path) for path in (daemon.local_dir / "workers").glob("*") if path not in of_others]
        return found


def tasks_of(worker: WorkerProcess) -> frozenset[int]:
    """The tasks of the worker's executors, as its launch file says; empty if that is gone."""
    return frozenset(task for start, end in executors_of(worker) for task in range(start, end + 1))


def executors_of(worker: WorkerProcess) -> frozenset[tuple[int, int]]:
    """First and last task of each of the worker's executors, as its launch file says; empty if that is gone."""
    try:
        executors = json.loads(Path(worker.launch_file).read_text())["executors"]
    except (OSError, ValueError):
        return frozenset()
    return frozenset((start, end) for start, end in executors)
