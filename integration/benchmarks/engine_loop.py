"""One worker's engine loop, without sockets, beside a bare Python loop that runs the same user code.

    engine_loop.py [CASE...] [--seconds N] [--json FILE] [--profile DIR]

A case is hop-acked, words-unacked, batch-hop-acked, hop-acked-thread, ...

These are in-process figures: what a tuple costs between `emit` and `execute`, and its tracking. They say nothing of the
wire or of a cluster. Windows of the engine and of the bare loop alternate, and time is the CPU's, so that a machine
that does other things too changes the ratio little.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import loop_components as user
import profiles
import yaml
from case import Case, Options, Result

from storm import Bolt, TopologyBuilder
from storm.clock import SystemClock
from storm.config.settings import Settings
from storm.config.topology_conf import effective_conf
from storm.executor.lanes import Lanes
from storm.executor.plan import WorkerPlan
from storm.topology.parallelism import component_executors, component_tasks, executors, task_components
from storm.topology.system_topology import system_topology

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from storm.clock import Clock
    from storm.topology.structure import StormTopology

GC_THRESHOLDS = (50_000, 20, 50)  # those of a worker (`storm.worker.daemon`, which takes long to import)
SECONDS = 4  # of the direct way; as many windows as fit in
WINDOW_SECS = 0.1
PENDING_MAX = 1000  # `topology.max.spout.pending`, as in the cases on a cluster
BARE_BATCH = 512  # tuples between spout and bolt in the bare loop
IDLE_STEPS_MAX = 10_000
STILL_SECS = 30.0
LOOK_SECS = 0.01  # between two looks at a thread: each takes the interpreter's lock from it for a moment


class Shape(NamedTuple):
    """A loop case: its spout, and its bolts in a row. `unit` is what its last bolt counts.

    `in_thread`: the lane has a thread of its own and measures what blocks, as in a worker.
    """

    spout: type[Any]
    bolts: tuple[type[Any], ...]
    is_acked: bool
    unit: str
    in_thread: bool = False


SHAPES = {
    "hop-acked": Shape(user.AckedConstSpout, (user.Sink,), True, "tuple"),
    "hop-unacked": Shape(user.ConstSpout, (user.Sink,), False, "tuple"),
    "words-acked": Shape(user.AckedSentenceSpout, (user.Split, user.Count), True, "word"),
    "words-unacked": Shape(user.SentenceSpout, (user.Split, user.Count), False, "word"),
    "batch-hop-acked": Shape(user.AckedBatchConstSpout, (user.BatchSink,), True, "tuple"),
    "batch-hop-unacked": Shape(user.BatchConstSpout, (user.BatchSink,), False, "tuple"),
    "batch-words-acked": Shape(user.AckedBatchSentenceSpout, (user.BatchSplit, user.BatchCount), True, "word"),
    "batch-words-unacked": Shape(user.BatchSentenceSpout, (user.BatchSplit, user.BatchCount), False, "word"),
}

SHAPES |= {
    f"{name}-thread": SHAPES[name]._replace(in_thread=True) for name in ("hop-acked", "hop-unacked", "words-acked")
}


def topology_of(shape: Shape) -> StormTopology:
    """Words are counted by fields grouping in one task, as in the cases of one worker."""
    builder = TopologyBuilder()
    builder.set_spout("spout", shape.spout())
    source = "spout"
    for bolt in shape.bolts:
        name = bolt.__name__.lower()
        declared = builder.set_bolt(name, bolt())
        if issubclass(bolt, user.Count):
            declared.fields_grouping(source, ["word"])
        else:
            declared.shuffle_grouping(source)
        source = name
    return builder.create_topology()


def worker_plan(
    topology: StormTopology, conf: Mapping[str, Any], components: Collection[str] | None = None
) -> WorkerPlan:
    """A worker that runs all executors, or those of some components; the others are in workers that are not there."""
    effective = effective_conf(Settings.of(), conf)
    system = system_topology(topology, effective)
    every = executors(component_executors(system, effective), component_tasks(system, effective))
    mine = [executor for name, found in every.items() if components is None or name in components for executor in found]
    return WorkerPlan(system, effective, "loop-1-1", mine, task_components(system, effective))


class OneProcess:
    """The `Transfer` and the `Reports` of a worker whose tasks are all its own."""

    def check(self, values: Any) -> None:
        raise AssertionError("no task is elsewhere")

    def send(self, target: int, tuples: Any) -> None:
        raise AssertionError("no task is elsewhere")

    def send_tracking(self, kind: Any, target: int, source: int, pairs: Any) -> None:
        raise AssertionError("no task is elsewhere")

    def flush(self) -> None:
        pass

    def report_error(self, component_id: str, exception_text: str) -> None:
        print(f"{component_id} failed: {exception_text}", file=sys.stderr)


class EngineLoop:
    """A worker's lanes, stepped. All chance comes from one seed."""

    def __init__(self, shape: Shape, clock: Clock, conf: Mapping[str, Any] | None = None) -> None:
        wanted: dict[str, Any] = {"topology.acker.executors": int(shape.is_acked), "topology.workers": 1}
        if shape.is_acked:
            wanted["topology.max.spout.pending"] = PENDING_MAX
        plan = worker_plan(topology_of(shape), wanted | dict(conf or {}))
        outside = OneProcess()
        user.opened.clear()
        self.clock = clock
        self.lanes = Lanes(plan, outside, clock, outside, random.Random(1))
        self.lanes.set_active(True)
        while len(user.opened) < 1 + len(shape.bolts):
            self.step()
        found = {type(component): component for component in user.opened}
        self.last = found[shape.bolts[-1]]
        self.spout = found[shape.spout]
        self.is_acked = shape.is_acked

    def step(self) -> None:
        """Raises what the user code raised."""
        self.lanes.step(self.clock.now())
        if self.lanes.failure is not None:
            raise self.lanes.failure

    def run(self, count: int) -> int:
        """Until the last bolt has done `count` more at least; answers how many."""
        last, step = self.last, self.step
        before, idle, known = last.done, 0, last.done
        while last.done - before < count:
            step()
            idle = idle + 1 if last.done == known else 0
            known = last.done
            if idle > IDLE_STEPS_MAX:
                raise RuntimeError(f"the loop stands still after {known - before:,} of {count:,}")
        return known - before


