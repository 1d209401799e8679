from __future__ import annotations

from itertools import combinations, pairwise
from random import Random  # noqa: TC003 - Hypothesis reads annotations

from hypothesis import given
from hypothesis import strategies as st

from storm.ui.pages.graph_layout import (
    BOX_HEIGHT,
    BOX_WIDTH,
    COLUMN_GAP,
    MARGIN,
    PASSED_MAX,
    ROW_GAP,
    Edge,
    Layout,
    Point,
    layout,
)

NAMES = [f"c{number}" for number in range(12)]
EDGES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=30)
NEARLY = 0.2  # pixels: points are rounded to tenths


def crosses_a_box(one: Layout, edge: Edge) -> bool:
    """Whether the edge touches the box of a component that is not one of its ends."""
    route = one.routes[edge]
    others = [box for name, box in one.boxes.items() if name not in edge]
    passing = list(zip(route[1::2], route[2::2], strict=False))  # straight, through a column
    return any(
        begin.x < box.x + BOX_WIDTH and box.x < end.x and box.y < begin.y < box.y + BOX_HEIGHT
        for begin, end in ((min(pair), max(pair)) for pair in passing)
        for box in others
    )


@given(EDGES)
def test_edges_go_to_the_right_but_those_that_close_a_cycle(edges: list[Edge]) -> None:
    found = layout(NAMES, edges)
    for source, target in found.routes:
        columns = found.columns[source], found.columns[target]
        assert columns[0] > columns[1] if (source, target) in found.back else columns[0] < columns[1]


@given(EDGES)
def test_without_a_cycle_no_edge_goes_back(edges: list[Edge]) -> None:
    onward = [edge for edge in edges if NAMES.index(edge[0]) < NAMES.index(edge[1])]
    assert layout(NAMES, onward).back == frozenset()


@given(EDGES)
def test_a_component_is_one_column_behind_the_last_that_feeds_it(edges: list[Edge]) -> None:
    found = layout(NAMES, edges)
    for name, column in found.columns.items():
        feeding = [found.columns[s] for s, t in found.routes if t == name and (s, t) not in found.back]
        feeding += [found.columns[t] for s, t in found.routes if s == name and (s, t) in found.back]
        assert column == max(feeding, default=-1) + 1


@given(EDGES)
def test_no_two_boxes_overlap_and_all_are_within_the_drawing(edges: list[Edge]) -> None:
    found = layout(NAMES, edges)
    for (one, box), (other, another) in combinations(found.boxes.items(), 2):
        if found.columns[one] == found.columns[other]:
            assert abs(box.y - another.y) >= BOX_HEIGHT + ROW_GAP - NEARLY
        else:
            assert abs(box.x - another.x) >= BOX_WIDTH + COLUMN_GAP
    for x, y in found.boxes.values():
        assert 0 < x < found.width - BOX_WIDTH
        assert 0 < y < found.height - BOX_HEIGHT


@given(EDGES)
def test_edges_begin_and_end_at_their_boxes_and_cross_no_other(edges: list[Edge]) -> None:
    found = layout(NAMES, edges)
    for (source, target), route in found.routes.items():
        ends = (found.boxes[source], route[0]), (found.boxes[target], route[-1])
        for box, point in ends:
            assert point.x in {box.x, box.x + BOX_WIDTH}
            assert box.y < point.y < box.y + BOX_HEIGHT
        for begin, end in zip(route[::2], route[1::2], strict=True):
            assert abs(begin.x - end.x) == COLUMN_GAP
        assert not crosses_a_box(found, (source, target))


@given(EDGES, st.randoms(use_true_random=False))
def test_the_same_graph_gives_the_same_drawing_in_whatever_order_it_is_told(edges: list[Edge], rng: Random) -> None:
    told, names = list(edges), list(NAMES)
    rng.shuffle(told)
    rng.shuffle(names)
    assert layout(names, told + told) == layout(NAMES, edges)


def test_a_chain_is_one_straight_line() -> None:
    found = layout("abcd", pairwise("abcd"))
    assert {point.y for point in found.boxes.values()} == {MARGIN}
    assert [found.columns[name] for name in "abcd"] == [0, 1, 2, 3]
    assert {point.y for route in found.routes.values() for point in route} == {MARGIN + BOX_HEIGHT / 2}


def test_an_order_without_crossings_is_found() -> None:
    """Told by name, a's edge would cross b's."""
    found = layout("abcd", [("a", "d"), ("b", "c")])
    assert (found.boxes["a"].y < found.boxes["b"].y) == (found.boxes["d"].y < found.boxes["c"].y)


def test_an_edge_past_a_column_goes_around_what_stands_there() -> None:
    found = layout("abc", [("a", "b"), ("b", "c"), ("a", "c")])
    begin, passing, passed, end = found.routes["a", "c"]
    assert passing.y == passed.y
    assert not found.boxes["b"].y - 1 < passing.y < found.boxes["b"].y + BOX_HEIGHT + 1
    assert (begin.x, end.x) == (found.boxes["a"].x + BOX_WIDTH, found.boxes["c"].x)


def test_a_cycle_has_one_edge_that_goes_back_below_the_others() -> None:
    found = layout("ab", [("a", "b"), ("b", "a")])
    assert found.back == {("b", "a")}
    onward, back = found.routes["a", "b"], found.routes["b", "a"]
    assert (back[0].x, back[-1].x) == (onward[-1].x, onward[0].x)
    assert back[0].y > onward[0].y


def test_what_is_not_there_and_what_feeds_itself_has_no_route() -> None:
    found = layout(["a"], [("a", "a"), ("a", "gone"), ("gone", "a")])
    assert (found.routes, found.boxes) == ({}, {"a": Point(MARGIN, MARGIN)})


def test_nothing_is_a_drawing_too() -> None:
    assert layout([], []).boxes == {}


def test_of_a_huge_graph_long_edges_run_straight() -> None:
    count = PASSED_MAX + 3
    names = [f"{number:04}" for number in range(count)]
    found = layout(names, [*pairwise(names), (names[0], names[-1])])
    assert len(found.routes[names[0], names[-1]]) == 2
    assert len(set(found.columns.values())) == count
