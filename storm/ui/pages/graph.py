"""The drawing of a topology: boxes of components and lines of streams, with what is known of each in words; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from storm.diagnosis.topology import RECENT_SECS, busy_level
from storm.diagnosis.wording import percent
from storm.metrics.insight_records import BACK_PRESSURE, IN_CALL, MAX_PENDING, SLOW_PEER
from storm.ui.pages.figures import latency, number
from storm.ui.pages.graph_layout import BOX_HEIGHT, BOX_WIDTH, Point, layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from storm.diagnosis.facts import Component

BUSY = 0.5  # the capacity from which a bolt is coloured at all
NAME_CHARS = 21  # that fit into a box
MARKS_SHOWN = 2
COLUMNS_SHRUNK = 6  # that can still be read when they are made to fit into a wide screen
ARROW = 8.0  # its length; lines end there
LINE_WIDTH_LEAST, LINE_WIDTH_MOST = 1.5, 6.0
LABEL_WIDTH, LABEL_HEIGHT = 54.0, 15.0
LABEL_PLACES = (0.42, 0.58, 0.3, 0.7)  # along the curve, the first that is free
MARKS = {BACK_PRESSURE: "back pressure", MAX_PENDING: "max pending", SLOW_PEER: "slow peer", IN_CALL: "in a long call"}
THOUSANDS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


class Stream(NamedTuple):
    """What `target` took of one stream of `source`, in tuples a second, and how many it failed."""

    source: str
    target: str
    stream: str
    grouping: str
    rate: float
    failed: int = 0


class Node(NamedTuple):
    """A box. `label`: its name, shortened; `level`: "", "calm", "busy", "warn" or "bad", as busy as it is.

    `share`: how much of its bar is filled, None for a spout; `title`: all of it in words.
    """

    name: str
    is_spout: bool
    x: float
    y: float
    label: str
    figure: str
    executors: int
    level: str
    share: float | None
    marks: tuple[str, ...]
    has_error: bool
    title: str


class Line(NamedTuple):
    """All streams from one component to another, or `stream`, where it is the only one, else empty.

    `path` and `arrow` are SVG's; `label_at` None: there is no room.
    """

    source: str
    target: str
    stream: str
    path: str
    arrow: str
    width: float
    label: str
    label_at: Point | None
    is_idle: bool
    has_failures: bool
    title: str


class Drawing(NamedTuple):
    width: float
    height: float
    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]
    box_width: float = BOX_WIDTH
    box_height: float = BOX_HEIGHT
    is_long: bool = False  # more columns than a wide screen has room for: it is scrolled, not made smaller


def drawing(components: Sequence[Component], streams: Sequence[Stream], secs: int) -> Drawing:
    """`secs`: over how many the counts of `components` are."""
    plan = layout([one.name for one in components], [(one.source, one.target) for one in streams])
    edges: dict[tuple[str, str], list[Stream]] = {}
    for stream in sorted(streams):
        if stream.source in plan.boxes and stream.target in plan.boxes:
            edges.setdefault((stream.source, stream.target), []).append(stream)
    most = max((_rate(group) for group in edges.values()), default=0.0)
    lines = []
    taken: list[Point] = []
    for (source, target), group in sorted(edges.items(), key=lambda item: (-_rate(item[1]), item[0])):
        if source == target:
            path, arrow, places = _loop(plan.boxes[source])
        else:
            path, arrow, places = _curve(plan.routes[source, target], is_back=(source, target) in plan.back)
        lines.append(_line(group, (path, arrow), most, _free(places, taken)))
    nodes = tuple(_node(one, plan.boxes[one.name], secs) for one in sorted(components))
    is_long = max(plan.columns.values(), default=0) >= COLUMNS_SHRUNK
    return Drawing(plan.width, plan.height, nodes, tuple(lines), is_long=is_long)


def shown_rate(rate: float) -> str:
    """`12.3k/s`: three digits."""
    for size, unit in THOUSANDS:
        if rate >= size:
            return f"{rate / size:.3g}{unit}/s" if rate < 999.5 * size else f"{rate / size:.0f}{unit}/s"
    return "0/s" if rate == 0 else f"{rate:.3g}/s" if rate >= 0.1 else "<0.1/s"


def _rate(group: Iterable[Stream]) -> float:
    return sum(stream.rate for stream in group)


def _node(component: Component, at: Point, secs: int) -> Node:
    marks = tuple(_marks(component))
    rate = component.emitted / secs if secs else 0.0
    count = "1 executor" if component.executors == 1 else f"{component.executors} executors"
    if component.is_spout:
        level, share, figure = "", None, f"{shown_rate(rate)} emitted"
        about = [f"spout {component.name}", count, f"emits {number(rate)} tuples a second"]
        about.append(f"complete latency {latency(component.complete_ms, component.acked)} ms")
    else:
        level, share = _level(component.capacity), min(component.capacity, 1.0)
        figure = f"{percent(component.capacity)} busy · {latency(component.execute_ms, component.executed)} ms"
        about = [f"bolt {component.name}", count, f"busy {percent(component.capacity)} of the time"]
        about.append(f"execute latency {latency(component.execute_ms, component.executed)} ms")
    about += [f"{component.failed:,} failed"] if component.failed else []
    about += [component.insight.text] if component.insight.text else []
    if component.error is not None:
        about.append(f"last error: {component.error.text}")
    return Node(
        name=component.name,
        is_spout=component.is_spout,
        x=at.x,
        y=at.y,
        label=shortened(component.name),
        figure=figure,
        executors=component.executors,
        level=level,
        share=share,
        marks=marks[:MARKS_SHOWN],
        has_error=component.error is not None and component.error.ago_secs <= RECENT_SECS,
        title=", ".join(about),
    )


def shortened(name: str) -> str:
    return name if len(name) <= NAME_CHARS else f"{name[: NAME_CHARS - 1]}…"


def _level(capacity: float) -> str:
    return busy_level(capacity) or ("busy" if capacity >= BUSY else "calm")


def _marks(component: Component) -> Iterator[str]:
    """What has to be seen without a pointer, in two or three words each, the worst first; no times, which only move."""
    if component.error is not None and component.error.ago_secs <= RECENT_SECS:
        yield "error"
    if component.insight.full:
        yield "queue full"
    for reason, mark in MARKS.items():
        if reason in component.insight.reasons:
            yield mark
    if component.failed:
        yield f"{number(component.failed)} failed"


def _line(group: Sequence[Stream], shape: tuple[str, str], most: float, label_at: Point | None) -> Line:
    source, target, rate = group[0].source, group[0].target, _rate(group)
    each = [
        f"stream {one.stream}, {one.grouping}: {number(one.rate)} tuples a second"
        + (f", {one.failed:,} failed" if one.failed else "")
        for one in group
    ]
    share = (rate / most) ** 0.5 if most else 0.0
    return Line(
        source,
        target,
        group[0].stream if len(group) == 1 else "",
        *shape,
        round(LINE_WIDTH_LEAST + (LINE_WIDTH_MOST - LINE_WIDTH_LEAST) * share, 1),
        shown_rate(rate),
        label_at,
        rate == 0,
        any(one.failed for one in group),
        f"{source} to {target}: {'; '.join(each)}",
    )


def _curve(route: Sequence[Point], *, is_back: bool) -> tuple[str, str, list[Point]]:
    """The path, its arrow, and where its label may stand: along the part that is its own, the end."""
    forward = -1 if is_back else 1
    end = Point(route[-1].x - forward * ARROW, route[-1].y)
    path = f"M{_at(route[0])}"
    for begin, to in zip(route[::2], route[1::2], strict=True):
        to = end if to is route[-1] else to
        middle = (begin.x + to.x) / 2
        path += f"L{_at(begin)}" if begin is not route[0] else ""
        path += f"C{middle:g} {begin.y:g} {middle:g} {to.y:g} {_at(to)}"
    first, last = route[-2], end
    places = [_on_curve(first, last, share) for share in LABEL_PLACES]
    return path, _arrow(route[-1], forward), places


def _loop(box: Point) -> tuple[str, str, list[Point]]:
    """Above the right part of the box, of a component that subscribes to itself."""
    left, right, top = box.x + BOX_WIDTH - 64, box.x + BOX_WIDTH - 28, box.y
    path = f"M{left:g} {top:g}C{left:g} {top - 17:g} {right:g} {top - 17:g} {right:g} {top - ARROW:g}"
    return path, f"M{right:g} {top:g}l-4.5 {-ARROW:g}h9Z", [Point(left - 30, top - 8)]


def _arrow(tip: Point, forward: int) -> str:
    back = -forward * ARROW
    return f"M{_at(tip)}l{back:g} -4.5v9Z"


def _on_curve(begin: Point, end: Point, share: float) -> Point:
    """Of the cubic curve whose control points are in the middle between both."""
    smooth = 3 * share**2 - 2 * share**3
    middle = (begin.x + end.x) / 2
    rest = 1 - share
    x = rest**3 * begin.x + 3 * rest * share * middle + share**3 * end.x
    return Point(round(x, 1), round(begin.y + (end.y - begin.y) * smooth, 1))


def _free(places: Iterable[Point], taken: list[Point]) -> Point | None:
    """The first of `places` where no label stands yet; it is taken then. None: there is no room."""
    for place in places:
        if all(abs(place.x - other.x) >= LABEL_WIDTH or abs(place.y - other.y) >= LABEL_HEIGHT for other in taken):
            taken.append(place)
            return place
    return None


def _at(point: Point) -> str:
    return f"{point.x:g} {point.y:g}"
