"""Tuples <-> columns: what the wire does for every single tuple, and therefore compiled.

Values travel apart from roots and edges: the rows of a batch are encoded in one call, and the ids are one packed array.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.errors import FrameError
from storm.tuples import Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storm.ids import TaskId
    from storm.messaging.batch import TupleSection
    from storm.tuples import Origin


class Columns(NamedTuple):
    """Tuples of one origin, taken apart: their values, and as in `batch.TupleSection` `ids` and `more`.

    `plain`: of all values, see `are_plain`.
    """

    rows: list[list[Any]]
    ids: array[int] | None
    more: dict[int, dict[int, int]]
    plain: bool


def columns(tuples: list[Tuple]) -> Columns:
    """Take tuples apart. One without a root has root and edge 0; if none has a root there are no ids."""
    rows: list[list[Any]] = []
    plain = True
    tracked = False
    for tup in tuples:
        values = tup.values
        row = values if type(values) is list else list(values)
        plain = plain and are_plain(row)
        rows.append(row)
        if tup.root:
            tracked = True
    if not tracked:
        return Columns(rows, None, {}, plain)
    ids = array("Q", bytes(16 * len(tuples)))
    return Columns(rows, ids, fill_ids(tuples, ids), plain)


def fill_ids(tuples: list[Tuple], ids: array[int]) -> dict[int, dict[int, int]]:
    """Write root, edge, ... of the tuples; `ids` has two places for each. Answers their further roots, by position."""
    more: dict[int, dict[int, int]] = {}
    i = 0
    for tup in tuples:
        if tup.root:
            ids[i] = tup.root
            ids[i + 1] = tup.edge
            if tup.more is not None:
                more[i >> 1] = tup.more
        i += 2
    return more


def tuples_of(rows: list[list[Any]], section: TupleSection, origin: Origin) -> list[Tuple]:
    """Put tuples together again. Raises FrameError when the rows are not what section and origin say."""
    count = section.tuple_count
    if len(rows) != count or (section.ids is not None and len(section.ids) != 2 * count):
        raise FrameError(f"{len(rows)} tuples where the section says {count}")
    tuples = zipped(rows, section.ids, origin, section.target)
    for position, trees in section.more.items():
        tuples[position].more = trees
    return tuples


def zipped(rows: list[list[Any]], ids: array[int] | None, origin: Origin, target: TaskId) -> list[Tuple]:
    """A tuple of each row; `ids`, where it is there, has two places for each."""
    out: list[Tuple] = []
    width = len(origin.fields)
    i = 0
    for values in rows:
        if len(values) != width:
            raise FrameError(f"{len(values)} values on a stream of {width} fields")
        tup = Tuple.__new__(Tuple)
        tup.values = values
        tup.origin = origin
        tup.target = target
        tup.more = None
        tup.settled = False
        if ids is None:
            tup.root = 0
            tup.edge = 0
        else:
            tup.root = ids[i]
            tup.edge = ids[i + 1]
            i += 2
        out.append(tup)
    return out


def are_plain(values: list[Any]) -> bool:
    """Whether each value is exactly a str, bytes, int, float, bool or None: what every encoder writes alike."""
    for value in values:
        cls = type(value)
        if cls is str or cls is int or cls is float or cls is bytes or cls is bool or value is None:
            continue
        return False
    return True


class ValueCheck:
    """The check of a tuple's values when it is emitted to another worker.

    `check(values)` answers at once where they are plain, can certainly travel and are not too large together;
    `examine(values)` decides all other cases.
    """

    __slots__ = ("examine", "limit_bytes")

    def __init__(self, limit_bytes: int, examine: Callable[[Sequence[Any]], None]) -> None:
        self.limit_bytes = limit_bytes
        self.examine = examine

    def check(self, values: Sequence[Any]) -> None:
        """Raises what `examine` raises."""
        low, high = -0x8000000000000000, 0xFFFFFFFFFFFFFFFF
        size_bytes = 0
        for value in values:
            cls = type(value)
            if cls is str:
                text = value
                if not text.isascii():
                    break
                size_bytes += len(text)
            elif cls is int:
                if value < low or value > high:
                    break
            elif cls is bytes:
                size_bytes += len(value)
            elif cls is not float and cls is not bool and value is not None:
                break
        else:
            if size_bytes <= self.limit_bytes:
                return
        self.examine(values)


def are_lists(values: list[Any]) -> bool:
    """Whether each value is exactly a list."""
    for value in values:  # noqa: SIM110
        if type(value) is not list:
            return False
    return True


def by_origin(tuples: list[Tuple]) -> list[tuple[Origin, list[Tuple]]]:
    """Split a batch by origin, keeping the order within each."""
    first = tuples[0].origin
    for tup in tuples:
        if tup.origin is not first:
            break
    else:
        return [(first, tuples)]
    found: dict[int, tuple[Origin, list[Tuple]]] = {}
    for tup in tuples:
        found.setdefault(id(tup.origin), (tup.origin, []))[1].append(tup)
    return list(found.values())
