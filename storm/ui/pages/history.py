"""The last hour of topologies and components in rates, of looks at what they counted; pure: what time it is, is told.

A rate is the difference of two looks at counts of all time. Counts begin anew with a worker's process, and are not
there until it tells of itself, so a difference counts only between looks at the same workers, none of which started
between them; elsewhere the line has a gap. Workers tell their counts every 3 s, so that two looks 15 s apart see what
was counted in 12 to 18 s: a rate is over three of them, where these can be compared.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Point: TypeAlias = "tuple[float, float]"

K = TypeVar("K")

KEEP_SECS = 3_600.0
LOOK_SECS = 15.0  # between two looks at the same topology, at least
COST_SHARE = 0.01  # of the time, at most, Nimbus is asked: a round that took 1 s is followed by a wait of 100 s
TOPOLOGIES_MAX = 100
COMPONENTS_MAX = 500  # of all topologies together: an hour of one takes some 50 kB
LOOKS_MAX = int(KEEP_SECS / LOOK_SECS) + 1
LOOKS_APART = 3  # between the two that make a rate


class Look(NamedTuple):
    """What a topology or a component of it had counted at `at` (monotonic seconds). `workers`: of the topology,
    {host:port: seconds that it has been up}.

    `complete_ms` is the mean over all that was acked. Of a bolt `acked` is what it executed, and `complete_ms` the mean
    time in that; `busy_percent` is its capacity over the last 10 minutes.
    """

    at: float
    emitted: int
    acked: int
    failed: int
    complete_ms: float
    workers: Mapping[str, int]
    busy_percent: float = 0.0


class Rates(NamedTuple):
    """Between two looks: tuples a second, and milliseconds; None where nothing was acked. `at` is the later look's."""

    at: float
    emitted: float
    acked: float
    failed: float
    complete_ms: float | None
    busy_percent: float = 0.0


def rates(earlier: Look, later: Look) -> Rates | None:
    """None: the two cannot be compared."""
    secs = later.at - earlier.at
    if secs <= 0 or earlier.workers.keys() != later.workers.keys():
        return None
    if any(up < max(earlier.workers[worker], secs) for worker, up in later.workers.items()):
        return None  # one that is up for less than the time between may have started in it
    emitted, acked, failed = (
        later.emitted - earlier.emitted,
        later.acked - earlier.acked,
        later.failed - earlier.failed,
    )
    if min(emitted, acked, failed) < 0:
        return None
    total_ms = later.complete_ms * later.acked - earlier.complete_ms * earlier.acked
    return Rates(
        later.at,
        emitted / secs,
        acked / secs,
        failed / secs,
        total_ms / acked if acked and total_ms >= 0 else None,
        later.busy_percent,
    )


def mean_rates(counted: Look, secs: float) -> Rates:
    """Of what was counted in the `secs` before it."""
    return Rates(
        counted.at,
        counted.emitted / secs,
        counted.acked / secs,
        counted.failed / secs,
        counted.complete_ms if counted.acked else None,
        counted.busy_percent,
    )


class History:
    """The looks of the last hour at each topology, of TOPOLOGIES_MAX at most, and at components, of COMPONENTS_MAX."""

    def __init__(self) -> None:
        self._looks: dict[str, deque[Look]] = {}
        self._components: dict[tuple[str, str], deque[Look]] = {}

    def put(self, topology_id: str, look: Look, components: Mapping[str, Look] | None = None) -> None:
        """`components`: {id: the look at it}."""
        _put(self._looks, topology_id, look)
        for component, its in (components or {}).items():
            key = topology_id, component
            if key in self._components or len(self._components) < COMPONENTS_MAX:
                _put(self._components, key, its)

    def chosen(self, topology_ids: Iterable[str]) -> list[str]:
        """Those to look at, of all that are there: not more than TOPOLOGIES_MAX, the same ones every time."""
        there = list(topology_ids)
        known = [topology_id for topology_id in there if topology_id in self._looks]
        return [*known, *(topology_id for topology_id in there if topology_id not in self._looks)][:TOPOLOGIES_MAX]

    def keep(self, topology_ids: Iterable[str]) -> None:
        """Forget all others."""
        there = set(topology_ids)
        for gone in self._looks.keys() - there:
            del self._looks[gone]
        for key in [key for key in self._components if key[0] not in there]:
            del self._components[key]

    def rates(self, topology_id: str, component: str = "") -> list[Rates | None]:
        """Of a component where one is named; the oldest first. None is a gap."""
        looks = self._components.get((topology_id, component)) if component else self._looks.get(topology_id)
        there = list(looks or ())
        return [_rates_at(there, i) for i in range(1, len(there))]

    def looked_at(self, topology_id: str) -> float | None:
        """When the last look was, in monotonic seconds."""
        looks = self._looks.get(topology_id)
        return looks[-1].at if looks else None


