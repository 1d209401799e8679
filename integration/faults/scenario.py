"""What a scenario is, what it is given, and what it finds."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator  # noqa: TC003
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import memory_cgroup
from checkers import Violation
from fault_site import FaultSite, Plan
from load import Amount, Load
from network import Loopback, Namespaces, thinned
from results_table import Row
from zookeeper_servers import apache_missing

from storm.config.settings import with_defaults

if TYPE_CHECKING:
    from network import Network
    from timers import Timers


class Options(NamedTuple):
    """What was asked for. `faults`, `messages`, `gap_secs`, `overlap` None: what suits the scenario.

    `replay`: a schedule to follow. `gap_secs`: the mean of the pauses between faults. `within_secs`: after so many at
    most the last fault is healed. `overlap`: see nemesis.Terms.
    """

    seed: int
    timers: Timers
    faults: int | None = None
    messages: int | None = None
    zookeeper: str = "embedded"
    replay: Path | None = None
    gap_secs: float | None = None
    within_secs: float = math.inf
    overlap: float | None = None


class Outcome(NamedTuple):
    """`rows` for the table; `violations` of the whole run; `notes` for whoever reads it."""

    rows: list[Row]
    violations: list[Violation]
    notes: list[str] = []


class Scenario(NamedTuple):
    """A row of the catalogue.

    `ids`: its ids there. `run` None: it cannot run, and `missing` says why. `needs`: keys of NEEDS.
    `mixed`: the random scenario draws from it.
    """

    name: str
    ids: str
    about: str
    run: Callable[[Context], Outcome] | None = None
    needs: frozenset[str] = frozenset()
    missing: str = ""
    mixed: bool = False


class Context:
    """One scenario's run: options, a directory of its own, the network, and what its checks have found so far."""

    def __init__(self, options: Options, directory: Path, network: Callable[[], Network]) -> None:
        self.options = options
        self.timers = options.timers
        self.directory = directory
        self.rng = random.Random(options.seed)
        self.violations: list[Violation] = []
        self.notes: list[str] = []
        self._network = network
        self._sites = self._loads = 0

    @contextlib.contextmanager
    def site(self, plan: Plan) -> Iterator[FaultSite]:
        """A cluster that runs within the block; `plan.zookeeper` is the one that was asked for, if it says embedded."""
        with self.prepared(plan) as found:
            found.start()
            yield found

    @contextlib.contextmanager
    def prepared(self, plan: Plan) -> Iterator[FaultSite]:
        """A cluster that is not started yet, and closed after the block."""
        self._sites += 1
        chosen = plan if plan.zookeeper != "embedded" else plan._replace(zookeeper=self.options.zookeeper)
        found = FaultSite(self.directory / f"cluster-{self._sites}", self._network(), self.timers, chosen)
        try:
            yield found
        finally:
            found.close()

    def made(self, site: FaultSite, messages: int, rate: float, kept: int = 0, **conf: Any) -> Load:
        """A load that is not submitted: topologies/numbered.py with these settings, dots written as two underscores.

        It has no more messages than were asked for, and `kept` besides for when all is calm.
        """
        messages = messages if self.options.messages is None else min(messages, self.options.messages)
        settings = {key.replace("__", "."): value for key, value in conf.items()}
        if environment := site.worker_environment:
            settings.setdefault("topology.environment", environment)
        self._loads += 1
        return Load(site, f"numbers-{self._loads}", Amount(messages, rate, kept), **settings)

    def load(self, site: FaultSite, messages: int, rate: float, *, begin: bool = True, **conf: Any) -> Load:
        """The same, running."""
        found = self.made(site, messages, rate, **conf).start()
        if begin:
            found.begin()
        return found

    def check(self, holds: object, what: str, check: str = "AUDIT") -> bool:
        """Note that something does not hold."""
        if not holds:
            self.violations.append(Violation(check, what))
        return bool(holds)

    def must(self, condition: Callable[[], Any], what: str, secs: float) -> float | None:
        """After how many seconds it held; None, and noted, if it did not within these."""
        began = time.monotonic()
        while time.monotonic() - began < secs:
            with contextlib.suppress(Exception):  # not there yet
                if condition():
                    return time.monotonic() - began
            time.sleep(0.05)
        self.check(False, f"not in {secs:g} s: {what}")
        return None

    def outcome(self, name: str, runs: int = 1, **found: Any) -> Outcome:
        """One row for the whole scenario."""
        row = Row(name, runs, violations=tuple(self.violations), **found)
        return Outcome([row], [], self.notes)


