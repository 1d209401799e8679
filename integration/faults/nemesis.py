"""Schedules of faults as data, drawn from a seed: equal seeds, faults and shapes of a cluster give equal schedules.

Nothing here touches a cluster. Each fault ends, and is healed, before the next begins; where it is asked for, some
begin while the one before goes on: two at once at most, which bear one another (`may_overlap`).
"""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = 1
DRAWS_MAX = 1_000


class Shape(NamedTuple):
    """What a cluster has that faults can hit."""

    hosts: tuple[str, ...] = ("a", "b", "c")
    nimbuses: tuple[str, ...] = ("nimbus",)
    zookeepers: tuple[str, ...] = ("zookeeper",)
    workers: int = 3


class Drawable(NamedTuple):
    """A fault as the drawing sees it. `seconds`: the shortest and the longest that it lasts, both 0 for one blow.

    `takes`: the parts of a cluster that it takes away, or needs to be injected, healed and judged; None: all of them.
    """

    name: str
    target: str  # a kind of `targets`
    seconds: tuple[float, float] = (0.0, 0.0)
    takes: frozenset[str] | None = None


class Terms(NamedTuple):
    """What a schedule has to fulfil. `always`: faults of its first round; `secs_max`: it is over after so many.

    `overlap`: how likely, 0 to 1, a fault begins while the one before goes on, where that lasts and both bear it.
    """

    always: tuple[str, ...] = ()
    secs_max: float = math.inf
    overlap: float = 0.0


ANY = Terms()


class Event(NamedTuple):
    """`fault` hits `target`, `at` seconds after the start, and is healed `seconds` later."""

    at: float
    fault: str
    target: str
    seconds: float

    @property
    def until(self) -> float:
        return round(self.at + self.seconds, 3)


class Step(NamedTuple):
    """The begin (`heals` False) or the end of event `number`."""

    at: float
    heals: bool
    number: int


def targets(kind: str, shape: Shape) -> list[str]:
    """The names that a fault of this kind of target may hit."""
    found = {
        "cluster": ["all"],
        "topology": ["topology"],
        "worker": [f"worker-{i}" for i in range(shape.workers)],
        "host": list(shape.hosts),
        "nimbus": list(shape.nimbuses),
        "zookeeper": list(shape.zookeepers),
        "link": [f"{one}-{other}" for one in shape.hosts for other in shape.hosts if one != other],
    }
    return found[kind]


def draw(
    seed: int,
    count: int,
    faults: Sequence[Drawable],
    shape: Shape,
    gap_secs: tuple[float, float],
    terms: Terms = ANY,
) -> list[Event]:
    """`count` events. Every fault comes once before any comes twice; times are rounded to milliseconds.

    Raises ValueError without faults, where one has nothing to hit in this shape, or if no schedule fulfils the terms.
    """
    if not faults:
        raise ValueError("there is no fault to draw from")
    for fault in faults:
        if not targets(fault.target, shape):
            raise ValueError(f"{fault.name} has nothing to hit: the cluster has no {fault.target}")
    if len(terms.always) > count or not set(terms.always) <= {fault.name for fault in faults}:
        raise ValueError(f"{', '.join(terms.always)} cannot always be among {count} faults of these kinds")
    rng = random.Random(seed)
    for _ in range(DRAWS_MAX):
        events = _draw_once(rng, count, faults, shape, gap_secs, terms)
        if length_secs(events) <= terms.secs_max:
            return events
    raise ValueError(f"no schedule of {count} faults was found that is over within {terms.secs_max:g} s")


def _draw_once(
    rng: random.Random,
    count: int,
    faults: Sequence[Drawable],
    shape: Shape,
    gap_secs: tuple[float, float],
    terms: Terms,
) -> list[Event]:
    bag = _shuffled(rng, faults)
    _bring_to_end(rng, bag, count, terms.always)
    events: list[Event] = []
    now = 0.0
    outer: Drawable | None = None  # the fault before, if it lasts and nothing has begun within it
    for left in range(count, 0, -1):
        if not bag:
            bag = _shuffled(rng, faults)
        overlaps = (
            outer is not None and terms.overlap > 0 and rng.random() < terms.overlap and _bring_next(bag, left, outer)
        )
        fault = bag.pop()
        at = rng.uniform(events[-1].at, events[-1].until) if overlaps else now + rng.uniform(*gap_secs)
        seconds = round(rng.uniform(*fault.seconds), 3)
        events.append(Event(round(at, 3), fault.name, rng.choice(targets(fault.target, shape)), seconds))
        outer = fault if seconds and not overlaps else None
        now = max(now, events[-1].until)
    return events