class ThreadLoop(EngineLoop):
    """The same, run by the lane's own thread; between runs its spout is inactive."""

    def __init__(self, shape: Shape, clock: Clock, conf: Mapping[str, Any] | None = None) -> None:
        super().__init__(shape, clock, conf)
        self.lanes.set_active(False)
        self.lanes.start()

    def run(self, count: int) -> int:
        """Until everything that was emitted for it is done."""
        before = self.last.done
        self.lanes.set_active(True)
        self.wait_until(lambda: self.last.done - before >= count)
        self.lanes.set_active(False)
        self.wait_until(self.is_at_rest)
        return self.last.done - before

    def is_at_rest(self) -> bool:
        known = self.last.done
        time.sleep(LOOK_SECS)
        return self.last.done == known

    def wait_until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + STILL_SECS
        while not holds():
            if self.lanes.failure is not None:
                raise self.lanes.failure
            if time.monotonic() > end:
                raise RuntimeError(f"the loop stands still at {self.last.done:,}")
            time.sleep(LOOK_SECS)


class BareCollector:
    """Takes what user code emits, and forgets what it acks."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.ids: list[Any] = []

    def emit(self, values: Any, message_id: Any = None) -> None:
        self.rows.append(values)
        if message_id is not None:
            self.ids.append(message_id)

    def emit_many(self, rows: Any, message_ids: Any = None) -> None:
        self.rows.extend(rows)
        if message_ids is not None:
            self.ids.extend(message_ids)

    def ack(self, row: Any) -> None:
        pass

    def taken(self) -> list[Any]:
        rows, self.rows = self.rows, []
        return rows


class BareBoltCollector(BareCollector):
    def emit(self, values: Any, anchor: Any = None) -> None:
        self.rows.append(values)

    def emit_many(self, rows: Any, anchor: Any = None) -> None:
        self.rows.extend(rows)


class BareLoop:
    """The same user code, called by a loop that does nothing else: the floor for any engine in Python.

    Bolts get the rows themselves for tuples. The spout of an acked case is told of its messages.
    """

    def __init__(self, shape: Shape) -> None:
        self.spout = shape.spout()
        self.bolts = [bolt() for bolt in shape.bolts]
        self.collectors = [BareCollector(), *[BareBoltCollector() for _ in self.bolts]]
        self.spout.open({}, None, self.collectors[0])
        for bolt, collector in zip(self.bolts, self.collectors[1:], strict=True):
            bolt.prepare({}, None, collector)
        self.last = self.bolts[-1]

    def turn(self) -> None:
        next_tuple, spout = self.spout.next_tuple, self.collectors[0]
        while len(spout.rows) < BARE_BATCH:
            next_tuple()
        for i, bolt in enumerate(self.bolts):
            rows = self.collectors[i].taken()
            if is_batch(bolt):
                bolt.execute_batch(rows)
            else:
                execute = bolt.execute
                for row in rows:
                    execute(row)
        if spout.ids:
            ids, spout.ids = spout.ids, []
            ack = self.spout.ack
            for message_id in ids:
                ack(message_id)

    def run(self, count: int) -> int:
        before = self.last.done
        while self.last.done - before < count:
            self.turn()
        return self.last.done - before


def is_batch(bolt: Any) -> bool:
    return type(bolt).execute_batch is not Bolt.execute_batch


class Measured(NamedTuple):
    """Nanoseconds of CPU time a tuple (or word), window by window: engine and bare loop in turn."""

    engine: list[float]
    bare: list[float]

    @property
    def ratio(self) -> float:
        """How many times the bare loop's time: the median over windows that follow one another."""
        return statistics.median(engine / bare for engine, bare in zip(self.engine, self.bare, strict=True))