def _put(to: dict[K, deque[Look]], key: K, look: Look) -> None:
    looks = to.setdefault(key, deque(maxlen=LOOKS_MAX))
    looks.append(look)
    while look.at - looks[0].at > KEEP_SECS:
        looks.popleft()


def _rates_at(looks: Sequence[Look], i: int) -> Rates | None:
    """Up to look `i`, from the earliest of the LOOKS_APART before it with which it can be compared."""
    found = (rates(earlier, looks[i]) for earlier in looks[max(0, i - LOOKS_APART) : i])
    return next((one for one in found if one is not None), None)


def wait_secs(round_secs: float) -> float:
    """Until the next round of looks, after one that took `round_secs`."""
    return max(LOOK_SECS, round_secs / COST_SHARE)


class Sparkline(NamedTuple):
    """`path`: of an SVG of `width` by `height`, empty where nothing is known; `end` is its last point.

    `now`, `least`, `most` are of the values shown, and `secs` is the time from its left to its right.
    """

    path: str
    area: str
    width: int
    height: int
    end: Point | None = None
    now: float | None = None
    least: float = 0.0
    most: float = 0.0
    secs: float = 0.0


def lines(
    fields: Iterable[tuple[str, str, str]], rates: Sequence[Rates | None], counted: Look, secs: float
) -> list[dict[str, Any]]:
    """A sparkline of each of (name, field of Rates, unit), up to the last look: so it is the same until the next one.

    `counted` is what was counted in the `secs` before that look. `is_mean`: there are no two looks yet to make a rate
    of, so it is the mean of that.
    """
    is_mean = secs > 0 and not any(rates)
    if is_mean:
        rates = [mean_rates(counted._replace(at=at), secs) for at in (counted.at - secs, counted.at)]
    found = []
    for name, field, unit in fields:
        points = [
            None if rate is None or (value := getattr(rate, field)) is None else (rate.at, value) for rate in rates
        ]
        found.append({"name": name, "unit": unit, "line": sparkline(points, counted.at), "is_mean": is_mean})
    return found


def sparkline(points: Sequence[Point | None], now: float, width: int = 240, height: int = 44) -> Sparkline:
    """Of points (when, value), None for a gap: from the first of the last hour to now, from 0 to the greatest value."""
    known = [point for point in points if point is not None and now - point[0] <= KEEP_SECS]
    if not known:
        return Sparkline("", "", width, height)
    values = [value for _, value in known]
    top = max(values) or 1.0
    secs = max(LOOK_SECS, now - known[0][0])

    def at(point: Point) -> Point:
        x = width * (1 - (now - point[0]) / secs)
        return round(x, 1), round(height - 2 - (height - 4) * point[1] / top, 1)

    path, area = [], []
    for run in _runs(points, now):
        drawn = [at(point) for point in run]
        if len(drawn) == 1:  # a dot
            drawn.append((drawn[0][0] + 1, drawn[0][1]))
        line = "L".join(f"{x:g} {y:g}" for x, y in drawn)
        path.append(f"M{line}")
        area.append(f"M{drawn[0][0]:g} {height}L{line}L{drawn[-1][0]:g} {height}Z")
    last = points[-1]
    return Sparkline(
        "".join(path),
        "".join(area),
        width,
        height,
        at(known[-1]),
        None if last is None else last[1],
        min(values),
        max(values),
        secs,
    )


def _runs(points: Iterable[Point | None], now: float) -> list[list[Point]]:
    """Points without a gap between them."""
    found: list[list[Point]] = [[]]
    for point in points:
        if point is not None and now - point[0] <= KEEP_SECS:
            found[-1].append(point)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]
