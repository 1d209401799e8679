"""What is on this process's heap, by type: told in a file whenever SIGUSR2 comes.

Counted is whatever can be reached from what Python's collector knows, so also texts, numbers and what `gc.freeze` put
aside. It runs no code of users: sizes come from types that are written in C, all others count as what an object of
theirs takes by itself. Who holds a great deal of memory outside of Python (a C library) is not seen.
"""

from __future__ import annotations

import gc
import heapq
import logging
import queue
import signal
import sys
import threading
from dataclasses import dataclass
from types import MethodDescriptorType, WrapperDescriptorType
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.clock import thread_cpu_secs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from storm.clock import Clock

logger = logging.getLogger(__name__)

BUSY_SECS_MAX, SECS_MAX = 5.0, 15.0  # of a count: of CPU time, and in all
SLICE = 1_000  # objects that are counted in one go, some milliseconds: then the worker has as long for itself
TYPES_SHOWN, OBJECTS_SHOWN = 50, 10
# An address as a bit: objects begin at multiples of 16 bytes, so a megabyte of memory has 65,536 of them.
_REGION_BITS, _ALIGN_BITS = 20, 4
_REGION_BYTES = 1 << (_REGION_BITS - _ALIGN_BITS - 3)
# Whose length says more; by identity, for a metaclass may compare types as it likes.
_SIZED = {id(kind) for kind in (bytes, bytearray, dict, frozenset, list, set, str, tuple)}


@dataclass(frozen=True, slots=True)
class OfType:
    """All objects of one type."""

    name: str
    count: int
    size_bytes: int


class Summary(NamedTuple):
    """`types`, and `largest`, single objects as (bytes, what it is), the largest first; `left` were not looked at."""

    types: list[OfType]
    largest: list[tuple[int, str]]
    left: int
    secs: float


class _Counted:
    """The objects of one type, so far. `sizer` tells the bytes of one."""

    __slots__ = ("count", "is_dict", "kind", "size_bytes", "sizer")

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.sizer = _sizer(kind)
        self.is_dict = issubclass(kind, dict)
        self.count = 0
        self.size_bytes = 0


class _Seen:
    """Which addresses were seen: a bit for each place where an object can begin, less than 1 % of the heap."""

    def __init__(self) -> None:
        self._regions: dict[int, bytearray] = {}

    def add(self, address: int) -> bool:
        """Whether it is new."""
        region = self._regions.get(address >> _REGION_BITS)
        if region is None:
            region = self._regions[address >> _REGION_BITS] = bytearray(_REGION_BYTES)
        place = (address >> _ALIGN_BITS) & (8 * _REGION_BYTES - 1)
        mask = 1 << (place & 7)
        if region[place >> 3] & mask:
            return False
        region[place >> 3] |= mask
        return True


def summary(
    clock: Clock, roots: Iterable[Any] | None = None, busy_secs: Callable[[], float] = thread_cpu_secs
) -> Summary:
    """Of what can be reached from `roots`; None: all that there is. `busy_secs`: the CPU time of this thread so far.

    It takes about SECS_MAX at most. Other threads go on meanwhile, so an object that comes or goes may be counted or
    not.
    """
    began, busy_began = clock.now(), busy_secs()
    # From its end on: what `gc.freeze` put aside at the first tuple, and modules lead to, is looked at last.
    waiting = [sys.modules, *gc.get_objects()] if roots is None else list(roots)
    seen = _Seen()
    counts: dict[int, _Counted] = {}  # by the type's identity
    largest: list[tuple[int, str]] = []
    slice_began = busy_began
    while True:
        for _ in range(min(SLICE, len(waiting))):
            found = waiting.pop()
            if not seen.add(id(found)):
                continue
            kind = type(found)
            counted = counts.get(id(kind))
            if counted is None:
                counted = counts[id(kind)] = _Counted(kind)
            size = counted.sizer(found)
            counted.count += 1
            counted.size_bytes += size
            if len(largest) < OBJECTS_SHOWN or size > largest[0][0]:
                _keep(largest, (size, _described(found, kind)))
            waiting += gc.get_referents(found)
            if counted.is_dict:
                waiting += dict.keys(found)  # the collector passes over keys that are texts
        busy = busy_secs()
        if not waiting or busy - busy_began >= BUSY_SECS_MAX or clock.now() - began >= SECS_MAX:
            break
        clock.sleep(busy - slice_began)
        slice_began = busy
    types = sorted((OfType(_name(one.kind), one.count, one.size_bytes) for one in counts.values()), key=_order)
    return Summary(types, sorted(largest, reverse=True), len(waiting), clock.now() - began)


