"""Where the components of a topology stand in its drawing, and how its edges run; pure.

Sugiyama's method in small: cycles are broken, every component goes one column to the right of the last that feeds it,
long edges get a place of their own in each column that they pass, the order in the columns is by the mean of the
neighbours (barycentres), and so are heights, as far as nothing overlaps. The same graph always gives the same drawing.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Edge: TypeAlias = "tuple[str, str]"  # from, to
Vertex: TypeAlias = int  # a component, or the place of a long edge in a column

# All in pixels of the drawing.
BOX_WIDTH, BOX_HEIGHT = 200.0, 66.0
COLUMN_GAP, ROW_GAP = 84.0, 26.0
PASSING_HEIGHT = 14.0  # what an edge takes in a column that it passes
MARGIN = 18.0
BACK_PORT = 16.0  # how far below the middle of a box the edges against the stream begin and end
ORDER_SWEEPS = 6
HEIGHT_SWEEPS = 3
PASSED_MAX = 1_000  # columns that long edges pass, all together: beyond, they run straight from end to end


class Point(NamedTuple):
    x: float
    y: float


class Layout(NamedTuple):
    """`boxes`: upper left corners. `columns`: 0 is the leftmost one.

    `routes`: pairs of points for each edge but those of a component to itself; between the two of a pair lies a gap
    between columns, and from pair to pair an edge passes a column, straight. `back`: edges that close a cycle; they run
    from right to left.
    """

    boxes: Mapping[str, Point]
    columns: Mapping[str, int]
    routes: Mapping[Edge, tuple[Point, ...]]
    back: frozenset[Edge]
    width: float
    height: float


def layout(names: Iterable[str], edges: Iterable[Edge]) -> Layout:
    """Edges from or to what is not in `names` are left out."""
    known = sorted(set(names))
    numbers = {name: number for number, name in enumerate(known)}
    wanted = sorted({edge for edge in edges if edge[0] in numbers and edge[1] in numbers and edge[0] != edge[1]})
    pairs = [(numbers[source], numbers[target]) for source, target in wanted]
    back = _closing_cycles(len(known), pairs)
    forward = [(target, source) if (source, target) in back else (source, target) for source, target in pairs]
    graph = _Columns(len(known), forward)
    graph.order()
    graph.place()
    top = min((graph.heights[v] - graph.half(v) for v in graph.vertices), default=0.0) - MARGIN
    bottom = max((graph.heights[v] + graph.half(v) for v in graph.vertices), default=0.0) + MARGIN
    routes = {
        edge: _route(graph, chain, top, is_back=pair in back)
        for edge, pair, chain in zip(wanted, pairs, graph.chains, strict=True)
    }
    column_count = len(graph.columns)
    return Layout(
        {
            name: Point(_left(graph.column_of[number]), round(graph.heights[number] - BOX_HEIGHT / 2 - top, 1))
            for name, number in numbers.items()
        },
        {name: graph.column_of[number] for name, number in numbers.items()},
        routes,
        frozenset(edge for edge, pair in zip(wanted, pairs, strict=True) if pair in back),
        2 * MARGIN + column_count * BOX_WIDTH + max(0, column_count - 1) * COLUMN_GAP,
        round(bottom - top, 1),
    )


def _left(column: int) -> float:
    return MARGIN + column * (BOX_WIDTH + COLUMN_GAP)


def _route(graph: _Columns, chain: Sequence[Vertex], top: float, *, is_back: bool) -> tuple[Point, ...]:
    """`chain`: the edge's vertices from left to right, its ends included."""
    shift = BACK_PORT if is_back else 0.0
    points: list[Point] = []
    for vertex, following in pairwise(chain):
        for end, is_left in ((vertex, True), (following, False)):
            at = graph.heights[end] - top + (shift if end in (chain[0], chain[-1]) else 0.0)
            points.append(Point(_left(graph.column_of[end]) + (BOX_WIDTH if is_left else 0.0), round(at, 1)))
    return tuple(reversed(points)) if is_back else tuple(points)


