"""Apache Storm itself as a rival: a rig, given by STORM_RIG, that installs it, starts it and measures it.

The rig is a directory with a program `rig` (`up DIR`, `run CASE --json`, `recovery`, `memory`, `down`). Storm and its
logs go into $STORM_RIG_DIR. The rig tells rates and latencies; what they cost in CPU time is read here from the
workers' processes, over the same seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
from case import Result, percentiles_ms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from case import Options

RATE = re.compile(r" RATE .*?t=(\d+) emitted=(\d+) executed=(\d+) acked=(\d+) failed=(\d+) latencies=(\S*)")
SAMPLE_SECS = 0.2
# Minutes each, the rig kills three times by itself, and no bar is a ratio to them.
MEASURED_ONCE = {"recovery", "memory"}


class Second(NamedTuple):
    """What one worker logged of one second."""

    emitted: int
    executed: int
    acked: int
    failed: int
    latencies: dict[int, int]


def rig() -> Path:
    return Path(os.environ["STORM_RIG"]).resolve() / "rig"


def home() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("STORM_RIG_DIR") or cache / "storm-benchmarks" / "apache-storm").resolve()


def missing() -> str:
    """Why it cannot be run; empty if it can."""
    if not os.environ.get("STORM_RIG"):
        return "STORM_RIG is not set (the directory of the rig that measures Apache Storm)"
    if not rig().is_file():
        return f"there is no {rig()}"
    return ""


def ask(*words: str) -> str:
    """What the rig prints. Raises CalledProcessError; its complaints go to the standard error."""
    return subprocess.run([str(rig()), *words], check=True, stdout=subprocess.PIPE, text=True).stdout


@contextlib.contextmanager
def running() -> Iterator[None]:
    """While it lasts, a cluster of Storm is up. Raises CalledProcessError where it does not start."""
    ask("up", str(home()))
    try:
        yield
    finally:
        ask("down")


def measured(load: str, options: Options) -> Result:
    if load == "memory":
        return memory(json.loads(ask("memory")))
    if load == "recovery":
        return recovery(json.loads(ask("recovery")))
    since = time.time()
    with cpu_samples() as samples:
        (told,) = json.loads(ask("run", load, "--seconds", str(options.seconds), "--json"))
    found = Result(
        load,
        told["unit"],
        (told["rate"],),
        rss_mb={"workers": float(told["worker_rss_mb"])},
        latency_ms={share: told[f"{share}_ms"] for share in ("p50", "p99") if told[f"{share}_ms"]},
    )
    seconds = told_window(logged(since), told)
    if not seconds:
        return found._replace(notes="no CPU times: the rig's seconds were not found in the workers' logs")
    counted = "executed" if load.startswith("words") or "unacked" in load else "acked"
    rates = tuple(float(sum(getattr(second, counted) for second in of)) for of in seconds.values())
    cpu = cpu_between(samples, min(seconds) - 1, max(seconds))
    return found._replace(
        rates=rates,
        cpu_secs_per_million=round(cpu * 1e6 / sum(rates), 4) if sum(rates) else None,
        latency_ms=percentiles_ms(
            sum((Counter(second.latencies) for of in seconds.values() for second in of), Counter())
        ),
        failed=sum(second.failed for of in seconds.values() for second in of),
    )


def memory(told: dict[str, Any]) -> Result:
    rss = {role: float(told[role]) for role in ("zookeeper", "nimbus", "supervisor")}
    rss["worker"] = float(max(told["workers"]))
    rss["log writer"] = float(max(told["their log writers"]))
    return Result("memory", "MB", (rss["worker"],), rss_mb=rss)


def recovery(told: list[dict[str, float]]) -> Result:
    new = statistics.median(one["new_process_s"] for one in told)
    return Result("recovery", "s", tuple(one["both_acking_s"] for one in told), notes=f"new process after {new:.1f} s")


# --- what the rig does not tell


def logged(since: float) -> dict[int, list[Second]]:
    """The seconds of which every worker started since then told, {time of day: a Second of each worker}."""
    workers: list[dict[int, Second]] = []
    for log in home().glob("home/logs/workers-artifacts/*/*/worker.log"):
        if log.stat().st_mtime < since:
            continue
        lines = {}
        for t, *told, latencies in RATE.findall(log.read_text(errors="replace")):
            buckets = (bucket.split(":") for bucket in latencies.split(",") if bucket)
            lines[int(t)] = Second(*map(int, told), {int(b): int(n) for b, n in buckets})
        if lines and max(lines) > since:
            workers.append(lines)
    both = sorted(set.intersection(*map(set, workers))) if workers else []
    return {t: [lines[t] for lines in workers] for t in both}


def told_window(seconds: dict[int, list[Second]], told: dict[str, Any]) -> dict[int, list[Second]]:
    """The rig's own seconds: the last ones in a row with the medians that it told; none where there are none.

    The logs go on while the topology is killed, when the rig does not read them any more.
    """
    times = list(seconds)
    for begin in range(len(times) - told["seconds"], -1, -1):
        window = {t: seconds[t] for t in times[begin : begin + told["seconds"]]}
        medians = {
            name: statistics.median(sum(getattr(second, name) for second in of) for of in window.values())
            for name in ("emitted", "executed", "acked", "failed")
        }
        if all(medians[name] == told[name] for name in medians):
            return window
    return {}


@contextlib.contextmanager
def cpu_samples() -> Iterator[list[tuple[float, dict[int, float]]]]:
    """While it lasts: (time of day, {worker process: CPU seconds}), a few times a second."""
    samples: list[tuple[float, dict[int, float]]] = []
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_SECS):
            found = {}
            for path in home().glob("local/workers/*/pids/*"):
                with contextlib.suppress(psutil.Error):
                    times = psutil.Process(int(path.name)).cpu_times()
                    found[int(path.name)] = times.user + times.system
            samples.append((time.time(), found))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def cpu_between(samples: list[tuple[float, dict[int, float]]], first: float, last: float) -> float:
    """CPU seconds used between two times of day, by the samples nearest to them."""
    begin = min(samples, key=lambda sample: abs(sample[0] - first))[1]
    end = min(samples, key=lambda sample: abs(sample[0] - last))[1]
    return sum(end[pid] - begin.get(pid, 0.0) for pid in end)
