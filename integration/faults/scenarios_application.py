"""Scenarios of users' code and of what users do."""

from __future__ import annotations

import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from application_faults import APPLICATION_FAULTS
from fault_site import Plan
from load import NUMBERED
from memory_cgroup import bounded
from nemesis_run import Wish, run_faults
from network import listens
from scenario import Context, Outcome, Scenario
from scenarios_process import RATE, finish

from storm.client.code_package import build_package
from storm.client.submitter import send
from storm.client.topology_file import load_topology
from storm.errors import StormError
from storm.thrift.nimbus_client import NimbusClient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fault_site import FaultSite
    from load import Load

POISON = 137
ATTEMPTS_MAX = 3
NAMES, TIMES = 5, 10  # so many names, each submitted so often at once
CLEAR = ("there already", "exists", "try again when")  # what answers to those that are not taken say
KILL_WAIT_SECS = 10  # time for a command to start in, on a busy machine
REBALANCES = 20
GROUP_BYTES = 64 << 20  # beside what the worker had before it came into the group
OUT_OF_MEMORY = 3  # times in a row
MESSAGES_MANY = 100_000  # more than come while all that is waited for takes its longest
KILLED_FOR_MEMORY = "was killed by signal 9 (SIGKILL), perhaps out of memory: while"


def poison(context: Context) -> Outcome:
    """One number at which a bolt always raises: the source gives it up, all others arrive."""
    with context.site(Plan()) as site:
        load = context.load(site, 2_000, RATE, faults__poison=POISON, faults__attempts_max=ATTEMPTS_MAX)
        load.drain()
        given_up = load.read().given_up
        context.check(POISON in given_up, "the poison was never given up")
        context.notes.append(f"given up after {ATTEMPTS_MAX} attempts: {sorted(given_up)}")
        ended = _restarts(site, load.topology_id)
        return finish(context, site, load, "poison-tuple", restarts=ended, rounds=2 * ATTEMPTS_MAX)


def _restarts(site: FaultSite, topology_id: str) -> int:
    """How many workers of it ended."""
    return sum(seen.gone for seen in site.worker_events() if seen.worker.topology_id == topology_id)


def never_acked(context: Context) -> Outcome:
    """A bolt forgets to ack every tenth tuple: those time out and come again, and nothing piles up."""
    with context.site(Plan()) as site:
        load = context.load(site, 2_000, RATE, faults__unacked_every=10)
        site.wait(lambda: load.done() > 200, "some numbers are acked")
        before = _worker_rss(load.processes())
        load.drain()
        grown = _worker_rss(load.processes()) - before
        context.check(grown <= 64 << 20, f"a worker grew by {grown >> 20} MB", "C-LEAK")
        fails = load.read().fails
        context.check(fails, "nothing timed out: this scenario shows nothing", "HARNESS")
        return finish(context, site, load, "bolt-never-acks", rounds=2)


def _worker_rss(workers: Sequence[object]) -> int:
    return max(psutil.Process(worker.pid).memory_info().rss for worker in workers)  # type: ignore[attr-defined]


def killed_while_flooding(context: Context) -> Outcome:
    """A topology is killed while it sends as fast as it can; its name is submitted again at once."""
    with context.site(Plan()) as site:
        load = context.load(site, 1_000_000, 1e6)
        time.sleep(2.0)
        workers = load.processes()
        site.storm("kill", load.name, "-w", str(KILL_WAIT_SECS))
        early = site.storm("submit", str(load.file), "--name", load.name, "--no-wait", *load.words(), code=None)
        context.check(early.returncode == 1, "its name was taken again while it was still there")
        context.check("exists" in early.stderr, f"the refusal does not say why: {early.stderr[-300:]}")
        gone_secs = KILL_WAIT_SECS + 5 + context.timers.grace_secs
        took = context.must(lambda: not load.remains(), "all of it is gone", gone_secs)
        for worker in workers:
            place = site.network.place(worker.host)
            context.check(
                not listens(place, worker.port), f"port {worker.port} of {worker.host} is still taken", "C-LEAK"
            )
        second = context.made(site, 500, RATE)
        second.name = load.name
        second.start().begin()
        return finish(context, site, second, "killed-while-flooding", 1, recovered=took)


def rebalanced_often(context: Context) -> Outcome:
    kinds = [fault for fault in APPLICATION_FAULTS if fault.name == "rebalanced"]
    return run_faults(context, kinds, Wish(faults=REBALANCES, messages=20_000, gap_secs=(3.0, 4.0)))


def submitted_at_once(context: Context) -> Outcome:
    """Fifty submissions at once, ten of each name: exactly one of each name is taken."""
    with context.site(Plan()) as site:
        load = context.load(site, 2_000, RATE, topology__workers=1)
        crowd = site.directory / "run-crowd"
        crowd.mkdir()
        conf = {**load.conf, "faults.dir": str(crowd), "faults.messages": 10, "topology.workers": 1}
        answers = _submit_all(site, conf)
        for number in range(NAMES):
            name = f"crowd-{number}"
            taken = [text for text in answers[name] if text == ""]
            context.check(len(taken) == 1, f"{name} was taken {len(taken)} times: {answers[name]}")
            ids = [each for each in site.state.topology_ids() if each.startswith(f"{name}-")]
            context.check(len(ids) == 1, f"there are {len(ids)} topologies {name}")
            wrong = [text for text in answers[name] if text and not any(clear in text for clear in CLEAR)]
            context.check(not wrong, f"an answer is not clear: {wrong[:2]}")
        site.storm("kill", *(f"crowd-{number}" for number in range(NAMES)), "-w", "0")
        return finish(context, site, load, "submitted-at-once", NAMES * TIMES)