def text(found: Summary, title: str) -> str:
    """For people: the largest types and single objects."""
    count, size = sum(one.count for one in found.types), sum(one.size_bytes for one in found.types)
    lines = [title, f"{count:,} objects, {size:,} bytes, counted in {found.secs:.1f} s."]
    if found.left:
        lines.append(f"The time was over then: at least {found.left:,} references were not followed, so there is more.")
    lines += ["", f"{'count':>13} {'bytes':>16}  type"]
    lines += [f"{one.count:>13,} {one.size_bytes:>16,}  {one.name}" for one in found.types[:TYPES_SHOWN]]
    if len(found.types) > TYPES_SHOWN:
        rest = found.types[TYPES_SHOWN:]
        rest_count, rest_size = sum(one.count for one in rest), sum(one.size_bytes for one in rest)
        lines.append(f"{rest_count:>13,} {rest_size:>16,}  {len(rest):,} other types")
    lines += ["", "The largest single objects, without what they refer to:"]
    lines += [f"{size:>30,}  {what}" for size, what in found.largest]
    return "\n".join(lines) + "\n"


def answer_signal(file: Path, title: Callable[[], str], clock: Clock) -> None:
    """From now on each SIGUSR2 has a thread write a summary to `file`, which is there once it is whole.

    The handler runs wherever the main thread is, so it may neither lock nor start anything.
    """
    asked: queue.SimpleQueue[None] = queue.SimpleQueue()

    def answer() -> None:
        while True:
            asked.get()
            try:
                told = text(summary(clock), title())
            except Exception as error:  # whoever asked hears of it, and the next one is answered too
                logger.exception("The heap of this worker cannot be counted.")
                told = f"The heap of this worker cannot be counted: {type(error).__name__}: {error}\n"
            try:
                part = file.with_name(f"{file.name}.part")
                part.write_text(told, encoding="utf-8", errors="replace")
                part.replace(file)
            except OSError as error:
                logger.warning("The heap of this worker cannot be shown: %s: %s", file, error.strerror or error)

    threading.Thread(target=answer, name="heap", daemon=True).start()
    signal.signal(signal.SIGUSR2, lambda number, frame: asked.put(None))


def _keep(largest: list[tuple[int, str]], one: tuple[int, str]) -> None:
    if len(largest) < OBJECTS_SHOWN:
        heapq.heappush(largest, one)
    else:
        heapq.heapreplace(largest, one)


def _sizer(kind: type) -> Callable[[Any], int]:
    """What tells an object's size. A `__sizeof__` of a user may do anything, and take its time."""
    for one in type.__getattribute__(kind, "__mro__"):
        method = type.__getattribute__(one, "__dict__").get("__sizeof__")
        if method is not None:
            return _size if isinstance(method, MethodDescriptorType | WrapperDescriptorType) else object.__sizeof__
    return object.__sizeof__


def _size(found: Any) -> int:
    try:
        return sys.getsizeof(found, 0)
    except Exception:  # noqa: BLE001  some library's mistake
        return 0


def _name(kind: type) -> str:
    name = type.__dict__["__qualname__"].__get__(kind)
    try:
        module = type.__dict__["__module__"].__get__(kind)
    except AttributeError:  # somebody has deleted it
        module = None
    return f"{module}.{name}" if type(module) is str and module != "builtins" else str(name)


def _described(found: Any, kind: type) -> str:
    return f"{_name(kind)} of {len(found):,}" if id(kind) in _SIZED else _name(kind)


def _order(one: OfType) -> tuple[int, str]:
    return -one.size_bytes, one.name
