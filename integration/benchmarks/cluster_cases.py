"""What a cluster does besides: blocking code, slow bolts, killed workers, memory, start-up, long runs."""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import bench_cluster
from bench_cluster import Cluster, cpu_secs, measure, result_of, rss_mb, shared
from case import Case, Options, Result
from cluster_site import STORM, environment, run
from throughput_cases import VOCABULARY, conf_of
from windows import Windows, reported

if TYPE_CHECKING:
    from collections.abc import Iterator

SLEEP_SECS = 0.001
SLOW_SECS = 0.0003  # the spout takes about a hundredth of it; a full queue (32,768) is worked off within the timeout
SLOW_RUN_SECS = 60
LONG_RUN_SECS = 1800
TIMES = 3
RECOVERY_REPORT_SECS = 0.1
RECOVERED_SHARE = 0.1  # of the rate before: then a worker counts as back, as in the rig for Apache Storm
RECOVERY_WAIT_SECS = 120.0
IDLE_SECS = 10


def blocking_io(options: Options) -> Result:
    conf = conf_of("neighbours", 1, True)
    alone = measure("blocking-io", {**conf, "bench.sleep_secs": 0}, options, "acked", "tuples/s")
    beside = measure("blocking-io", {**conf, "bench.sleep_secs": SLEEP_SECS}, options, "acked", "tuples/s")
    share = beside.median / alone.median
    notes = f"{share:.0%} of the {alone.median:,.0f} tuples/s without the blocking neighbour"
    return beside._replace(notes="; ".join(filter(None, [notes, beside.notes])))


# --- memory and rates over time


def grown(windows: Windows, counted: str, span: int) -> str:
    """How memory, rate and cost changed from the first `span` seconds to the last.

    The cost, CPU time by what was counted, is what tells a drift of ours where others disturb the machine.
    """
    memory, rates = windows.rss_mb, windows.rates.get(counted, ())
    if not rates:
        return "nothing was counted"
    first, last = statistics.median(memory[:span]), statistics.median(memory[-span:])
    rate_first, rate_last = statistics.median(rates[:span]), statistics.median(rates[-span:])
    told = (
        f"largest worker {first:.1f} MB in the first {span} s, {last:.1f} MB in the last ({last / first - 1:+.1%}); "
        f"rate {rate_first:,.0f}, {rate_last:,.0f} ({rate_last / rate_first - 1 if rate_first else 0:+.1%})"
    )
    counted_first, counted_last = sum(rates[:span]), sum(rates[-span:])
    if not (counted_first and counted_last):
        return told
    cost_first = sum(windows.cpu_secs_of[:span]) * 1e6 / counted_first
    cost_last = sum(windows.cpu_secs_of[-span:]) * 1e6 / counted_last
    return f"{told}; CPU s/M {cost_first:.3f}, {cost_last:.3f} ({cost_last / cost_first - 1:+.1%})"


