"""What the choice of a tuple's task costs, in-process: a call of the choice itself, from Python.

`groupings-global` always chooses the same task: what it takes is the call. `groupings-hash-*` is the canonical hash,
which fields grouping pays once for each key that its cache holds, and partial key grouping for every tuple.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

from case import Case, Options, Result
from timing import call_for_each, ns_each

from storm.executor.canonical_hash import canonical_hash
from storm.executor.groupings import make_choice
from storm.topology.structure import Grouping, GroupingKind

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 0.5  # of each case
ROWS = 1000  # between two looks at the clock
HOT_KEYS = 100
MANY_KEYS = 1_000_000
TARGETS = [7, 8, 9, 10]
FIELDS = ["word", "number"]

Row = list[Any]


def row_of(n: int) -> Row:
    return [f"word{n}", n]


def hot_row(n: int) -> Row:
    return row_of(n % HOT_KEYS)


# Name -> the grouping, the n-th row, about.
GROUPINGS: dict[str, tuple[Grouping, Callable[[int], Row], str]] = {
    "global": (Grouping(GroupingKind.GLOBAL), hot_row, "always the same task"),
    "shuffle": (Grouping(GroupingKind.SHUFFLE), hot_row, "in turn"),
    "local-or-shuffle": (Grouping(GroupingKind.LOCAL_OR_SHUFFLE), hot_row, "two of four tasks are local"),
    "none": (Grouping(GroupingKind.NONE), hot_row, "not fused: any task"),
    "all": (Grouping(GroupingKind.ALL), hot_row, "four tasks"),
    "fields-str": (Grouping(GroupingKind.FIELDS, ("word",)), hot_row, f"{HOT_KEYS} keys"),
    "fields-int": (Grouping(GroupingKind.FIELDS, ("number",)), hot_row, f"{HOT_KEYS} keys"),
    "fields-two": (Grouping(GroupingKind.FIELDS, ("word", "number")), hot_row, f"{HOT_KEYS} pairs"),
    "fields-str-1m": (Grouping(GroupingKind.FIELDS, ("word",)), row_of, f"{MANY_KEYS:,} keys in turn"),
    "fields-int-1m": (Grouping(GroupingKind.FIELDS, ("number",)), row_of, f"{MANY_KEYS:,} keys in turn"),
    "fields-two-1m": (Grouping(GroupingKind.FIELDS, ("word", "number")), row_of, f"{MANY_KEYS:,} pairs in turn"),
    "partial-key": (Grouping(GroupingKind.PARTIAL_KEY, ("word",)), hot_row, f"{HOT_KEYS} keys"),
    "partial-key-1m": (Grouping(GroupingKind.PARTIAL_KEY, ("word",)), row_of, f"{MANY_KEYS:,} keys in turn"),
}

HASHED: dict[str, Callable[[int], Any]] = {
    "str": lambda n: f"word{n}",
    "int": lambda n: n,
    "float": lambda n: n + 0.5,
    "bool": lambda n: n % 2 == 0,
    "none": lambda n: None,
    "bytes": lambda n: b"word%d" % n,
    "tuple": lambda n: (f"word{n}", n),
    "list": lambda n: [f"word{n}", n],
    "dict": lambda n: {"word": f"word{n}", "n": n},
    "datetime": lambda n: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=n),
    "decimal": lambda n: Decimal(n).scaleb(-2),
    "uuid": lambda n: UUID(int=n),
}


def grouping_case(name: str) -> Case:
    grouping, make_row, about = GROUPINGS[name]

    def run(options: Options) -> Result:
        choice = make_choice(grouping, TARGETS, set(TARGETS[:2]), FIELDS, random.Random(1))
        choose = choice.choose_many if choice.several else choice.choose
        numbers = count()

        def prepare() -> list[Row]:
            return [make_row(next(numbers) % MANY_KEYS) for _ in range(ROWS)]

        def work(rows: list[Row]) -> int:
            call_for_each(choose, rows)
            return ROWS

        return Result(f"groupings-{name}", "ns", ns_each(work, SECONDS, prepare), notes=f"in-process; {about}")

    return Case(f"groupings-{name}", f"in-process: a choice among four tasks, {about}", run)


def hash_case(name: str) -> Case:
    def run(options: Options) -> Result:
        values = [HASHED[name](n) for n in range(ROWS)]

        def work(values: list[Any]) -> int:
            call_for_each(canonical_hash, values)
            return ROWS

        windows = ns_each(work, SECONDS, lambda: values)
        return Result(f"groupings-hash-{name}", "ns", windows, notes="in-process")

    return Case(f"groupings-hash-{name}", f"in-process: the canonical hash of {name} values", run)


CASES = [grouping_case(name) for name in GROUPINGS] + [hash_case(name) for name in HASHED]
