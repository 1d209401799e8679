"""The cluster that the cases run on: daemons and workers as processes on loopback, commands as people give them."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import profiles
import psutil
from case import Result, percentiles_ms
from cluster_site import start_site
from windows import Windows, between, reported, sleep_windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from case import Options
    from cluster_site import ClusterSite

TOPOLOGIES = Path(__file__).resolve().parent / "topologies.py"
START_SECS = 60.0
# All else is as Storm's and ours by default; the rig for Apache Storm sets this one too: shorter waits between cases.
SETTINGS = {"nimbus.monitor.freq.secs": 2}


class RunningTopology:
    """A topology that was submitted: what its workers write is in `directory`."""

    def __init__(self, site: ClusterSite, topology_id: str, name: str, directory: Path) -> None:
        self.site = site
        self.id = topology_id
        self.name = name
        self.directory = directory

    def pids(self) -> list[int]:
        return sorted(self.site.worker_pids(self.id))

    def ports(self) -> dict[int, int]:
        """{process of a worker: its port}"""
        return self.site.worker_pids(self.id)

    def wait_executing(self, workers: int) -> None:
        """Until each of so many workers has executed a tuple."""

        def are_executing() -> bool:
            lines = reported(self.directory).values()
            return sum(any(line.counts.get("executed") for line in of) for of in lines) >= workers

        self.site.wait(are_executing, f"{workers} workers of {self.name} execute tuples", START_SECS)

    def wait_any(self, counted: str) -> None:
        """Until something was counted."""

        def is_counted() -> bool:
            return any(line.counts.get(counted) for of in reported(self.directory).values() for line in of)

        self.site.wait(is_counted, f"{self.name} counts what it {counted}", START_SECS)

    def windows(self, options: Options) -> Windows:
        span = sleep_windows(options.warmup, options.seconds)
        found = between(reported(self.directory), span.first, span.last)
        return found._replace(notes=span.disturbance(found.cpu_secs))


class Cluster:
    """ZooKeeper (embedded), Nimbus and one supervisor, with everything below a temporary directory."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="storm-bench-"))
        self.site = start_site(self.directory / "cluster", "embedded", ["a"], SETTINGS)
        self._runs = 0

    def close(self) -> None:
        self.site.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def daemon_pids(self) -> dict[str, int]:
        return {
            "zookeeper": self.site.zookeeper.pid,
            "nimbus": self.site.nimbus.pid,
            "supervisor": self.site.supervisors["a"].pid,
        }

    def daemons_rss_mb(self) -> dict[str, float]:
        return {role: rss_mb(pid) for role, pid in self.daemon_pids().items()}

    def prepare(self, case: str, conf: Mapping[str, Any]) -> tuple[str, Path, list[str]]:
        """A name, a directory for the workers' lines, and the words of `storm submit` for this case."""
        self._runs += 1
        name = f"{case}-{self._runs}"
        directory = self.directory / "runs" / name
        directory.mkdir(parents=True)
        given = {"bench.dir": directory, **conf}
        words = ["submit", str(TOPOLOGIES), "--name", name]
        return name, directory, words + [word for key, value in given.items() for word in ("-c", f"{key}={value}")]

    @contextlib.contextmanager
    def running(self, case: str, conf: Mapping[str, Any]) -> Iterator[RunningTopology]:
        """Submit it and wait until all its workers run; in the end it is killed and gone."""
        name, directory, words = self.prepare(case, conf)
        try:
            yield RunningTopology(self.site, self.site.read(*words)["id"], name, directory)
        except BaseException:
            print(self.site.log_tails(), file=sys.stderr)
            raise
        finally:
            self.kill(name)

    def kill(self, name: str) -> None:
        self.site.storm("kill", name, "-w", "0")
        self.site.wait(lambda: not self.site.call("getTopologySummaries"), f"{name} is gone")
        self.site.wait(lambda: not self.site.worker_pids(), f"the workers of {name} are gone")


_shared: list[Cluster] = []


def shared() -> Cluster:
    """The one that most cases run on, one after the other; started by the first that asks."""
    if not _shared:
        _shared.append(Cluster())
    return _shared[0]


def close_shared() -> None:
    while _shared:
        _shared.pop().close()


def measure(case: str, conf: Mapping[str, Any], options: Options, counted: str, unit: str) -> Result:
    """Run the topology for the warm-up and the windows: the rate of what is counted, and all that goes with it."""
    cluster = shared()
    with cluster.running(case, {**conf, **options.conf}) as topology:
        topology.wait_executing(int(conf["topology.workers"]))
        windows = topology.windows(options)
        if options.profile is not None:
            profiles.profile(case, topology.pids(), options.profile)
        return result_of(case, unit, counted, windows)._replace(
            rss_mb={"worker": max(windows.rss_mb, default=0.0), **cluster.daemons_rss_mb()},
        )


def result_of(case: str, unit: str, counted: str, windows: Windows) -> Result:
    rates = windows.rates.get(counted, ())
    return Result(
        case,
        unit,
        rates,
        cpu_secs_per_million=windows.cost(counted),
        latency_ms=percentiles_ms(windows.latencies),
        failed=windows.totals.get("failed", 0),
        notes=windows.notes if rates else "no second in which every worker reported",
    )


def rss_mb(pid: int) -> float:
    return round(psutil.Process(pid).memory_info().rss / 1e6, 1)


def cpu_secs(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
