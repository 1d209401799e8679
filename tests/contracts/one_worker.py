"""A topology run by one worker's executors in virtual time, without threads: for tests of components."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from storm.config.settings import Settings
from storm.config.topology_conf import effective_conf
from storm.executor.lanes import Lanes
from storm.executor.plan import WorkerPlan
from storm.messaging import tuple_codec
from storm.testing.simulated_clock import SimulatedClock
from storm.topology.parallelism import component_executors, component_tasks, executors, task_components
from storm.topology.system_topology import system_topology

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storm.executor.caution import Caution
    from storm.topology.structure import StormTopology

STEPS_MAX = 100_000


class NoOtherWorker:
    """A `Transfer` that sends nothing: every task is in this worker."""

    def check(self, values: Any) -> None:
        tuple_codec.check(values)

    def send(self, target: int, tuples: Any) -> None:
        raise AssertionError("no task is elsewhere")

    def send_tracking(self, kind: Any, target: int, source: int, pairs: Any) -> None:
        raise AssertionError("no task is elsewhere")

    def flush(self) -> None:
        pass


class OneWorker:
    """`errors` are what components reported, (component, text)."""

    def __init__(
        self,
        topology: StormTopology,
        conf: Mapping[str, Any] | None = None,
        seed: int = 1,
        caution: Caution | None = None,
    ) -> None:
        effective = effective_conf(Settings.of(), conf or {})
        system = system_topology(topology, effective)
        tasks = component_tasks(system, effective)
        every = executors(component_executors(system, effective), tasks)
        plan = WorkerPlan(
            system,
            effective,
            "test-1-1",
            [executor for found in every.values() for executor in found],
            task_components(system, effective),
        )
        self.errors: list[tuple[str, str]] = []
        self.clock = SimulatedClock()
        self.lanes = Lanes(plan, NoOtherWorker(), self.clock, self, random.Random(seed), caution)
        self.lanes.set_active(True)

    def report_error(self, component_id: str, exception_text: str) -> None:
        self.errors.append((component_id, exception_text))

    def run(self, until: Callable[[], bool]) -> None:
        """Step until a condition holds, letting virtual time pass where nothing is to do."""
        for _ in range(STEPS_MAX):
            if until():
                return
            did = self.lanes.step(self.clock.now())
            if self.lanes.failure is not None:
                raise self.lanes.failure
            due = self.lanes.next_due()
            if not did and due is not None and due > self.clock.now():
                self.clock.jump_to(due)
        raise AssertionError(f"the condition does not hold after {STEPS_MAX} steps")

    def close(self) -> None:
        """End in good order: `close` and `cleanup` are called."""
        self.lanes.set_active(False)
        self.lanes.step(self.clock.now())
        self.lanes.stop(1.0)
