"""The table of scenarios: every row of the catalogue of faults, with its code or with the reason why it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from application_faults import APPLICATION_FAULTS, SLOW_SECS, STUCK_CONF, STUCK_SECS
from nemesis_run import Wish, run_faults
from network_faults import NETWORK_FAULTS
from process_faults import PROCESS_FAULTS
from scenario import NEEDS, WORLD, Context, Outcome, Scenario
from scenarios_application import APPLICATION_SCENARIOS
from scenarios_clock import CLOCK_SCENARIOS
from scenarios_disk import DISK_SCENARIOS
from scenarios_network import NETWORK_SCENARIOS
from scenarios_nimbus import NIMBUS_SCENARIOS, TWO
from scenarios_process import PROCESS_SCENARIOS
from scenarios_web import WEB_SCENARIOS
from scenarios_zookeeper import ZOOKEEPER_SCENARIOS
from timers import patient
from zookeeper_faults import ZOOKEEPER_FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults import Fault

FAULTS = {fault.name: fault for fault in [*PROCESS_FAULTS, *NETWORK_FAULTS, *ZOOKEEPER_FAULTS, *APPLICATION_FAULTS]}
# Kinds of faults by what they take of a cluster, or need of it to be injected, healed and judged: those of which each
# takes something else may overlap.
MIXED = {
    "worker-killed": "workers",
    "workers-killed": "workers",
    "worker-terminated": "workers",
    "worker-paused": "workers hosts",  # its supervisor kills it
    "supervisor-killed": "hosts",
    "supervisor-paused": "hosts",
    "host-lost": "workers hosts zookeeper",  # it is assigned anew
    "host-paused": "workers hosts links nimbus zookeeper",
    "nimbus-killed": "nimbus",
    "nimbus-cut-off": "nimbus links",
    "coordination-paused": "nimbus zookeeper session",
    "zookeeper-restarted": "zookeeper session",  # within one: not to be healed later
    "zookeeper-lost": "zookeeper",
    "session-expired": "hosts zookeeper",
    "worker-session-expired": "workers hosts zookeeper",
    "nimbus-session-expired": "nimbus zookeeper",
    "link-cut": "links",
    "link-cut-one-way": "links",
    "host-unplugged": "workers hosts links zookeeper",  # it is assigned anew
    "host-cut-from-zookeeper": "hosts links zookeeper",
    "host-cut-from-nimbus": "workers hosts links zookeeper",  # Nimbus hears of its workers through it
    "bolt-raises": "workers links session",  # a tuple has to come to it, which may take as long as one
    "rebalanced": "workers hosts links nimbus zookeeper",
}
WORKER_STARTS = "workers hosts links"  # its supervisor knows whom to connect to, before spouts become active
WAITS_FOR = {  # of those kinds that have a bar: the parts without which they do not recover
    "worker-killed": WORKER_STARTS,
    "worker-terminated": WORKER_STARTS,
    "bolt-raises": WORKER_STARTS,
    "nimbus-killed": "nimbus zookeeper",
    "nimbus-session-expired": "nimbus zookeeper",
    "nimbus-cut-off": "nimbus zookeeper",
    "session-expired": "hosts nimbus zookeeper",  # a Nimbus sees it again
    "worker-session-expired": "workers zookeeper",
    "zookeeper-restarted": "workers hosts nimbus zookeeper",  # all of them say that they are connected again
    "zookeeper-lost": "workers hosts nimbus zookeeper",
    "link-cut": "workers links",
    "link-cut-one-way": "workers links",
    "rebalanced": "workers hosts links nimbus zookeeper",
}
PAST_PROXIES = {"host-paused", "nimbus-cut-off", "host-unplugged", "host-cut-from-nimbus"}
# The only acker is in another worker than most spouts, and a tree has branches.
MIXED_CONF = {"topology.acker.executors": 1, "faults.parts": 3}
MIXED_WISH = Wish(TWO, 8, 20_000, MIXED_CONF, always=("worker-killed",), overlap=0.5)


def mixed(name: str) -> Fault:
    """A kind of the mix, with what it takes of a cluster there, and what its recovery waits for."""
    waits_for = frozenset(WAITS_FOR.get(name, "").split())
    return FAULTS[name]._replace(takes=frozenset(MIXED[name].split()), waits_for=waits_for)


def run_random(context: Context) -> Outcome:
    """A mix of all faults that this machine allows."""
    kinds = []
    for name in MIXED:
        missing = [reason for need in sorted(FAULTS[name].needs) if (reason := NEEDS[need]()) is not None]
        if name in PAST_PROXIES and not WORLD.own:
            missing.append("of two Nimbuses the leader is reached at its own address, past the harness's proxies")
        if missing:
            context.notes.append(f"not in the mix here: {name}: {missing[0]}")
        else:
            kinds.append(mixed(name))
    return run_faults(context, kinds, MIXED_WISH)


SLOW_WISH = Wish(  # three times what the slow sinks can take, in three executors
    messages=20_000, conf={"topology.max.spout.pending": 5_000, "faults.rate": 3 * 3 / SLOW_SECS}
)


PATIENT_SECS = {  # faults that spare workers only where Nimbus waits so long for their heartbeats, and last longer
    "host-cut-from-nimbus": 20
}


def scheduled(fault: Fault) -> Callable[[Context], Outcome]:
    wish = Wish(conf=STUCK_CONF, gap_secs=(2 * STUCK_SECS, 3 * STUCK_SECS)) if "stuck" in fault.needs else Wish()
    wish = SLOW_WISH if fault.name == "sinks-slow" else wish

    def run(context: Context) -> Outcome:
        if fault.name in PATIENT_SECS:
            context.timers = patient(context.timers, PATIENT_SECS[fault.name])
        with_standby = fault.name == "nimbus-cut-off" and WORLD.own  # else the leader is reached past the proxies
        return run_faults(context, [fault], wish._replace(plan=TWO) if with_standby else wish)

    return run


def of_fault(fault: Fault) -> Scenario:
    return Scenario(fault.name, fault.ids, fault.about, scheduled(fault), fault.needs)


def place_in_catalogue(scenario: Scenario) -> tuple[int, int]:
    """Its first id: the letter's place in the order of the catalogue, and the number."""
    first = scenario.ids.split()[0]
    return "PHNZDTA".index(first[0]), int(first[1:])


SCENARIOS: list[Scenario] = [
    Scenario("random", "-", "a mix of all faults that a running topology should survive", run_random),
    *sorted(
        [
            *(of_fault(fault) for fault in FAULTS.values()),
            *PROCESS_SCENARIOS, *NIMBUS_SCENARIOS, *NETWORK_SCENARIOS, *ZOOKEEPER_SCENARIOS, *DISK_SCENARIOS,
            *CLOCK_SCENARIOS, *WEB_SCENARIOS, *APPLICATION_SCENARIOS,
            Scenario(
                "scheduler-loops", "H8", "a scheduler or topology validator of the user's does not return",
                missing="part of the product that is not there yet: schedulers and validators of one's own",
            ),
        ],
        key=place_in_catalogue,
    ),
]  # fmt: skip
