"""Computes with 64 bits in the ways that the engine does, from seeds, and prints the mode and the results as JSON."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from random import Random
from typing import Any

from simulated_cluster import SimulatedCluster

from storm import hot_path
from storm.executor.canonical_hash import canonical_hash
from storm.executor.groupings import make_choice
from storm.executor.pending import Pending, root_base
from storm.executor.task import OutputStream
from storm.executor.tracking import TrackingOut
from storm.executor.transfer import Tracking
from storm.executor.xorshift import xorshift64
from storm.topology.structure import Grouping, GroupingKind
from storm.tuples import Origin, Tuple

ALL_BITS = (1 << 64) - 1
AT_THE_EDGES = [1, 2, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, ALL_BITS - 1, ALL_BITS]
TASKS = [1, 0x7FFF, 0x8000, 0xFFFF]  # a root has 16 bits for each
SEEDS = 8


def edges(rng: Random) -> list[int]:
    found = []
    for seed in [*AT_THE_EDGES, *(rng.getrandbits(64) | 1 for _ in range(200))]:
        for _ in range(10):
            seed = xorshift64(seed)
            found.append(seed)
    return found


def roots() -> list[Any]:
    return [root_base(holder, spout) | counter for holder in TASKS for spout in TASKS for counter in (0, 0xFFFFFFFF)]


def folds(rng: Random) -> list[Any]:
    """A ring of eight places: it grows, trees that stay move out of it, and the counter passes its end."""
    base = root_base(0xFFFF, 0xFFFE)
    out = OutputStream(Origin("spout", "default", 0xFFFE, ["n"]), False)
    pending, values, found = Pending(8), dict[int, int](), list[Any]()
    for step in range(4000):
        root = base | ((0xFFFFFF00 + step) & 0xFFFFFFFF)
        values[root] = rng.choice(AT_THE_EDGES) ^ rng.getrandbits(64) or 1
        pending.add(root, values[root], step, out, float(step))
        for _ in range(rng.randrange(4)):
            root = rng.choice(list(values)[-60:])
            value = values.pop(root) if rng.random() < 0.6 else rng.choice(AT_THE_EDGES)
            if root in values:
                values[root] ^= value
            pending.fold(root, value)
        if rng.random() < 0.1:
            pending.reset(rng.choice(list(values)))
        if rng.random() < 0.1:
            pending.settle(rng.choice(list(values)), rng.random() < 0.5)
        if rng.random() < 0.01:
            found.append(pending.rotate())
    return [found, pending.acked, pending.failed, pending.count, out.acked, out.failed, out.fresh_since]


def pairs(rng: Random) -> list[Any]:
    out, found = TrackingOut(), list[Any]()
    for _ in range(2000):
        root = root_base(rng.choice(TASKS), rng.choice(TASKS)) | rng.choice([0, 1, 0xFFFFFFFF])
        value = rng.choice(AT_THE_EDGES) ^ rng.getrandbits(64)
        what = rng.randrange(4)
        if what == 0:
            out.init(root, value)
        elif what == 1:
            out.note(rng.choice([Tracking.FAIL, Tracking.RESET, Tracking.ACKED, Tracking.FAILED]), root)
        else:
            out.ack(root, value)
    out.flush(0xFFFF, lambda kind, target, source, packed: found.append((kind.name, target, source, list(packed))))
    return found


def tuple_fields() -> list[Any]:
    origin = Origin("spout", "default", 0xFFFF, ["n"])
    made = [Tuple([0], origin, root, edge) for root in AT_THE_EDGES for edge in AT_THE_EDGES]
    for tup in made:
        tup.edge ^= 1 << 63
    return [(tup.root, tup.edge) for tup in made]


def hashes(rng: Random) -> list[int]:
    numbers = [
        sign * ((1 << bits) + off) for bits in (0, 31, 32, 61, 63, 64, 127) for off in (-1, 0, 1) for sign in (1, -1)
    ]
    texts = ["é" * size + "x" * (size % 7) for size in range(70)]
    values: list[Any] = [*numbers, *texts, *map(float, numbers), *map(Decimal, numbers), *(t.encode() for t in texts)]
    nested: list[Any] = [[values[rng.randrange(len(values))], {"key": (n, None)}, {n, "n"}] for n in range(100)]
    return [canonical_hash(value) for value in values + nested]


def choices(rng: Random) -> list[int]:
    found = []
    for count in (2, 3, 7, 64, 1000):
        targets = list(range(count))
        for kind in (GroupingKind.FIELDS, GroupingKind.PARTIAL_KEY, GroupingKind.SHUFFLE, GroupingKind.NONE):
            choice = make_choice(Grouping(kind, ("key",)), targets, targets, ["key"], Random(count))
            found += [choice.choose([rng.getrandbits(70)]) for _ in range(200)]
    return found


def story(seed: int) -> str:
    """The digest of all that happened in a simulated run."""
    cluster = SimulatedCluster(seed)
    cluster.run()
    return cluster.events.digest()


def main() -> None:
    results = {
        "edges": edges(Random(1)),
        "roots": roots(),
        "folds": folds(Random(2)),
        "pairs": pairs(Random(3)),
        "tuples": tuple_fields(),
        "hashes": hashes(Random(4)),
        "choices": choices(Random(5)),
        "simulation": [story(seed) for seed in range(SEEDS)],
    }
    json.dump({"mode": hot_path.mode(), "results": results}, sys.stdout)


if __name__ == "__main__":
    main()
