from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from storm.executor.stuck import Call, GoesOn, Stuck, Watching, look


def run(*looks: tuple[float, dict[str, Call]]) -> list[Any]:
    """What is told at each look."""
    state, told = Watching(), []
    for now, calls in looks:
        state, events = look(state, calls, now)  # type: ignore[arg-type]
        told.append(events)
    return told


def test_a_call_is_told_when_it_has_lasted_for_its_limit_and_again_when_it_is_over() -> None:
    call = {"lane": Call("a", "lane", 10)}
    assert run((0, call), (9, call), (10, call), (11, call), (500, {}), (501, {})) == [
        [],
        [],
        [Stuck("lane", "lane", 10, 1)],
        [],
        [GoesOn("lane", 500)],
        [],
    ]


def test_one_call_after_the_other_is_none_that_lasts() -> None:
    assert run(*((now, {"lane": Call(now, "lane", 10)}) for now in range(0, 100, 9))) == [[]] * 12


def test_the_next_call_that_hangs_is_another_incident() -> None:
    looks = [(now, {"lane": Call(now // 20, "lane", 10)}) for now in range(0, 40, 5)]
    assert [events for events in run(*looks) if events] == [
        [Stuck("lane", "lane", 10, 1)],
        [GoesOn("lane", 20)],
        [Stuck("lane", "lane", 10, 1)],
    ]


def test_of_a_group_the_oldest_is_told_once() -> None:
    one, other = Call("a", "bolt", 10), Call("b", "bolt", 10)
    assert run(
        (0, {"x": one}), (1, {"x": one, "y": other}), (11, {"y": other, "x": one}), (12, {"y": other}), (13, {})
    ) == [[], [], [Stuck("bolt", "x", 11, 2)], [], [GoesOn("bolt", 13)]]


def test_a_call_without_a_limit_may_last() -> None:
    call = {"lane": Call("a", "lane", None)}
    assert run((0, call), (1e9, call)) == [[], []]


@given(st.lists(st.tuples(st.integers(1, 9), st.dictionaries(st.integers(0, 3), st.integers(0, 1), max_size=4))))
def test_incidents_begin_and_end_in_turn_and_only_after_the_limit(steps: list[tuple[int, dict[int, int]]]) -> None:
    limit, now, state = 10, 0, Watching()
    open_since: dict[Any, float] = {}
    since: dict[int, tuple[int, int]] = {}
    for wait, found in steps:
        now += wait
        since = {place: since[place] if since.get(place, (-1,))[0] == i else (i, now) for place, i in found.items()}
        calls = {place: Call(identity, place % 2, limit) for place, identity in found.items()}
        state, events = look(state, calls, now)  # type: ignore[arg-type]
        for event in events:
            if isinstance(event, Stuck):
                assert event.group not in open_since
                open_since[event.group] = now - event.secs
                assert event.secs == now - since[event.place][1] >= limit  # type: ignore[index]
            else:
                assert now - event.secs == open_since.pop(event.group)
        late = {place % 2 for place, (_, begun) in since.items() if now - begun >= limit}
        assert set(open_since) == late
        assert set(state.calls) == set(found)
