"""The table of scenarios: every row of the catalogue of faults, with its code or with the reason why it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from application_faults import APPLICATION_FAULTS
from nemesis_run import Wish, run_faults
from network_faults import NETWORK_FAULTS
from process_faults import PROCESS_FAULTS
from scenario import NEEDS, Context, Outcome, Scenario
from zookeeper_faults import ZOOKEEPER_FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults import Fault

FAULTS = {fault.name: fault for fault in [*PROCESS_FAULTS, *NETWORK_FAULTS, *ZOOKEEPER_FAULTS, *APPLICATION_FAULTS]}
MIXED = [
    "worker-killed", "workers-killed", "worker-terminated", "worker-paused", "supervisor-killed", "supervisor-paused",
    "host-lost", "nimbus-killed", "coordination-paused", "zookeeper-restarted", "zookeeper-lost", "session-expired",
    "nimbus-session-expired", "link-cut", "link-cut-one-way", "host-unplugged", "host-cut-from-zookeeper",
    "host-cut-from-nimbus", "bolt-raises", "rebalanced",
]  # fmt: skip
MIXED_WISH = Wish(faults=8, messages=20_000)


def run_random(context: Context) -> Outcome:
    """A mix of all faults that this machine allows."""
    kinds = [FAULTS[name] for name in MIXED if all(NEEDS[need]() is None for need in FAULTS[name].needs)]
    return run_faults(context, kinds, MIXED_WISH)


def scheduled(fault: Fault) -> Callable[[Context], Outcome]:
    return lambda context: run_faults(context, [fault], Wish())


def of_fault(fault: Fault) -> Scenario:
    return Scenario(fault.name, fault.ids, fault.about, scheduled(fault), fault.needs)


SCENARIOS: list[Scenario] = [
    Scenario("random", "-", "a mix of all faults that a running topology should survive", run_random),
    *(of_fault(fault) for fault in FAULTS.values()),
]
