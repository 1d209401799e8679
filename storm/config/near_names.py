"""What may have been meant by a name that does not exist."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LISTED_MAX = 12
LIKENESS_LEAST = 0.6


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`: did you mean 'x'?`, to follow an error's text; where no name is near, what there is, unless that is long."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=LIKENESS_LEAST)
    if near:
        return f": did you mean {near[0]!r}?"
    if not names:
        return " (there is none)"
    return f" (there is: {', '.join(names)})" if len(names) <= LISTED_MAX else ""