def over_time(name: str, conf: dict[str, Any], counted: str, unit: str, options: Options) -> Result:
    cluster = shared()
    with cluster.running(name, {**conf, **options.conf}) as topology:
        topology.wait_any(counted)
        windows = topology.windows(options)
        result = result_of(name, unit, counted, windows)
        notes = grown(windows, counted, max(1, min(60, options.seconds // 6)))
        notes = "; ".join(filter(None, [notes, windows.notes]))
        return result._replace(rss_mb={"worker": max(windows.rss_mb, default=0.0)}, notes=notes)


def slow_bolt(name: str, workers: int, *, acked: bool = True) -> Case:
    """Max spout pending is off: nothing holds the spout but flow control."""
    shape = "slow-bolt" if acked else "slow-bolt-unacked"

    def run_slow(options: Options) -> Result:
        conf = conf_of(shape, workers, acked, bench__sleep_secs=SLOW_SECS, topology__max__spout__pending="null")
        if not options.seconds_given:
            options = options._replace(seconds=SLOW_RUN_SECS)
        return over_time(name, conf, "slept", "tuples/s", options)

    where = ("two workers" if workers > 1 else "one worker") + ("" if acked else ", unacked")
    return Case(name, f"a bolt 100 times slower than its spout, {where}, {SLOW_RUN_SECS} s: flat memory", run_slow)


def long_run(options: Options) -> Result:
    conf = conf_of("words-acked", 2, True, bench__vocabulary=VOCABULARY)
    if not options.seconds_given:
        options = options._replace(seconds=LONG_RUN_SECS)
    return over_time("long", conf, "executed", "words/s", options)


# --- a killed worker


def recovery(options: Options) -> Result:
    conf = conf_of("hop-acked", 2, True, bench__report_secs=RECOVERY_REPORT_SECS)
    acking, new_process = [], []
    with shared().running("recovery", {**conf, **options.conf}) as topology:
        topology.wait_executing(2)
        for _ in range(TIMES):
            time.sleep(max(2, options.warmup))
            least = {port: RECOVERED_SHARE * rate for port, rate in acked_rates(topology).items()}
            victim, killed = topology.pids()[0], time.time()
            os.kill(victim, signal.SIGKILL)
            new_process.append(wait_new_process(topology, victim) - killed)
            acking.append(wait_acking(topology, least) - killed)
    notes = f"new process after {', '.join(f'{secs:.2f}' for secs in new_process)} s"
    return Result("recovery", "s", tuple(round(secs, 2) for secs in acking), notes=notes)


def wait_new_process(topology: bench_cluster.RunningTopology, victim: int) -> float:
    while len(pids := topology.pids()) < 2 or victim in pids:
        time.sleep(0.02)
    return time.time()


def acked_rates(topology: bench_cluster.RunningTopology) -> dict[int, float]:
    """{port: acks in a line of late, in the median}"""
    lines = reported(topology.directory)
    return {
        port: statistics.median(line.counts["acked"] for line in lines[pid][-20:])
        for pid, port in topology.ports().items()
    }


def wait_acking(topology: bench_cluster.RunningTopology, least: dict[int, float]) -> float:
    """When the workers of both ports acked at a tenth of their rate again, in the same moment."""
    deadline = time.time() + RECOVERY_WAIT_SECS
    ports = topology.ports()
    while (now := time.time()) < deadline:
        lines = reported(topology.directory)
        lasts = {port: lines[pid][-1] for pid, port in ports.items() if lines.get(pid)}
        recent = {port: line for port, line in lasts.items() if line.t > now - 3 * RECOVERY_REPORT_SECS}
        if all(port in recent and recent[port].counts.get("acked", 0) > rate for port, rate in least.items()):
            return max(line.t for line in recent.values())
        time.sleep(0.03)
    raise AssertionError(f"the workers {ports} do not both ack again after {RECOVERY_WAIT_SECS:.0f} s")


# --- idle, and starting


@contextmanager
def fresh_cluster() -> Iterator[Cluster]:
    """One that has not run anything; the shared one is ended first."""
    bench_cluster.close_shared()
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.close()


def memory(options: Options) -> Result:
    with fresh_cluster() as cluster, cluster.running("memory", conf_of("idle", 1, True)) as topology:
        topology.wait_executing(1)
        time.sleep(options.warmup)
        (worker,) = topology.pids()
        pids = {"worker": worker, **cluster.daemon_pids()}
        before = {role: cpu_secs(pid) for role, pid in pids.items()}
        time.sleep(IDLE_SECS)
        shares = {role: (cpu_secs(pid) - before[role]) / IDLE_SECS for role, pid in pids.items()}
        rss = {role: rss_mb(pid) for role, pid in pids.items()}
    notes = "idle, share of a core: " + ", ".join(f"{role} {share:.1%}" for role, share in shares.items())
    return Result("memory", "MB", (rss["worker"],), rss_mb=rss, notes=notes)


def submit_to_first(options: Options) -> Result:
    """From the start of the command `storm submit` until the bolt's first tuple, each in a topology of its own."""
    cluster = shared()
    secs, cpu = [], []
    for _ in range(TIMES):
        name, directory, words = cluster.prepare("submit-to-first", {**conf_of("first", 1, True), **options.conf})
        started = time.time()
        done = run([*STORM, *words, "--no-wait"], environment(cluster.site.conf_dir))
        assert done.returncode == 0, done.stderr
        try:
            cluster.site.wait(lambda directory=directory: list(directory.glob("*.first")), f"a tuple of {name}")
            time.sleep(0.1)  # the file is there before what it says
            first = json.loads(next(directory.glob("*.first")).read_text())
        finally:
            cluster.kill(name)
        secs.append(round(first["t"] - started, 2))
        cpu.append(first["cpu_secs"])
    notes = f"CPU of the worker until then: {', '.join(f'{one:.2f}' for one in cpu)} s"
    return Result("submit-to-first", "s", tuple(secs), notes=notes)


CASES: list[Case] = [
    Case("blocking-io", "an acked pair beside a bolt that sleeps 1 ms a tuple: the pair's rate", blocking_io),
    slow_bolt("slow-bolt", 1),
    slow_bolt("slow-bolt-2w", 2),
    slow_bolt("slow-bolt-unacked", 1, acked=False),
    slow_bolt("slow-bolt-unacked-2w", 2, acked=False),
    Case("recovery", f"kill -9 a worker of hop-acked-2w, {TIMES} times: until both ack again", recovery),
    Case("memory", "an idle cluster and an idle worker: resident memory and CPU shares", memory),
    Case("submit-to-first", "from `storm submit` to the first tuple executed", submit_to_first),
    Case("long", f"words-acked-2w for {LONG_RUN_SECS} s: drift of memory and rate", long_run),
]
