"""Which hosts a topology's workers may run on, by tags. Pure.

A supervisor's tags come from `supervisor.scheduler.meta`: the words of its entry `tags` (`tags: "gpu, ssd"`), and
`key=value` for every other entry (`zone: east` is the tag `zone=east`). A topology names those that a host must have,
all of them, in `topology.scheduler.tags`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TAGS_ENTRY = "tags"


def tags_of(meta: Mapping[str, str]) -> frozenset[str]:
    """The tags of a supervisor with these facts."""
    words = meta.get(TAGS_ENTRY, "").replace(",", " ").split()
    return frozenset((*words, *(f"{key}={value}" for key, value in meta.items() if key != TAGS_ENTRY)))


def fits(wanted: Iterable[str], meta: Mapping[str, str]) -> bool:
    """Whether a supervisor with these facts has all the tags; where none is wanted, every one does."""
    return tags_of(meta).issuperset(wanted)
