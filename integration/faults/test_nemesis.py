"""Schedules: drawn from seeds, healed, apart from each other, the same when read again."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nemesis import (
    Drawable,
    Event,
    Shape,
    Terms,
    clashes,
    draw,
    from_json,
    length_secs,
    may_overlap,
    steps,
    targets,
    to_json,
)

SHAPES = st.builds(
    Shape,
    st.sampled_from([("a", "b"), ("a", "b", "c")]),
    st.sampled_from([("nimbus",), ("nimbus-1", "nimbus-2")]),
    st.sampled_from([("zookeeper",), ("zookeeper-1", "zookeeper-2", "zookeeper-3")]),
    st.integers(1, 5),
)
KINDS = ["cluster", "topology", "worker", "host", "nimbus", "zookeeper", "link"]
SPANS = st.tuples(st.floats(0, 5), st.floats(0, 5)).map(lambda pair: (min(pair), max(pair)))
FAULTS = st.lists(
    st.builds(
        Drawable, st.text("abc-", min_size=1, max_size=8), st.sampled_from(KINDS), SPANS,
        st.none() | st.frozensets(st.sampled_from(["workers", "hosts", "nimbus", "links"]), max_size=2),
    ),
    min_size=1, max_size=6, unique_by=lambda fault: fault.name,
)  # fmt: skip
GAPS = SPANS


@given(st.integers(0, 2**31), st.integers(0, 30), FAULTS, SHAPES, GAPS)
def test_the_same_seed_gives_the_same_schedule(
    seed: int, count: int, faults: list[Drawable], shape: Shape, gaps: tuple[float, float]
) -> None:
    assert draw(seed, count, faults, shape, gaps) == draw(seed, count, list(faults), shape, gaps)


def test_another_seed_gives_another_schedule() -> None:
    faults = [Drawable("worker-killed", "worker"), Drawable("link-cut", "link", (1.0, 9.0))]
    assert len({str(draw(seed, 8, faults, Shape(), (1.0, 5.0))) for seed in range(20)}) == 20


@given(st.integers(0, 2**31), st.integers(0, 30), FAULTS, SHAPES, GAPS)
def test_events_keep_their_gaps_and_hit_what_is_there(
    seed: int, count: int, faults: list[Drawable], shape: Shape, gaps: tuple[float, float]
) -> None:
    by_name = {fault.name: fault for fault in faults}
    events = draw(seed, count, faults, shape, gaps)
    assert len(events) == count
    before = 0.0
    for event in events:
        fault = by_name[event.fault]
        assert gaps[0] - 0.001 <= event.at - before <= gaps[1] + 0.001
        assert fault.seconds[0] - 0.001 <= event.seconds <= fault.seconds[1] + 0.001
        assert event.target in targets(fault.target, shape)
        before = event.until
    assert length_secs(events) == before


@given(st.integers(0, 2**31), FAULTS, st.integers(1, 3))
def test_every_fault_comes_before_any_comes_again(seed: int, faults: list[Drawable], times: int) -> None:
    events = draw(seed, times * len(faults), faults, Shape(), (1.0, 1.0))
    for i in range(times):
        part = events[i * len(faults) : (i + 1) * len(faults)]
        assert sorted(event.fault for event in part) == sorted(fault.name for fault in faults)


@given(st.integers(0, 2**31), FAULTS, st.data())
def test_what_has_to_be_among_them_always_is_and_in_any_place(
    seed: int, faults: list[Drawable], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, 2 * len(faults)))
    names = st.sampled_from([fault.name for fault in faults])
    always = tuple(data.draw(st.lists(names, max_size=min(count, len(faults)), unique=True)))
    events = draw(seed, count, faults, Shape(), (1.0, 1.0), Terms(always))
    first = [event.fault for event in events[: len(faults)]]
    assert set(always) <= set(first)
    assert len(set(first)) == len(first) == min(count, len(faults))


def test_what_has_to_be_among_them_comes_first_and_last() -> None:
    faults = [Drawable(name, "worker") for name in "abcdefgh"]
    drawn = [draw(seed, 3, faults, Shape(), (1.0, 1.0), Terms(("h",))) for seed in range(40)]
    assert {[event.fault for event in events].index("h") for events in drawn} == {0, 1, 2}
    assert len({event.fault for events in drawn for event in events}) == len(faults)


@given(st.integers(0, 2**31))
def test_a_schedule_may_have_to_be_over_in_time(seed: int) -> None:
    faults = [Drawable("short", "worker"), Drawable("long", "host", (8.0, 16.0))]
    events = draw(seed, 2, faults, Shape(), (1.0, 2.0), Terms(secs_max=12.0))
    assert length_secs(events) <= 12.0


@given(st.integers(0, 2**31), st.integers(0, 30), FAULTS, SHAPES, GAPS)
def test_every_event_begins_once_and_is_healed_once_afterwards(
    seed: int, count: int, faults: list[Drawable], shape: Shape, gaps: tuple[float, float]
) -> None:
    events = draw(seed, count, faults, shape, gaps)
    active: list[int] = []
    ended: list[int] = []
    now = 0.0
    for step in steps(events):
        assert step.at >= now
        now = step.at
        if step.heals:
            active.remove(step.number)
            ended.append(step.number)
        else:
            active.append(step.number)
        assert len(active) <= 1
    assert ended == list(range(count))


@given(st.integers(0, 2**31), st.integers(0, 30), FAULTS, SHAPES, st.floats(0, 1))
def test_two_at_once_at_most_and_only_those_that_bear_one_another(
    seed: int, count: int, faults: list[Drawable], shape: Shape, overlap: float
) -> None:
    by_name = {fault.name: fault for fault in faults}
    events = draw(seed, count, faults, shape, (1.0, 2.0), Terms(overlap=overlap))
    assert clashes(events, by_name) == []
    active: list[int] = []
    for step in steps(events):
        if step.heals:
            active.remove(step.number)
        else:
            active.append(step.number)
        assert len(active) <= 2
    assert active == []
    for one, other in pairwise(events):
        assert one.at <= other.at <= one.until or other.at >= one.until + 1.0 - 0.001


def test_of_faults_that_bear_one_another_as_many_overlap_as_may() -> None:
    faults = [
        Drawable("worker-paused", "worker", (5.0, 5.0), frozenset({"workers"})),
        Drawable("link-cut", "link", (5.0, 5.0), frozenset({"links"})),
        Drawable("nimbus-killed", "nimbus", (5.0, 5.0), frozenset({"nimbus"})),
        Drawable("rebalanced", "topology", (5.0, 5.0)),
    ]
    for seed in range(20):
        events = draw(seed, 40, faults, Shape(), (1.0, 1.0), Terms(overlap=1.0))
        inner = [other for one, other in pairwise(events) if other.at < one.until]
        assert len(inner) >= 10, "one of three bears each of the others"
        assert "rebalanced" not in {event.fault for event in inner}
        assert {event.fault for event in events[:4]} == {fault.name for fault in faults}
    alone = draw(1, 40, faults, Shape(), (1.0, 1.0))
    assert all(other.at == one.until + 1.0 for one, other in pairwise(alone))


@given(*[st.builds(Drawable, st.just("f"), st.sampled_from(KINDS), SPANS, st.just(frozenset({"workers"})))] * 2)
def test_what_takes_the_same_or_hits_the_same_kind_never_overlaps(one: Drawable, other: Drawable) -> None:
    assert not may_overlap(one, other)
    apart = other._replace(takes=frozenset({"links"}))
    assert may_overlap(one, apart) == may_overlap(apart, one) == (one.target != other.target)
    assert not may_overlap(one, other._replace(takes=None))


def test_those_of_a_schedule_that_may_not_overlap_are_named() -> None:
    kinds = {name: Drawable(name, name, (1.0, 1.0), frozenset({name})) for name in ("link", "nimbus")}
    cut, killed, again = (
        Event(1.0, "link", "a-b", 5.0),
        Event(2.0, "nimbus", "nimbus", 1.0),
        Event(5.0, "link", "b-a", 1),
    )
    assert clashes([cut, killed], kinds) == []
    assert clashes([cut, killed, again], kinds) == [(cut, again)]
    assert clashes([cut, again._replace(at=cut.until)], kinds) == []


@given(st.integers(0, 2**31), st.integers(0, 10), FAULTS, SHAPES, st.floats(0, 1))
def test_a_schedule_is_the_same_when_it_is_read_again(
    seed: int, count: int, faults: list[Drawable], shape: Shape, overlap: float
) -> None:
    events = draw(seed, count, faults, shape, (1.0, 2.0), Terms(overlap=overlap))
    assert from_json(to_json(seed, shape, events)) == (seed, shape, events)


GOOD = json.loads(to_json(1, Shape(), [Event(1.0, "f", "all", 2.0), Event(4.0, "g", "all", 0.0)]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({**GOOD, "format": 99}),
        json.dumps({**GOOD, "events": [{"at": 1.0}]}),
        json.dumps({**GOOD, "events": [{**GOOD["events"][0], "seconds": -1.0}]}),
        json.dumps({**GOOD, "events": [{**GOOD["events"][0], "at": float("nan")}]}),
        json.dumps({**GOOD, "events": list(reversed(GOOD["events"]))}),
        json.dumps({**GOOD, "events": [GOOD["events"][0], {**GOOD["events"][1], "at": 0.5}]}),
        json.dumps(
            {**GOOD, "events": [GOOD["events"][0], {**GOOD["events"][0], "at": 1.5}, GOOD["events"][0] | {"at": 2}]}
        ),
    ],
)
def test_a_file_that_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(text)


def test_nothing_to_draw_from_or_to_hit_is_refused() -> None:
    with pytest.raises(ValueError, match="no fault to draw from"):
        draw(1, 1, [], Shape(), (1.0, 1.0))
    with pytest.raises(ValueError, match="link-cut cannot always be among 2 faults"):
        draw(1, 2, [Drawable("worker-killed", "worker")], Shape(), (1.0, 1.0), Terms(("link-cut",)))
    with pytest.raises(ValueError, match=r"no schedule of 2 faults was found that is over within 1\.5 s"):
        draw(1, 2, [Drawable("worker-killed", "worker")], Shape(), (1.0, 1.0), Terms(secs_max=1.5))
    with pytest.raises(ValueError, match="link-cut has nothing to hit"):
        draw(1, 1, [Drawable("link-cut", "link")], Shape(hosts=("a",)), (1.0, 1.0))
