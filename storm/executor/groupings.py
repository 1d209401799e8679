"""Which of a subscriber's tasks get a tuple: one class a grouping, made when a task is wired, asked for every tuple.

A grouping answers with positions in the subscriber's task ids in ascending order: the order that all senders agree on.
Its laws are Storm's, but for the hash of fields grouping (`canonical_hash`).
"""

from __future__ import annotations

from sys import getsizeof
from types import FunctionType, NoneType
from typing import TYPE_CHECKING, Any

from storm.executor.canonical_hash import canonical_hash, word_hash
from storm.executor.shown_values import shown
from storm.executor.xorshift import xorshift64
from storm.topology.structure import GroupingKind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from random import Random

    from storm.ids import TaskId
    from storm.topology.structure import Grouping

CACHED_KEYS_MAX = 8192  # in one of two generations, of one grouping of one task
CACHED_KEY_BYTES_MAX = 512  # in memory: with the headers of its objects, some 450 characters
PLAIN = frozenset({NoneType, bool, int, float, str, bytes})  # exactly: equal values of these have equal hashes
HASH_IS_SLOW = isinstance(canonical_hash, FunctionType)  # interpreted; compiled, it is as fast as a lookup


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

    def reached(self, count: int) -> Sequence[int]:
        """Those of `count` positions that it may choose."""
        return range(count)


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

    def reached(self, count: int) -> Sequence[int]:
        return self.order


class RandomChoice(TargetChoice):
    """Any of the first `count` positions, each time by chance (xorshift64): none grouping."""

    __slots__ = ("count", "seed")

    def __init__(self, count: int, rng: Random) -> None:
        self.count = count
        self.seed = rng.getrandbits(64) or 1

    def choose(self, values: Sequence[Any]) -> int:
        self.seed = xorshift64(self.seed)
        return (self.seed >> 16) % self.count


class KeyChoice(TargetChoice):
    """One by the values of the named fields.

    `fields`: their positions in the stream's `names`; `where`: for error messages, the sender's component and stream.
    """

    __slots__ = ("count", "fields", "first", "names", "where")

    def __init__(self, fields: Sequence[int], count: int, names: Sequence[str], where: str = "") -> None:
        self.fields = tuple(fields)
        self.first = self.fields[0] if len(self.fields) == 1 else -1
        self.count = count
        self.names = tuple(names)
        self.where = where

    def key_hash(self, values: Sequence[Any]) -> int:
        """The canonical hash of the one field's value, or of the list of several. Raises TypeError if it has none."""
        first = self.first
        try:
            if first >= 0:
                return canonical_hash(values[first])
            state = 108  # that of a list, as sequence_hash makes it
            for i in self.fields:
                state = word_hash(canonical_hash(values[i], 1), state)
            return word_hash(len(self.fields), state)
        except TypeError as error:
            raise self.refused(values, error) from error

    def refused(self, values: Sequence[Any], error: TypeError) -> TypeError:
        """The error for values that have no hash, with component, stream and the first field to blame."""
        for i in self.fields:
            try:
                canonical_hash(values[i])
            except TypeError as reason:
                kind = type(values[i]).__qualname__
                return TypeError(f"{self.where}no task can be chosen by field {self.names[i]!r}, a {kind}: {reason}")
        return error


class FieldsChoice(KeyChoice):
    """Equal values of the named fields go to the same task, whoever sends them."""

    __slots__ = ()

    def choose(self, values: Sequence[Any]) -> int:
        return self.key_hash(values) % self.count


