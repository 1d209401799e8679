"""State that an object shares with its unpickled copies, as long as all are in one process.

A topology's components are pickled, so that what a test holds and what a task runs are two objects. In a LocalCluster
both are in one process: what is `Shared` is then the same object for both.
"""

from __future__ import annotations

import itertools
import os
import weakref
from typing import Any

from storm.errors import StormError

_numbers = itertools.count(1)
_alive: weakref.WeakValueDictionary[tuple[int, int], Shared] = weakref.WeakValueDictionary()


class Shared:
    """Is pickled by name; unpickled it is the same object again."""

    def __init__(self) -> None:
        self._name = (os.getpid(), next(_numbers))
        _alive[self._name] = self

    def __reduce__(self) -> tuple[Any, ...]:
        return _find, (type(self).__name__, self._name)


def _find(kind: str, name: tuple[int, int]) -> Shared:
    found = _alive.get(name)
    if found is None:
        raise StormError(
            f"a {kind} works only within the process that made it, and while that keeps it: "
            "run the topology in a LocalCluster and hold on to what you feed and read"
        )
    return found
