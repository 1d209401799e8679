"""Which calls of users' code last too long, decided from what is under way at each look.

Pure: `stuck_watch` looks at threads and coroutines, and tells people.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping


class Call(NamedTuple):
    """A call that is under way. `identity` is equal at two looks if it is the same call.

    Of the calls of one `group` that are stuck at a time only the first is told. `limit_secs` None: it may last.
    """

    identity: Hashable
    group: Hashable
    limit_secs: float | None


class Stuck(NamedTuple):
    """The call at `place` has lasted too long: one of so many of its group."""

    group: Hashable
    place: Hashable
    secs: float
    calls: int


class GoesOn(NamedTuple):
    """No call of the group is stuck any more; one was, for so long."""

    group: Hashable
    secs: float


@dataclass(frozen=True, slots=True)
class Watching:
    """`calls`: {place: (identity, when it was first seen)}; `told`: {group: since when it is stuck}."""

    calls: Mapping[Hashable, tuple[Hashable, float]] = field(default_factory=dict)
    told: Mapping[Hashable, float] = field(default_factory=dict)


def look(state: Watching, calls: Mapping[Hashable, Call], now: float) -> tuple[Watching, list[Stuck | GoesOn]]:
    """`calls` are those under way, by where: a thread or a coroutine, one call each. What is new, and what is over."""
    seen: dict[Hashable, tuple[Hashable, float]] = {}
    stuck: dict[Hashable, list[tuple[float, Hashable]]] = {}
    for place, call in calls.items():
        before = state.calls.get(place)
        since = before[1] if before is not None and before[0] == call.identity else now
        seen[place] = call.identity, since
        if call.limit_secs is not None and now - since >= call.limit_secs:
            stuck.setdefault(call.group, []).append((since, place))
    events: list[Stuck | GoesOn] = [
        GoesOn(group, now - since) for group, since in state.told.items() if group not in stuck
    ]
    told = {group: since for group, since in state.told.items() if group in stuck}
    for group, found in stuck.items():
        if group not in told:
            since, place = min(found, key=lambda each: each[0])
            told[group] = since
            events.append(Stuck(group, place, now - since, len(found)))
    return Watching(seen, told), events
