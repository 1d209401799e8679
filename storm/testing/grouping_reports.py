"""Checks, task by task, what the tasks of `storm.examples.groupings` wrote down against the law of each grouping."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storm.examples.groupings import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Received:
    """What the tasks of one bolt got: {task: its numbers, in order of arrival}; `tasks` are all it has, sorted."""

    tasks: list[int]
    numbers: dict[int, list[int]]

    def by_task(self) -> list[list[int]]:
        return [self.numbers.get(task, []) for task in self.tasks]


def read(directory: Path) -> dict[str, Received]:
    """{bolt: what its tasks got}."""
    found: dict[str, Received] = {}
    for file in sorted(directory.glob("*.json")):
        report = json.loads(file.read_text())
        if "numbers" in report:
            received = found.setdefault(report["component"], Received(report["tasks"], {}))
            received.numbers[report["task"]] = report["numbers"]
    return found


def is_complete(directory: Path, count: int) -> bool:
    """Whether all that is to come has come: every bolt has got each of the `count` numbers."""
    received = read(directory)
    return set(received) == set(LAWS) and all(_missing(bolt, count) == set() for bolt in received.values())


def problems(directory: Path, count: int) -> list[str]:
    """What breaks the law of a grouping, in words; none where `count` numbers came where they should, once each."""
    received = read(directory)
    found = [f"{bolt}: no task has written a report" for bolt in sorted(set(LAWS) - set(received))]
    for bolt, law in LAWS.items():
        if bolt in received:
            missing = _missing(received[bolt], count)
            if missing:
                found.append(f"{bolt}: {len(missing)} numbers came to no task, such as {min(missing)}")
            found += [f"{bolt}: {text}" for text in law(received[bolt], count)]
    return found


def _missing(received: Received, count: int) -> set[int]:
    return set(range(count)).difference(*received.numbers.values())


def _once(received: Received, count: int) -> Iterator[str]:
    times = Counter(number for numbers in received.numbers.values() for number in numbers)
    often = [number for number, n in times.items() if n > 1]
    if often:
        yield f"{len(often)} numbers came more than once, such as {min(often)}"


def _even(received: Received, count: int) -> Iterator[str]:
    yield from _once(received, count)
    counts = [len(numbers) for numbers in received.by_task()]
    if max(counts) - min(counts) > 1:
        yield f"the tasks got {counts} numbers: a shuffle gives each as many"


def _fields(received: Received, count: int) -> Iterator[str]:
    yield from _once(received, count)
    yield from _keys_on_at_most(1, received)


def _partial_key(received: Received, count: int) -> Iterator[str]:
    yield from _once(received, count)
    yield from _keys_on_at_most(2, received)


def _keys_on_at_most(most: int, received: Received) -> Iterator[str]:
    tasks: dict[str, set[int]] = {}
    for task, numbers in received.numbers.items():
        for number in numbers:
            tasks.setdefault(key_of(number), set()).add(task)
    for key, where in sorted(tasks.items()):
        if len(where) > most:
            yield f"{key} came to tasks {sorted(where)}"


def _all(received: Received, count: int) -> Iterator[str]:
    for task, numbers in zip(received.tasks, received.by_task(), strict=True):
        if sorted(numbers) != list(range(count)):
            yield f"task {task} got {len(numbers)} tuples with {len(set(numbers))} of {count} numbers"


def _global(received: Received, count: int) -> Iterator[str]:
    yield from _once(received, count)
    others = [task for task in received.tasks[1:] if received.numbers.get(task)]
    if others:
        yield f"tasks {others} got numbers, and all belong to task {received.tasks[0]}"


def _direct(received: Received, count: int) -> Iterator[str]:
    yield from _once(received, count)
    yield from _exactly(received, lambda number: {received.tasks[number % len(received.tasks)]})


def _custom(received: Received, count: int) -> Iterator[str]:
    first, last = received.tasks[0], received.tasks[-1]
    yield from _exactly(received, lambda n: {first, last} if n % 10 == 0 else {last} if n % 2 else {first})


def _exactly(received: Received, wanted: Callable[[int], set[int]]) -> Iterator[str]:
    for task, numbers in received.numbers.items():
        wrong = [number for number in numbers if task not in wanted(number)]
        if wrong:
            yield f"task {task} got {len(wrong)} numbers of others, such as {wrong[0]}"
        if len(set(numbers)) < len(numbers):
            yield f"task {task} got numbers more than once"


LAWS: dict[str, Callable[[Received, int], Iterator[str]]] = {
    "shuffle": _even,
    "fields": _fields,
    "partial_key": _partial_key,
    "all": _all,
    "global": _global,
    "none": _once,
    "local_or_shuffle": _once,
    "custom": _custom,
    "direct": _direct,
}
