"""The ledger alone, in-process: what a tree costs that crosses workers, from packed pairs to packed pairs.

Each case is one worker's lanes in one thread, with the others played by the benchmark: it delivers tuples and tracking
as the wire would, and takes what is sent. For trees that stay in one worker there is `loop-hop-acked` against
`loop-hop-unacked`.
"""

from __future__ import annotations

import random
from array import array
from typing import TYPE_CHECKING, Any

import loop_components as user
from case import Case, Options, Result
from engine_loop import OneProcess, Shape, topology_of, worker_plan
from timing import ns_each

from storm.clock import SystemClock
from storm.executor.lanes import Lanes
from storm.executor.pending import root_base
from storm.executor.transfer import Tracking
from storm.ids import ACKER_COMPONENT
from storm.tuples import Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

SECONDS = 2.0
BATCH = 500  # trees a message
MESSAGES = 10  # between two looks at the clock
EDGES = 8  # of the trees of `acker-foreign-8`

Pairs = list["array[int]"]


class OtherWorkers(OneProcess):
    """The `Transfer` of a worker whose neighbours are the benchmark: keeps the tracking and the tuples' own."""

    def __init__(self) -> None:
        self.tracking: list[tuple[Tracking, array[int]]] = []
        self.tuples: list[Any] = []

    def check(self, values: Any) -> None:
        pass

    def send(self, target: int, tuples: Any) -> None:
        self.tuples += tuples

    def send_tracking(self, kind: Any, target: int, source: int, pairs: Any) -> None:
        self.tracking.append((kind, pairs))

    def told(self, kind: Tracking) -> int:
        """How many roots were told of so since the last call."""
        tracking, self.tracking = self.tracking, []
        assert {each for each, _ in tracking} <= {kind}
        return sum(len(pairs) // 2 for _, pairs in tracking)


class Site:
    """A hop with ackers, of which one worker runs these components; the others are played."""

    def __init__(self, components: Collection[str]) -> None:
        topology = topology_of(Shape(user.AckedConstSpout, (user.Sink,), True, "tuple"))
        asked = {
            "topology.acker.executors": 1,
            "topology.max.spout.pending": BATCH * MESSAGES,
            "topology.executor.receive.buffer.size": 2 * BATCH * MESSAGES,
        }
        self.plan = worker_plan(topology, asked, components)
        self.others = OtherWorkers()
        self.clock = SystemClock()
        user.opened.clear()
        self.lanes = Lanes(self.plan, self.others, self.clock, self.others, random.Random(1))
        self.lanes.set_active(True)
        (self.spout,), (self.sink,) = self.plan.tasks_of("spout"), self.plan.tasks_of("sink")
        (self.acker,) = self.plan.tasks_of(ACKER_COMPONENT)

    def step_until(self, done: Callable[[], bool]) -> None:
        for _ in range(100_000):
            if done():
                return
            self.lanes.step(self.clock.now())
            if self.lanes.failure is not None:
                raise self.lanes.failure
        raise RuntimeError("the lanes stand still")


class Roots:
    """Trees of a spout in another worker, whose ledger the acker holds."""

    def __init__(self, site: Site) -> None:
        self.base = root_base(site.acker, site.spout)
        self.counter = 0
        self.rng = random.Random(7)

    def next(self, count: int) -> list[int]:
        first = self.counter
        self.counter += count
        return [self.base | n & 0xFFFFFFFF for n in range(first, first + count)]

    def edge(self) -> int:
        return self.rng.getrandbits(64) | 1


def foreign(acks: int) -> tuple[float, ...]:
    """A spout's INIT and `acks` acks of its tree's tuples, in any order, to the acker; ACKED to the spout."""
    site = Site([ACKER_COMPONENT])
    roots = Roots(site)

    def prepare() -> list[tuple[Tracking, array[int]]]:
        trees = [(root, [roots.edge() for _ in range(acks)]) for root in roots.next(BATCH * MESSAGES)]
        messages = []
        for begin in range(0, len(trees), BATCH):
            batch = trees[begin : begin + BATCH]
            inits: array[int] = array("Q")
            for root, edges in batch:
                value = 0
                for edge in edges:
                    value ^= edge
                inits.extend((root, value))
            messages.append((Tracking.INIT, inits))
            told = [(root, edge) for root, edges in batch for edge in edges]
            roots.rng.shuffle(told)
            messages.append((Tracking.ACK, array("Q", [number for pair in told for number in pair])))
        return messages

    def work(messages: list[tuple[Tracking, array[int]]]) -> int:
        for kind, pairs in messages:
            site.lanes.deliver_tracking(kind, site.acker, site.spout, pairs)
            site.lanes.step(0.0)
        done = site.others.told(Tracking.ACKED)
        assert done == BATCH * MESSAGES
        return done

    return ns_each(work, SECONDS, prepare)


def own() -> tuple[float, ...]:
    """Acks from another worker for trees whose ledger the spout's own task holds; the spout is told of each."""
    site = Site(["spout", ACKER_COMPONENT])
    trees = BATCH * MESSAGES
    lanes, others = site.lanes, site.others
    spouts = user.opened

    def prepare() -> list[array[int]]:
        lanes.set_active(True)
        site.step_until(lambda: len(others.tuples) == trees)
        lanes.set_active(False)
        site.lanes.step(0.0)
        tuples, others.tuples = others.tuples, []
        pairs = [number for tup in tuples for number in (tup.root, tup.edge)]
        return [array("Q", pairs[begin : begin + 2 * BATCH]) for begin in range(0, 2 * trees, 2 * BATCH)]

    def work(messages: list[array[int]]) -> int:
        before = spouts[0].done
        for pairs in messages:
            lanes.deliver_tracking(Tracking.ACK, site.spout, site.sink, pairs)
            lanes.step(0.0)
        done: int = spouts[0].done - before
        assert done == trees
        return done

    return ns_each(work, SECONDS, prepare)


def packed(is_tracked: bool) -> tuple[float, ...]:
    """Tuples of another worker's spout are executed and acked by a sink; their acks leave as packed pairs."""
    site = Site(["sink"])
    roots = Roots(site)
    origin = site.plan.origin(site.spout, "default")
    count = BATCH * MESSAGES
    sinks = user.opened
    site.step_until(lambda: bool(sinks))

    def prepare() -> list[list[Tuple]]:
        ids = roots.next(count) if is_tracked else [0] * count
        tuples = [Tuple(["some data", n], origin, root, roots.edge() if root else 0) for n, root in enumerate(ids)]
        for tup in tuples:
            tup.target = site.sink
        return [tuples[begin : begin + BATCH] for begin in range(0, count, BATCH)]

    def work(batches: list[list[Tuple]]) -> int:
        before = sinks[0].done
        for batch in batches:
            site.lanes.deliver(site.sink, batch)
        site.step_until(lambda: sinks[0].done - before == count)
        site.lanes.step(site.clock.now())
        assert site.others.told(Tracking.ACK) == (count if is_tracked else 0)
        return count

    return ns_each(work, SECONDS, prepare)


MEASURES: dict[str, tuple[str, Callable[[], tuple[float, ...]]]] = {
    "own": ("an ack from another worker, folded in the spout's own ring; the spout is told", own),
    "foreign": ("a tree of one tuple in the table for other workers' spouts: INIT, ACK, verdict", lambda: foreign(1)),
    f"foreign-{EDGES}": (f"the same for a tree of {EDGES} acks in any order", lambda: foreign(EDGES)),
    "acks-out": ("a tuple of another worker: executed, acked, its ack packed", lambda: packed(True)),
    "acks-out-untracked": ("the same tuple tracked by nobody: what is left is the bolt's own", lambda: packed(False)),
}


def case(name: str) -> Case:
    about, measure = MEASURES[name]

    def run(options: Options) -> Result:
        return Result(f"acker-{name}", "ns", measure(), notes=f"in-process; {about}")

    return Case(f"acker-{name}", f"in-process: {about}", run)


CASES = [case(name) for name in MEASURES]
