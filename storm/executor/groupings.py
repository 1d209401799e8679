"""Which of a subscriber's tasks get a tuple: one class a grouping, made when a task is wired, asked for every tuple.

A grouping answers with positions in the subscriber's task ids in ascending order: the order that all senders agree on.
Its laws are Storm's, but for the hash of fields grouping (`canonical_hash`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.executor.canonical_hash import canonical_hash
from storm.topology.structure import GroupingKind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from random import Random

    from storm.ids import TaskId
    from storm.topology.structure import Grouping

CACHED_KEYS_MAX = 8192  # of one grouping of one task; at the limit the cache starts afresh


class TargetChoice:
    """Chooses one target per tuple; those that may choose several (`several`) answer `choose_many` only."""

    __slots__ = ()

    several = False

    def choose(self, values: Sequence[Any]) -> int:
        """The position of the one target task."""
        raise NotImplementedError

    def choose_many(self, values: Sequence[Any]) -> Sequence[int]:
        """The positions of all target tasks."""
        return (self.choose(values),)


class OnlyChoice(TargetChoice):
    """Always the same task: global grouping (the lowest id), or any single-target grouping of one task."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position

    def choose(self, values: Sequence[Any]) -> int:
        return self.position


class ShuffleChoice(TargetChoice):
    """In turn over a random order of the targets that is fixed at the start: every task gets as many, within one."""

    __slots__ = ("count", "order", "turn")

    def __init__(self, positions: Sequence[int], rng: Random) -> None:
        self.order = list(positions)
        rng.shuffle(self.order)
        self.count = len(self.order)
        self.turn = 0

    def choose(self, values: Sequence[Any]) -> int:
        turn = self.turn
        self.turn = turn + 1 if turn + 1 < self.count else 0
        return self.order[turn]


class RandomChoice(TargetChoice):
    """Any of the positions, each time by chance: none grouping."""

    __slots__ = ("positions", "rng")

    def __init__(self, positions: Sequence[int], rng: Random) -> None:
        self.positions = positions
        self.rng = rng

    def choose(self, values: Sequence[Any]) -> int:
        positions = self.positions
        return positions[0] if len(positions) == 1 else self.rng.choice(positions)


class FieldsChoice(TargetChoice):
    """Equal values of the named fields go to the same task, whoever sends them."""

    __slots__ = ("cache", "count", "fields", "first")

    def __init__(self, fields: Sequence[int], count: int) -> None:
        self.fields = tuple(fields)
        self.first = self.fields[0] if len(self.fields) == 1 else -1
        self.count = count
        self.cache: dict[Any, int] = {}

    def choose(self, values: Sequence[Any]) -> int:
        first = self.first
        key = values[first] if first >= 0 else tuple([values[i] for i in self.fields])
        try:
            return self.cache[key]
        except KeyError:
            pass
        except TypeError:  # a list or dict: no key of a cache
            return self.position(key)
        if len(self.cache) >= CACHED_KEYS_MAX:
            self.cache.clear()
        position = self.cache[key] = self.position(key)
        return position

    def position(self, key: Any) -> int:
        return canonical_hash([key] if self.first >= 0 else key) % self.count


class PartialKeyChoice(TargetChoice):
    """Two candidates by the key's hash; the one that this sender has used less gets the tuple."""

    __slots__ = ("count", "fields", "sent")

    def __init__(self, fields: Sequence[int], count: int) -> None:
        self.fields = tuple(fields)
        self.count = count
        self.sent = [0] * count

    def candidates(self, values: Sequence[Any]) -> tuple[int, int]:
        number = canonical_hash([values[i] for i in self.fields] if self.fields else list(values))
        first = number % self.count
        second = (number >> 32) % self.count
        if first == second:
            second = (first + 1) % self.count
        return first, second

    def choose(self, values: Sequence[Any]) -> int:
        first, second = self.candidates(values)
        chosen = first if self.sent[first] <= self.sent[second] else second
        self.sent[chosen] += 1
        return chosen


class AllChoice(TargetChoice):
    """Every task."""

    __slots__ = ("positions",)

    several = True

    def __init__(self, count: int) -> None:
        self.positions = tuple(range(count))

    def choose_many(self, values: Sequence[Any]) -> Sequence[int]:
        return self.positions


class CustomChoice(TargetChoice):
    """The user's own `CustomGrouping`, already prepared; it names task ids, none or several."""

    __slots__ = ("grouping", "positions", "sender")

    several = True

    def __init__(self, grouping: Any, sender: TaskId, targets: Sequence[TaskId]) -> None:
        self.grouping = grouping
        self.sender = sender
        self.positions = {task: i for i, task in enumerate(targets)}

    def choose_many(self, values: Sequence[Any]) -> Sequence[int]:
        chosen = self.grouping.choose_tasks(self.sender, values)
        try:
            return [self.positions[task] for task in chosen]
        except KeyError as error:
            raise ValueError(
                f"{type(self.grouping).__qualname__}.choose_tasks chose task {error.args[0]}, "
                f"which is none of its targets {sorted(self.positions)}"
            ) from None


def make_choice(
    grouping: Grouping, targets: Sequence[TaskId], local: Collection[TaskId], fields: Sequence[str], rng: Random
) -> TargetChoice:
    """The choice for a declared grouping other than DIRECT and CUSTOM.

    `targets`: the subscriber's tasks in ascending order, at least one; `local`: those of them in this worker;
    `fields`: the stream's.
    """
    every = range(len(targets))
    kind = grouping.kind
    if kind is GroupingKind.ALL:
        return AllChoice(len(targets))
    if len(targets) == 1 or kind is GroupingKind.GLOBAL:
        return OnlyChoice(0)
    if kind is GroupingKind.SHUFFLE:
        return ShuffleChoice(every, rng)
    if kind is GroupingKind.LOCAL_OR_SHUFFLE:
        return ShuffleChoice([i for i in every if targets[i] in local] or every, rng)
    if kind is GroupingKind.NONE:
        return RandomChoice(every, rng)
    named = [list(fields).index(name) for name in grouping.fields]
    if kind is GroupingKind.FIELDS:
        return FieldsChoice(named, len(targets)) if named else OnlyChoice(0)  # no fields: Storm's global grouping
    if kind is GroupingKind.PARTIAL_KEY:
        return PartialKeyChoice(named, len(targets))
    raise ValueError(f"{kind} chooses no tasks by itself")