def _closing_cycles(count: int, edges: Iterable[tuple[Vertex, Vertex]]) -> set[tuple[Vertex, Vertex]]:
    """Edges to a vertex that is on the way to their own source: without them there is no cycle."""
    targets, fed = _neighbours(count, edges)
    begin = [v for v in range(count) if not fed[v]] + [v for v in range(count) if fed[v]]
    found: set[tuple[Vertex, Vertex]] = set()
    on_way, seen = [False] * count, [False] * count
    for start in begin:
        if seen[start]:
            continue
        seen[start] = on_way[start] = True
        way: list[tuple[Vertex, Iterator[Vertex]]] = [(start, iter(targets[start]))]
        while way:
            vertex, rest = way[-1]
            target = next(rest, None)
            if target is None:
                on_way[vertex] = False
                way.pop()
            elif on_way[target]:
                found.add((vertex, target))
            elif not seen[target]:
                seen[target] = on_way[target] = True
                way.append((target, iter(targets[target])))
    return found


def _neighbours(count: int, edges: Iterable[tuple[Vertex, Vertex]]) -> tuple[list[list[Vertex]], list[list[Vertex]]]:
    """Of each vertex those behind its edges, and those before it."""
    after: list[list[Vertex]] = [[] for _ in range(count)]
    before: list[list[Vertex]] = [[] for _ in range(count)]
    for source, target in edges:
        after[source].append(target)
        before[target].append(source)
    return after, before


def _longest_ways(count: int, edges: Iterable[tuple[Vertex, Vertex]]) -> list[int]:
    """How many edges the longest way to each vertex has; there is no cycle."""
    after, before = _neighbours(count, edges)
    missing = [len(sources) for sources in before]
    ready = [vertex for vertex in range(count) if not missing[vertex]]
    longest = [0] * count
    for vertex in ready:  # it grows
        for target in after[vertex]:
            longest[target] = max(longest[target], longest[vertex] + 1)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    return longest