def _submit_all(site: FaultSite, conf: dict[str, object]) -> dict[str, list[str]]:
    """{name: the answers}, empty for a submission that was taken."""
    loaded = load_topology(NUMBERED, conf)
    answers: dict[str, list[str]] = {f"crowd-{number}": [] for number in range(NAMES)}

    def submit(name: str, package: object) -> None:
        try:
            with NimbusClient(site.seeds, 6627, 20.0) as nimbus:
                send(nimbus, name, loaded.topology, conf, package)  # type: ignore[arg-type]
            answers[name].append("")
        except StormError as error:
            answers[name].append(str(error))

    with tempfile.TemporaryDirectory() as directory:
        package = build_package(loaded.files, Path(directory) / "package.zip")
        threads = [threading.Thread(target=submit, args=(name, package)) for name in answers for _ in range(TIMES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return answers


def out_of_memory(context: Context) -> Outcome:
    """The kernel ends a worker whose control group has no memory left, three times in a row: it is said why, and the
    pauses before the next one grow.
    """
    with bounded(GROUP_BYTES) as put, context.site(Plan(hosts=1)) as site:
        load = context.load(site, MESSAGES_MANY, RATE, topology__workers=1)
        times = []
        for _ in range(OUT_OF_MEMORY):
            [worker] = load.processes()
            put(worker.pid)
            load.ask("hoard")
            gone = context.must(lambda pid=worker.pid: not psutil.pid_exists(pid), "the kernel ends the worker", 30)
            is_up = partial(is_replaced, site, load, worker.pid)
            took = context.must(is_up, "another worker runs", 40)
            if gone is None or took is None:
                break
            times.append(took)
        said = site.supervisors["a"].log.read_text(errors="replace")
        context.check(said.count(KILLED_FOR_MEMORY) == OUT_OF_MEMORY, "its log does not say each time why", "C-LOG")
        status = site.storm("status", load.name).stdout
        is_told = KILLED_FOR_MEMORY in status and f"died {OUT_OF_MEMORY} times in a row" in status
        context.check(is_told, f"`storm status` does not say why, and how often in a row:\n{status}", "C-LOG")
        load.end()
        ended = len(times)
        return finish(
            context, site, load, "worker-out-of-memory", ended, recovered=times, restarts=ended, rounds=2 * ended
        )


def is_replaced(site: FaultSite, load: Load, pid: int) -> bool:
    [worker] = site.wait_workers(load.topology_id, 1, 1)
    return worker.pid != pid


def too_large(context: Context) -> Outcome:
    """A topology whose assignment exceeds what a node of ZooKeeper holds is refused before anything is written."""
    with context.site(Plan(hosts=1)) as site:
        load = context.made(site, 10, RATE, faults__forwards=16_000, topology__workers=1)
        done = site.storm("submit", str(load.file), "--name", "giant", "--no-wait", *load.words(), code=None)
        context.check(done.returncode == 1, f"it ended with {done.returncode}")
        context.check("Traceback" not in done.stderr, "it shows a traceback", "C-LOG")
        context.notes.append(f"it says: {done.stderr.strip()[-200:]}")
        context.check(not site.state.topology_ids(), f"there are topologies: {site.state.topology_ids()}")
        left = [str(path) for path in site.nimbuses[0].local_dir.rglob("*giant*")]
        context.check(not left, f"of the refused topology there is still {left}", "C-LEAK")
        return context.outcome("node-too-large")


NOT_YET = "part of the product that is not there yet"

APPLICATION_SCENARIOS = [
    Scenario("poison-tuple", "A2", "one number at which a bolt always raises", poison),
    Scenario("bolt-never-acks", "A3", "a bolt forgets to ack every tenth tuple", never_acked),
    Scenario(
        "wrong-emits", "A4", "acks twice, foreign acks, wrong arity, values that cannot travel",
        missing="needs no cluster: tests/executor/test_collectors.py and test_laws.py have each",
    ),
    Scenario(
        "wrong-spout", "A5", "next_tuple raises or blocks, one message id twice",
        missing="needs no cluster: tests/executor/test_spout_executor.py and test_pending.py",
    ),
    Scenario(
        "root-collision", "A7", "roots that meet, and root 0",
        missing="needs no cluster: tests/executor/test_tracking.py and test_root_table.py",
    ),
    Scenario("child-misbehaves", "A8", "a multilang child crashes, is silent, floods", missing=f"{NOT_YET}: multilang"),
    Scenario(
        "worker-out-of-memory", "P15", "the kernel ends a worker whose control group has no memory left", out_of_memory,
        frozenset({"memory-cgroup"}),
    ),
    Scenario("killed-while-flooding", "A9", "kill a topology at full rate, submit it again", killed_while_flooding),
    Scenario("rebalanced-often", "A10", "rebalanced up and down twenty times under load", rebalanced_often),
    Scenario("submitted-at-once", "A11", "fifty submissions at once, ten of each name", submitted_at_once),
    Scenario(
        "coordinator-killed", "A12", "a transactional topology's coordinator is killed between prepare and commit",
        missing=f"{NOT_YET}: transactional topologies (the checker of their order is checkers.order_of_commits)",
    ),
    Scenario("drpc-client-leaves", "A13", "a DRPC client leaves, a bolt never answers", missing=f"{NOT_YET}: DRPC"),
    Scenario("node-too-large", "Z8", "a topology whose records exceed ZooKeeper's limit", too_large),
]  # fmt: skip