def may_overlap(one: Drawable, other: Drawable) -> bool:
    """Whether both can be healed and judged where one begins while the other goes on."""
    if one.target == other.target or one.takes is None or other.takes is None:
        return False
    return not one.takes & other.takes


def clashes(events: Sequence[Event], faults: Mapping[str, Drawable]) -> list[tuple[Event, Event]]:
    """Those that overlap though they may not. `faults`: by name."""
    return [
        (one, other)
        for i, one in enumerate(events)
        for other in events[i + 1 :]
        if other.at < one.until and not may_overlap(faults[one.fault], faults[other.fault])
    ]


def _bring_next(bag: list[Drawable], left: int, outer: Drawable) -> bool:
    """Let the next one drawn be one that bears `outer` beside it, of the `left` that come; whether there is one."""
    for at in reversed(range(max(0, len(bag) - left), len(bag))):
        if may_overlap(bag[at], outer):
            bag.append(bag.pop(at))
            return True
    return False


def _shuffled(rng: random.Random, faults: Sequence[Drawable]) -> list[Drawable]:
    bag = list(faults)
    rng.shuffle(bag)
    return bag


def _bring_to_end(rng: random.Random, bag: list[Drawable], count: int, always: Sequence[str]) -> None:
    """Let these be among the last `count` of the bag, in places that chance gives them."""
    first = max(0, len(bag) - count)
    for name in always:
        at = next(i for i, fault in enumerate(bag) if fault.name == name)
        if at < first:
            free = [i for i in range(first, len(bag)) if bag[i].name not in always]
            other = rng.choice(free)
            bag[at], bag[other] = bag[other], bag[at]


def steps(events: Sequence[Event]) -> list[Step]:
    """What to do in order of time; at one time, what ends comes before what begins, but never before its own begin."""
    found = [Step(event.at, False, number) for number, event in enumerate(events)]
    found += [Step(event.until, True, number) for number, event in enumerate(events)]
    return sorted(found, key=lambda step: (step.at, step.number, step.heals))


def length_secs(events: Sequence[Event]) -> float:
    """From the start until the last fault is healed."""
    return max((event.until for event in events), default=0.0)


def to_json(seed: int, shape: Shape, events: Sequence[Event]) -> str:
    """The schedule as a file holds it."""
    rows = ",\n  ".join(json.dumps(event._asdict()) for event in events)
    head = f'"format": {FORMAT}, "seed": {seed}, "shape": {json.dumps(shape._asdict())}'
    return f'{{{head}, "events": [\n  {rows}\n]}}\n'


def from_json(text: str) -> tuple[int, Shape, list[Event]]:
    """Seed, shape and events of such a file. Raises ValueError that says what is wrong with it."""
    try:
        plain: Any = json.loads(text)
        if plain["format"] != FORMAT:
            raise ValueError(f"the schedule has format {plain['format']!r}, this harness reads {FORMAT}")
        shape = Shape(*(tuple(value) if isinstance(value, list) else value for value in plain["shape"].values()))
        events = [Event(**row) for row in plain["events"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no schedule: {error!r}") from None
    before, ends = 0.0, (0.0, 0.0)  # the last two ends of those before
    for event in events:
        if not (math.isfinite(event.at) and math.isfinite(event.seconds) and event.seconds >= 0 and event.at >= before):
            raise ValueError(f"{event} begins before the one before it, or has no proper times")
        if event.at < ends[0]:
            raise ValueError(f"{event} begins while two others go on")
        before, ends = event.at, (min(ends[1], event.until), max(ends[1], event.until))
    return int(plain["seed"]), shape, events