class _Columns:
    """Vertices in columns: 0..count-1 are components, the others places of long edges. `heights`: of their middles."""

    def __init__(self, count: int, edges: Sequence[tuple[Vertex, Vertex]]) -> None:
        self.count = count
        self.column_of = _longest_ways(count, edges)
        self.chains: list[list[Vertex]] = []  # of each edge
        links: dict[tuple[Vertex, Vertex], None] = {}
        places: dict[tuple[Vertex, int], Vertex] = {}
        passes = self._passed(edges) <= PASSED_MAX
        for source, target in edges:
            between = range(self.column_of[source] + 1, self.column_of[target]) if passes else range(0)
            chain = [source, *(self._place(places, source, column) for column in between), target]
            self.chains.append(chain)
            links.update(dict.fromkeys(pairwise(chain)))
        if not passes:  # neighbours are in columns next to each other
            links = {link: None for link in links if self.column_of[link[1]] - self.column_of[link[0]] == 1}
        self.after, self.before = _neighbours(len(self.column_of), links)
        self.columns: list[list[Vertex]] = [[] for _ in range(max(self.column_of, default=-1) + 1)]
        self.heights: list[float] = []
        for vertex in self._by_depth():
            self.columns[self.column_of[vertex]].append(vertex)

    def _passed(self, edges: Iterable[tuple[Vertex, Vertex]]) -> int:
        """How many places long edges take: those of one source go together, until each leaves for its target."""
        furthest: dict[Vertex, int] = {}
        for source, target in edges:
            furthest[source] = max(furthest.get(source, 0), self.column_of[target] - self.column_of[source] - 1)
        return sum(furthest.values())

    def _place(self, places: dict[tuple[Vertex, int], Vertex], source: Vertex, column: int) -> Vertex:
        if (source, column) not in places:
            places[source, column] = len(self.column_of)
            self.column_of.append(column)
        return places[source, column]

    def _by_depth(self) -> Iterator[Vertex]:
        """What hangs together stays together: that is near to a good order already."""
        seen = [False] * len(self.column_of)
        for start in sorted(range(len(self.column_of)), key=self.column_of.__getitem__):
            stack = [start]
            while stack:
                vertex = stack.pop()
                if not seen[vertex]:
                    seen[vertex] = True
                    yield vertex
                    stack.extend(reversed(self.after[vertex]))

    @property
    def vertices(self) -> range:
        return range(len(self.column_of))

    def half(self, vertex: Vertex) -> float:
        """Of its height."""
        return (BOX_HEIGHT if vertex < self.count else PASSING_HEIGHT) / 2

    def order(self) -> None:
        """Sort each column so that few edges cross; the best of some sweeps there and back."""
        best, crossings = [list(column) for column in self.columns], self._crossings()
        for sweep in range(ORDER_SWEEPS):
            if not crossings:
                break
            columns, neighbours = (self.columns, self.before) if sweep % 2 == 0 else (self.columns[::-1], self.after)
            place = {vertex: float(i) for i, vertex in enumerate(columns[0])}
            for column in columns[1:]:
                wish = {
                    vertex: sum(place[n] for n in neighbours[vertex]) / len(neighbours[vertex])
                    if neighbours[vertex]
                    else float(i)
                    for i, vertex in enumerate(column)
                }
                column.sort(key=wish.__getitem__)
                place = {vertex: float(i) for i, vertex in enumerate(column)}
            found = self._crossings()
            if found < crossings:
                best, crossings = [list(column) for column in self.columns], found
        self.columns = best

    def _crossings(self) -> int:
        number = 0
        for column, following in pairwise(self.columns):
            place = {vertex: i for i, vertex in enumerate(following)}
            passed: list[int] = []
            for vertex in column:
                ends = sorted(place[target] for target in self.after[vertex])
                number += sum(len(passed) - bisect_right(passed, end) for end in ends)
                for end in ends:
                    insort(passed, end)
        return number

    def place(self) -> None:
        """Heights: each vertex as near to its neighbours' as the others of its column let it."""
        self.heights = [0.0] * len(self.column_of)
        for column in self.columns:
            for vertex, offset in zip(column, self._offsets(column), strict=True):
                self.heights[vertex] = offset
        for _ in range(HEIGHT_SWEEPS):
            for column in self.columns[1:]:
                self._settle(column, self.before)
            for column in self.columns[-2::-1]:
                self._settle(column, self.after)

    def _settle(self, column: Sequence[Vertex], neighbours: Sequence[Sequence[Vertex]]) -> None:
        offsets = self._offsets(column)
        wishes = []
        for vertex, offset in zip(column, offsets, strict=True):
            near = neighbours[vertex]
            wish = sum(self.heights[n] for n in near) / len(near) if near else self.heights[vertex]
            wishes.append(wish - offset)
        for vertex, offset, height in zip(column, offsets, _rising(wishes), strict=True):
            self.heights[vertex] = height + offset

    def _offsets(self, column: Sequence[Vertex]) -> list[float]:
        """How far below the first of the column each one's middle is at least."""
        found: list[float] = []
        at = 0.0
        for i, vertex in enumerate(column):
            half = self.half(vertex)
            at += half if i else 0.0
            found.append(at)
            at += half + ROW_GAP
        return found


def _rising(wishes: Iterable[float]) -> list[float]:
    """The numbers nearest to `wishes`, by squares, that never fall (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []  # sum, how many
    for wish in wishes:
        total, size = wish, 1
        while pools and pools[-1][0] / pools[-1][1] >= total / size:
            earlier, many = pools.pop()
            total, size = total + earlier, size + many
        pools.append((total, size))
    return [total / size for total, size in pools for _ in range(size)]