def need_namespaces() -> str | None:
    return None if WORLD.own else f"without namespaces of its own for each host: {WORLD.why_not}"


def need_shaping() -> str | None:
    if (why_not_own := need_namespaces()) is not None:
        return why_not_own
    probe = ["unshare", "-n", "tc", *thinned("lo", 1 << 20)]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"links cannot be made thin: {error}"
    return f"links cannot be made thin: {done.stderr.strip()}" if done.returncode else None


def need_mounts() -> str | None:
    return None if WORLD.why_no_mounts is None else f"without mounts of the harness's own: {WORLD.why_no_mounts}"


def need_apache() -> str | None:
    return apache_missing()


def need_process_numbers() -> str | None:
    """None if it can be said which number the next process has: by root, and in a world of one's own."""
    file = "/proc/sys/kernel/ns_last_pid"
    return None if WORLD.why_no_mounts is None or os.access(file, os.W_OK) else f"{file} cannot be written"


def need_faketime() -> str | None:
    return None if faketime_library() else "there is no libfaketime: apt-get install faketime"


def need_option(key: str) -> str | None:
    """None if the product knows this setting."""
    return None if key in with_defaults({}) else f"part of the product that is not there yet: {key}"


def need_module(name: str) -> str | None:
    """None if the product has this module."""
    return None if importlib.util.find_spec(name) else f"part of the product that is not there yet: {name}"


def faketime_library() -> Path | None:
    """Debian's libfaketime."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


class World:
    """What the run has for itself; set once, before scenarios are asked what they miss.

    `own`: whether each host is a network namespace; `why_not`: if not. `why_no_mounts`: the harness is not in a world
    of its own (`isolation`), and may mount nothing; None: it is.
    """

    own = False
    why_not = "nobody has asked for them"
    why_no_mounts: str | None = "nobody has asked for them"


WORLD = World()

NEEDS: dict[str, Callable[[], str | None]] = {
    "links": lambda: None,  # the harness's proxies carry them where there are no namespaces
    "worker-proxy": lambda: None,
    "process-numbers": need_process_numbers,
    "own-addresses": need_namespaces,
    "mounts": need_mounts,
    "shaping": need_shaping,
    "zookeeper-proxy": lambda: None,
    "ensemble": need_apache,
    "faketime": need_faketime,
    "stuck": lambda: need_option("topology.executor.stuck.secs"),
    "log-cap": lambda: need_module("storm.worker.output"),
    "copies-refused": lambda: need_module("storm.supervisor.registration"),
    "replication": lambda: need_module("storm.nimbus.blob_replication"),
    "stuck-restart": lambda: need_option("topology.executor.stuck.restart"),
    "memory-cgroup": memory_cgroup.why_not,
    "ip": lambda: None if shutil.which("ip") else "there is no `ip` command: apt-get install iproute2",
}


def why_not(scenario: Scenario) -> str | None:
    """Why it cannot run here; None if it can."""
    if scenario.run is None:
        return scenario.missing
    for need in sorted(scenario.needs):
        if (reason := NEEDS[need]()) is not None:
            return reason
    return None


def make_network(own_addresses: bool) -> Callable[[], Network]:
    """The network of all clusters of a run: its hosts are made once, whatever the scenarios call them."""
    if not own_addresses:
        return Loopback
    networks: list[Namespaces] = []

    def shared() -> Namespaces:
        if not networks:
            networks.append(Namespaces())
        return networks[0]

    return shared
