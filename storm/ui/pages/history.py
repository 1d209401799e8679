"""The last hour of each topology in rates, of looks at what it counted; pure: what time it is, is told.

A rate is the difference of two looks at counts of all time. Counts begin anew with a worker's process, and are not
there until it tells of itself, so a difference counts only between looks at the same workers, none of which started
between them; elsewhere the line has a gap. Workers tell their counts every 3 s, so that two looks 15 s apart see what
was counted in 12 to 18 s: a rate is over three of them, where these can be compared.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Point: TypeAlias = "tuple[float, float]"

KEEP_SECS = 3_600.0
LOOK_SECS = 15.0  # between two looks at the same topology, at least
COST_SHARE = 0.01  # of the time, at most, Nimbus is asked: a round that took 1 s is followed by a wait of 100 s
TOPOLOGIES_MAX = 100
LOOKS_MAX = int(KEEP_SECS / LOOK_SECS) + 1
LOOKS_APART = 3  # between the two that make a rate


class Look(NamedTuple):
    """What a topology had counted at `at` (monotonic seconds). `workers`: {host:port: seconds that it has been up}.

    `complete_ms` is the mean over all that was acked.
    """

    at: float
    emitted: int
    acked: int
    failed: int
    complete_ms: float
    workers: Mapping[str, int]


class Rates(NamedTuple):
    """Between two looks: tuples a second, and milliseconds; None where nothing was acked. `at` is the later look's."""

    at: float
    emitted: float
    acked: float
    failed: float
    complete_ms: float | None


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
    )


class History:
    """The looks of the last hour at each topology, of TOPOLOGIES_MAX at most."""

    def __init__(self) -> None:
        self._looks: dict[str, deque[Look]] = {}

    def put(self, topology_id: str, look: Look) -> None:
        looks = self._looks.setdefault(topology_id, deque(maxlen=LOOKS_MAX))
        looks.append(look)
        while look.at - looks[0].at > KEEP_SECS:
            looks.popleft()

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

    def rates(self, topology_id: str) -> list[Rates | None]:
        """The oldest first; None is a gap."""
        looks = list(self._looks.get(topology_id, ()))
        return [_rates_at(looks, i) for i in range(1, len(looks))]

    def looked_at(self, topology_id: str) -> float | None:
        """When the last look was, in monotonic seconds."""
        looks = self._looks.get(topology_id)
        return looks[-1].at if looks else None


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
