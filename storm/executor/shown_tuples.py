"""Tuples as text for people: where they came from, and their values cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.executor.shown_values import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storm.tuples import Tuple

VALUES_CHARS_MAX = 400


def shown_tuple(tup: Tuple) -> str:
    """On one line. Never raises an Exception."""
    return f"{shown(tup, VALUES_CHARS_MAX)} from {tup.component!r} (task {tup.task}), stream {tup.stream!r}"


def shown_work(tuples: Sequence[Tuple]) -> str:
    """What a bolt did when it raised an error: the tuples that it was given at once. Empty where there are none."""
    if not tuples:
        return ""
    left = [tup for tup in tuples if not tup.settled]
    first = shown_tuple((left or tuples)[0])
    if len(tuples) == 1:
        return f"Executing {first}"
    which = f"{len(left):,} not settled yet, the first of these" if left else "all of them settled, the first"
    return f"Executing {len(tuples):,} tuples at once, {which}: {first}"
