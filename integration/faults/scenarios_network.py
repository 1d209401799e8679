"""Scenarios of ports, descriptors and links that are more than a fault on a schedule."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import psutil
from fault_site import FIRST_SLOT, Plan
from faults import Hand, Hit, busyness, heal
from nemesis import Event
from nemesis_run import Wish, run_faults
from network import Namespaces
from network_faults import cut
from process_faults import PROCESS_FAULTS
from scenario import Context, Outcome, Scenario
from scenarios_process import RATE, finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from network import Place

CONNECTIONS = 200
SPARE_DESCRIPTORS = 20
FLOOD_RATE = 1e6
NO_NAME = "no-such-host.invalid"
LINGER_MAX_SECS = 3.0
LISTENS_SECS = 20.0  # also on a busy machine
ELSEWHERE_SECS = 10.0
THIN_BYTES_A_SECOND = 400_000


def flooded(context: Context) -> Outcome:
    """kill -9 a worker while all pipes are full: what was in them comes again."""
    kinds = [fault for fault in PROCESS_FAULTS if fault.name == "worker-killed"]
    wish = Wish(
        messages=200_000, conf={"topology.max.spout.pending": 5_000, "faults.rate": FLOOD_RATE}, gap_secs=(1.0, 2.0)
    )
    return run_faults(context, kinds, wish)


LISTENER = """
import socket, sys, time
print("begins", flush=True)
while True:
    try:
        listening = socket.create_server(("0.0.0.0", int(sys.argv[1])))
        break
    except OSError:
        time.sleep(0.001)
