"""How many tuples or words a second, in the shapes of the rig for Apache Storm and in shapes of our own."""

from __future__ import annotations

from functools import partial
from typing import Any

import bench_cluster
from case import Case, Options, Result

PENDING = 1000  # max spout pending in acked cases; Storm's has no limit by default
PENDING_TUNED = 5000
VOCABULARY = 5003
LATENCY_RATE = 10_000  # tuples a second, by all spouts together
SIZES = {"10": 10, "100": 100, "1k": 1000, "10k": 10_000, "1m": 1_000_000}
PENDING_OF_SIZE = {"10k": 200, "1m": 16}  # what is under way fits into memory, as anybody would see to


def conf_of(shape: str, workers: int, acked: bool, **more: Any) -> dict[str, Any]:
    return {
        "bench.shape": shape,
        "bench.parallelism": workers,
        "topology.workers": workers,
        "topology.acker.executors": workers if acked else 0,
        "topology.max.spout.pending": PENDING,
        **{key.replace("__", "."): value for key, value in more.items()},
    }


def case(name: str, about: str, conf: dict[str, Any], counted: str, unit: str = "tuples/s") -> Case:
    def run(options: Options) -> Result:
        return bench_cluster.measure(name, conf, options, counted, unit)

    return Case(name, about, run)


def shapes_of_the_rig() -> list[Case]:
    """Storm's default shuffle stays in the worker where it can: `-local`. Ours, and Storm's `-2w-tuned`, does not."""
    cases = []
    for load in ("hop", "words", "words8", "batch-hop", "batch-words"):
        is_words = "words" in load
        for ack in ("unacked", "acked"):
            if f"{load}-{ack}" == "batch-words-unacked":
                continue
            for workers in ("", "-2w", "-2w-local"):
                for tuned in ("", "-tuned") if ack == "acked" else ("",):
                    conf = conf_of(
                        f"{load.replace('words8', 'words')}-{ack}", 2 if workers else 1, ack == "acked",
                        bench__grouping="local" if workers == "-2w-local" else "shuffle",
                    )  # fmt: skip
                    if is_words:
                        conf["bench.vocabulary"] = 8 if load == "words8" else VOCABULARY
                    if tuned:
                        conf["topology.max.spout.pending"] = PENDING_TUNED
                    counted = "executed" if is_words or ack == "unacked" else "acked"
                    unit = "words/s" if is_words else "tuples/s"
                    cases.append(
                        case(f"{load}-{ack}{workers}{tuned}", about(load, ack, workers, tuned), conf, counted, unit)
                    )
    return cases


def about(load: str, ack: str, workers: str, tuned: str) -> str:
    what = "spout, split, count" if "words" in load else "spout and bolt"
    if load == "words8":
        what += ", 8 distinct words"
    if load.startswith("batch"):
        what += ", by emit_many and execute_batch"
    where = {"": "one worker", "-2w": "two workers, half crosses", "-2w-local": "two workers, stays local"}[workers]
    return f"{what}, {ack}, {where}" + (f", {PENDING_TUNED} pending" if tuned else "")


def sizes() -> list[Case]:
    return [
        case(
            f"size-{name}",
            f"payloads of {size:,} bytes to the other worker, acked",
            conf_of(
                "size", 2, True, bench__size=size, bench__grouping="away",
                topology__max__spout__pending=PENDING_OF_SIZE.get(name, PENDING),
            ),
            "acked",
        )
        for name, size in SIZES.items()
    ]  # fmt: skip


latency = partial(conf_of, "hop-latency", 2, True, bench__rate=LATENCY_RATE)

CASES: list[Case] = [
    *shapes_of_the_rig(),
    case("hop-latency", f"{LATENCY_RATE:,} tuples/s, two workers, half crosses: complete latency", latency(), "acked"),
    case(
        "hop-latency-local",
        f"{LATENCY_RATE:,} tuples/s, two workers, stays local: complete latency",
        latency(bench__grouping="local"),
        "acked",
    ),
    *sizes(),
    case("fan-out", "one spout, all grouping to four bolts; deliveries", conf_of("fan-out", 1, True), "executed"),
    case("chain-5", "five bolts in a row, acked trees", conf_of("chain", 1, True), "acked"),
    case("none-fused", "the same, by the none grouping", conf_of("chain", 1, True, bench__fused=True), "acked"),
    case("async-io", "a bolt that awaits 1 ms, up to 1,000 in flight", conf_of("async-io", 1, True), "acked"),
    case("keys-1m", "fields grouping over a million keys, two workers", conf_of("keys", 2, True), "acked"),
]