class CachedFieldsChoice(FieldsChoice):
    """The same tasks as `FieldsChoice`, with a memory of the keys it had last: where hashing costs microseconds.

    Only keys of plain types are looked up: with others it is their `__eq__` that says what a dict finds. The memory has
    two generations, so that hot keys outlive a stream of keys that never come again.
    """

    __slots__ = ("older", "recent")

    def __init__(self, fields: Sequence[int], count: int, names: Sequence[str], where: str = "") -> None:
        super().__init__(fields, count, names, where)
        self.recent: dict[Any, int] = {}
        self.older: dict[Any, int] = {}

    def choose(self, values: Sequence[Any]) -> int:
        first = self.first
        if first >= 0:
            key = values[first]
            if type(key) not in PLAIN:
                return self.key_hash(values) % self.count
        else:
            key = tuple([values[i] for i in self.fields])
            if not PLAIN.issuperset(map(type, key)):
                return self.key_hash(values) % self.count
        position = self.recent.get(key)
        if position is None:
            position = self.older.get(key)
            if position is None:
                position = self.key_hash(values) % self.count
            self.remember(key, position)
        return position

    def remember(self, key: Any, position: int) -> None:
        parts = (key,) if self.first >= 0 else key
        if sum([getsizeof(part) for part in parts]) > CACHED_KEY_BYTES_MAX:
            return
        if len(self.recent) >= CACHED_KEYS_MAX:
            self.older = self.recent
            self.recent = {}
        self.recent[key] = position


class PartialKeyChoice(KeyChoice):
    """Two candidates by the key's hash; the one that this sender has used less gets the tuple."""

    __slots__ = ("sent",)

    def __init__(self, fields: Sequence[int], count: int, names: Sequence[str], where: str = "") -> None:
        super().__init__(fields, count, names, where)
        self.sent = [0] * count

    def choose(self, values: Sequence[Any]) -> int:
        number = self.key_hash(values)
        count = self.count
        first = number % count
        second = (number >> 32) % count
        if first == second:
            second = (first + 1) % count
        sent = self.sent
        chosen = first if sent[first] <= sent[second] else second
        sent[chosen] += 1
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

    __slots__ = ("grouping", "positions", "sender", "where")

    several = True

    def __init__(self, grouping: Any, sender: TaskId, targets: Sequence[TaskId], where: str = "") -> None:
        self.grouping = grouping
        self.sender = sender
        self.positions = {task: i for i, task in enumerate(targets)}
        self.where = where

    def choose_many(self, values: Sequence[Any]) -> Sequence[int]:
        """Raises what the user's code raises, with a note that says where, and ValueError for a wrong answer."""
        try:
            chosen = self.grouping.choose_tasks(self.sender, list(values))
            tasks = None if isinstance(chosen, str) or not hasattr(chosen, "__iter__") else list(chosen)
        except Exception as error:
            error.add_note(f"{self.where}raised by {type(self.grouping).__qualname__}.choose_tasks")
            raise
        if tasks is None:
            raise self.wrong_answer(f"returned {shown(chosen)}, a {type(chosen).__qualname__}, not a list of task ids")
        try:
            return [self.positions[task] for task in tasks]
        except (KeyError, TypeError):  # TypeError: what cannot be a key is no task either
            strangers = [task for task in tasks if task not in list(self.positions)]
            raise self.wrong_answer(
                f"chose task {shown(strangers[0])}, which is none of its targets {sorted(self.positions)}"
            ) from None

    def wrong_answer(self, what: str) -> ValueError:
        return ValueError(f"{self.where}{type(self.grouping).__qualname__}.choose_tasks {what}")


def make_choice(
    grouping: Grouping,
    targets: Sequence[TaskId],
    local: Collection[TaskId],
    fields: Sequence[str],
    rng: Random,
    where: str = "",
) -> TargetChoice:
    """The choice for a declared grouping other than DIRECT and CUSTOM.

    `targets`: the subscriber's tasks in ascending order, at least one; `local`: those of them in this worker;
    `fields`: the stream's; `where`: what error messages begin with, to say whose tuple it was.
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
        return RandomChoice(len(targets), rng)
    named = [list(fields).index(name) for name in grouping.fields]
    if kind is GroupingKind.FIELDS:
        if not named:
            return OnlyChoice(0)  # Storm's global grouping
        return (CachedFieldsChoice if HASH_IS_SLOW else FieldsChoice)(named, len(targets), fields, where)
    if kind is GroupingKind.PARTIAL_KEY:
        return PartialKeyChoice(named or range(len(fields)), len(targets), fields, where)
    raise ValueError(f"{kind} chooses no tasks by itself")