print("listens", flush=True)
time.sleep(1e6)
"""


@contextlib.contextmanager
def listener(place: Place, port: int, vacate: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Somebody else's process that listens on this port of the host, as soon as it is free: `vacate` sees to that.

    Raises AssertionError if it does not get the port in LISTENS_SECS: somebody else was quicker.
    """
    command = [*place.prefix, sys.executable, "-c", LISTENER, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:  # so that `select` sees each line

        def says(word: bytes) -> bool:
            assert process.stdout is not None
            return bool(select.select([process.stdout], [], [], LISTENS_SECS)[0]) and process.stdout.readline() == word

        try:
            assert says(b"begins\n"), f"no process was there in {LISTENS_SECS:g} s that would listen on port {port}"
            vacate()
            assert says(b"listens\n"), f"another process did not get port {port} in {LISTENS_SECS:g} s"
            yield
        finally:
            process.kill()


def port_taken(context: Context) -> Outcome:
    """Another process listens on a worker's port as soon as that has died: the error names the port, and the work goes
    on in another slot.
    """
    patience_secs = ELSEWHERE_SECS + context.timers.settings.get("supervisor.heartbeat.frequency.secs", 5)
    with context.site(Plan(hosts=2, slots=2)) as site:
        load = context.load(site, 3_000, RATE, topology__workers=2)
        worker = load.processes()[0]
        place, slot = site.network.place(worker.host), (worker.host, worker.port)

        def is_elsewhere() -> bool:
            return load.is_settled() and slot not in {(each.host, each.port) for each in load.processes()}

        with listener(place, worker.port, lambda: os.kill(worker.pid, signal.SIGKILL)):
            took = context.must(is_elsewhere, f"the work of {slot} is elsewhere", patience_secs * busyness())
            said = site.storm("get-errors", load.name).stdout
            context.check(f"port {worker.port} is taken by" in said, f"`storm get-errors` does not say why: {said}")
            load.wait_progress(100)
        return finish(context, site, load, "port-taken", recovered=took, rounds=2)


def only_port_taken(context: Context) -> Outcome:
    """The same where there is no other slot: the error names the port, and the worker runs once it is free."""
    with context.site(Plan(hosts=1, slots=1)) as site:
        place = site.network.place("a")
        port = site.network.port(place, FIRST_SLOT)
        load = context.made(site, 1_000, RATE, topology__workers=1)
        with listener(place, port):
            site.storm("submit", str(load.file), "--name", load.name, "--no-wait", *load.words())
            told = context.must(
                lambda: str(port) in (said := site.storm("get-errors", load.name).stdout) and "listen" in said,
                f"`storm get-errors` says that port {port} cannot be listened on", 10,
            )  # fmt: skip
        load.topology_id = site.call("getTopologySummaryByName", load.name).id
        took = context.must(
            lambda: site.wait_workers(load.topology_id, 1, 1), "its worker runs once the port is free", 40
        )
        load.begin()
        return finish(context, site, load, "only-port-taken", 1, detected=told, recovered=took)


def descriptors_used_up(context: Context) -> Outcome:
    """Nimbus has few file descriptors left and meets two hundred idle connections."""
    with context.site(Plan(hosts=1)) as site:
        load = context.load(site, 1_500, RATE, topology__workers=1)
        nimbus = site.nimbuses[0]
        limit = psutil.Process(nimbus.pid).num_fds() + SPARE_DESCRIPTORS
        _, hard = resource.prlimit(nimbus.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(nimbus.pid, resource.RLIMIT_NOFILE, (limit, hard))
        idle = []
        for _ in range(CONNECTIONS):
            with contextlib.suppress(OSError):
                idle.append(socket.create_connection((nimbus.place.address, nimbus.port), timeout=1.0))
        ask = partial(site.call, "getClusterInfo", secs=5.0)
        context.must(ask, "Nimbus answers among idle connections", 10)
        for connection in idle:
            connection.close()
        took = context.must(ask, "Nimbus answers when they are closed", 5)
        context.check(nimbus.is_running, "Nimbus ended", "C-ALIVE")
        load.wait_progress(50)
        return finish(context, site, load, "descriptors-used-up", 1, recovered=took)


def ends_while_cut(context: Context) -> Outcome:
    """SIGTERM to a worker that reaches none of its peers: it ends all the same."""
    with context.site(Plan(proxied=frozenset({"links"}))) as site:
        load = context.load(site, 3_000, RATE)
        worker = load.processes()[0]
        others = [host for host in site.supervisors if host != worker.host]
        hand = Hand(site, load, Hit(Event(0.0, "cut", worker.host, 0.0)))
        cut(hand, [worker.host], others)
        time.sleep(1.0)
        os.kill(worker.pid, signal.SIGTERM)
        limit = LINGER_MAX_SECS + context.timers.settings.get("supervisor.worker.shutdown.sleep.secs", 3)
        took = context.must(lambda: not psutil.pid_exists(worker.pid), "it ends", limit)
        heal(hand)
        return finish(context, site, load, "ends-while-cut", 1, recovered=took, rounds=6)


def unresolvable(context: Context) -> Outcome:
    """A supervisor gives a name that nobody can resolve: it says so, `storm doctor` does, and once it gives another one
    the topology that waits for its worker there runs.
    """
    with context.site(Plan(hosts=2, host_settings={"b": {"storm.local.hostname": NO_NAME}})) as site:
        daemon = site.supervisors["b"]
        said = daemon.log.read_text(errors="replace")
        context.check(f"{NO_NAME}, by which others" in said, f"its log says no word of it: {said[-300:]}", "C-LOG")
        found = site.storm("doctor", code=None)
        is_found = found.returncode != 0 and f"{NO_NAME} does not resolve" in found.stdout
        context.check(is_found, f"`storm doctor` does not find it, and ends with {found.returncode}: {found.stdout}")
        load = context.made(site, 1_000, RATE, topology__workers=2)
        site.storm("submit", str(load.file), "--name", load.name, "--no-wait", *load.words())
        context.must(lambda: len(site.workers()) == 2, "its workers are started", 30)
        daemon.end(signal.SIGTERM)
        daemon.set("storm.local.hostname", daemon.place.address)
        site.restart(daemon)
        load.topology_id = site.call("getTopologySummaryByName", load.name).id
        took = context.must(lambda: load.done() > 0, "its numbers are acked once the name is right", 60)
        load.begin()
        return finish(context, site, load, "host-unresolvable", recovered=took, rounds=6)


def thin_link(context: Context) -> Outcome:
    """What a topology needs comes so slowly that it takes twice as long as a worker may take to start: it is waited for
    where it is, and told of.
    """
    launch_secs = context.timers.settings.get("nimbus.task.launch.secs", 120)
    with context.site(Plan(hosts=2)) as site, contextlib.ExitStack() as thinned:
        bulk = site.directory / "bulk"
        bulk.write_bytes(os.urandom(2 * launch_secs * THIN_BYTES_A_SECOND))
        site.storm("blobstore", "create", "-f", str(bulk), "bulk")
        assert isinstance(site.network, Namespaces)
        thinned.enter_context(site.network.thin(site.nimbuses[0].place, THIN_BYTES_A_SECOND))
        blobs = {"bulk": {"localname": "bulk"}}
        load = context.made(site, 1_000, RATE, topology__workers=1, topology__blobstore__map=blobs)
        site.storm("submit", str(load.file), "--name", load.name, "--no-wait", *load.words())
        load.topology_id = site.call("getTopologySummaryByName", load.name).id
        told = context.must(
            lambda: "its code or blobs, which are coming" in site.storm("status", load.name).stdout,
            "`storm status` says what it waits for", launch_secs,
        )  # fmt: skip
        context.must(lambda: len(site.workers()) == 1, "its worker is launched", 3 * launch_secs * busyness())
        thinned.close()
        took = context.must(lambda: load.done() > 0, "its numbers are acked", 60)
        version = site.assignment_version(load.topology_id)
        context.check(version == 1, f"it was moved while its blob came: its assignment has version {version}")
        load.begin()
        return finish(context, site, load, "thin-link", detected=told, recovered=took, rounds=1)


NETWORK_SCENARIOS = [
    Scenario("flooded-worker-killed", "N2", "kill -9 a worker while its pipes are full", flooded),
    Scenario("port-taken", "N8", "another process takes the port of a worker that died", port_taken),
    Scenario("only-port-taken", "N8", "another process listens on the only slot's port", only_port_taken),
    Scenario(
        "late-frames", "N9", "frames of a worker that was replaced come to a port that is used again",
        missing="a real one comes in host-paused; each case of epochs is in tests/worker/test_receive.py",
    ),
    Scenario("descriptors-used-up", "N10", "Nimbus has no file descriptor left", descriptors_used_up),
    Scenario("host-unresolvable", "N11", "the name of a supervisor's host means nothing to anybody", unresolvable),
    Scenario(
        "ends-while-cut", "N12", "SIGTERM to a worker that reaches none of its peers", ends_while_cut,
        frozenset({"links"}),
    ),
    Scenario(
        "thin-link", "N13", "what a worker needs takes longer to come than a worker may take to start", thin_link,
        frozenset({"shaping"}),
    ),
]  # fmt: skip