def cpu_ns(run: Callable[[int], int], count: int) -> float:
    """Of this process, for each tuple."""
    began = time.process_time_ns()
    done = run(count)
    return (time.process_time_ns() - began) / done


def window_of(run: Callable[[int], int]) -> int:
    """How many tuples take WINDOW_SECS, after a warm-up of twice that."""
    done = 0
    began = time.process_time_ns()
    while time.process_time_ns() - began < 2e9 * WINDOW_SECS:
        done += run(1000)
    began, done = time.process_time_ns(), 0
    while time.process_time_ns() - began < 2e9 * WINDOW_SECS:
        done += run(1000)
    return max(1, int(done * WINDOW_SECS * 1e9 / (time.process_time_ns() - began)))


@contextmanager
def collecting_as_a_worker() -> Iterator[None]:
    """Garbage is collected as in a worker: seldom, and what is there at the start never."""
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def engine_of(shape: Shape, conf: Mapping[str, Any] | None) -> EngineLoop:
    return (ThreadLoop if shape.in_thread else EngineLoop)(shape, SystemClock(), conf)


def measure(shape: Shape, seconds: float, conf: Mapping[str, Any] | None = None) -> Measured:
    """Alternate windows of both loops for `seconds`; three of each at least."""
    engine, bare = engine_of(shape, conf), BareLoop(shape)
    found = Measured([], [])
    with collecting_as_a_worker():
        counts = window_of(engine.run), window_of(bare.run)
        end = time.monotonic() + seconds
        while time.monotonic() < end or len(found.engine) < 3:
            found.engine.append(cpu_ns(engine.run, counts[0]))
            found.bare.append(cpu_ns(bare.run, counts[1]))
    engine.lanes.stop(1.0)
    return found


def profile(name: str, directory: Path, conf: Mapping[str, Any] | None = None) -> None:
    """Flame graph of the engine's loop alone."""
    loop = engine_of(SHAPES[name], conf)
    with collecting_as_a_worker():
        count = window_of(loop.run)
        profiles.profile_own(f"loop-{name}", lambda: loop.run(count), directory)


def result_of(name: str, measured: Measured) -> Result:
    unit = SHAPES[name].unit
    engine, bare = statistics.median(measured.engine), statistics.median(measured.bare)
    notes = (
        f"in-process, CPU time: {1e3 / engine:.2f} M {unit}s a second; a bare Python loop {bare:.0f} ns, "
        f"{measured.ratio:.2f} times that"
    )
    return Result(f"loop-{name}", f"ns/{unit}", tuple(measured.engine), engine / 1e3, notes=notes)


def case(name: str) -> Case:
    shape = SHAPES[name]

    def run(options: Options) -> Result:
        conf = {key: yaml.safe_load(value) for key, value in options.conf.items()}
        if options.profile is not None:
            profile(name, options.profile, conf)
        return result_of(name, measure(shape, options.seconds if options.seconds_given else SECONDS, conf))

    where = "its lane's own thread" if shape.in_thread else "one thread, stepped"
    return Case(
        f"loop-{name}", f"in-process: {name.removesuffix('-thread')} in {where}, beside a bare Python loop", run
    )


CASES = [case(name) for name in SHAPES]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", default=list(SHAPES), help=", ".join(SHAPES))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each case (%(default)s)")
    parser.add_argument("--json", type=Path, help="write every window to this file too")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="write a flame graph of each there, too")
    wanted = parser.parse_args()
    results = {}
    print(f"{'case':24}{'ns':>8}{'min':>8}{'max':>8}{'bare':>8}{'ratio':>7}{'M/s':>8}")
    for case_name in wanted.cases:
        name = case_name.removeprefix("loop-")
        if name not in SHAPES:
            parser.error(f"there is no case {case_name!r}; there are: {', '.join(SHAPES)}")
        if wanted.profile is not None:
            profile(name, wanted.profile)
        measured = measure(SHAPES[name], wanted.seconds)
        results[name] = measured._asdict()
        engine = statistics.median(measured.engine)
        print(
            f"{name:24}{engine:8.0f}{min(measured.engine):8.0f}{max(measured.engine):8.0f}"
            f"{statistics.median(measured.bare):8.0f}{measured.ratio:7.2f}{1e3 / engine:8.3f}",
            flush=True,
        )
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
