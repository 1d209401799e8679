"""Users' values as text for people: one short line, whatever they hold and whatever their `__repr__` does."""

from __future__ import annotations

import contextlib
import reprlib
from typing import Any

from storm.tuples import Tuple

PART_CHARS_MAX = 80  # of one thing within another
PARTS_MAX, DEPTH_MAX = 20, 3


class _Short(reprlib.Repr):
    """Cuts what may be long before it is made text. What has a `__repr__` of its own is asked once, then cut."""

    def __init__(self, chars: int) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = PARTS_MAX
        self.maxlevel = DEPTH_MAX
        self.maxstring = self.maxother = chars

    def repr1(self, x: Any, level: int) -> str:
        if level < DEPTH_MAX:
            self.maxstring = self.maxother = min(self.maxstring, PART_CHARS_MAX)
        show = _BY_REPR.get(type(x).__repr__, reprlib.Repr.repr_instance)
        return str(show(self, x, level))

    def repr_tuple_of_ours(self, tup: Tuple, level: int) -> str:
        return self.repr1(tup.values, level)


# By `__repr__`, not by class: a user's class that derives from one of these is as long, unless it has its own.
_BY_REPR: dict[Any, Any] = {
    list.__repr__: reprlib.Repr.repr_list,
    tuple.__repr__: reprlib.Repr.repr_tuple,
    dict.__repr__: reprlib.Repr.repr_dict,
    set.__repr__: reprlib.Repr.repr_set,
    frozenset.__repr__: reprlib.Repr.repr_frozenset,
    str.__repr__: reprlib.Repr.repr_str,
    bytes.__repr__: reprlib.Repr.repr_str,
    bytearray.__repr__: reprlib.Repr.repr_str,
    Tuple.__repr__: _Short.repr_tuple_of_ours,
}


def shown(value: Any, chars: int = 200) -> str:
    """At most so many characters, at least 10, on one line, all of which UTF-8 has. Never raises an Exception."""
    text = "a value that cannot be shown"
    with contextlib.suppress(Exception):  # of users' code, in more places than `__repr__`
        text = " ".join(_Short(chars).repr(value).splitlines()).encode(errors="backslashreplace").decode()
    return text if len(text) <= chars else f"{text[: chars - 3]}..."
