"""Each grouping's law."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.executor.canonical_hash import canonical_hash
from storm.executor.groupings import (
    CACHED_KEYS_MAX,
    CachedFieldsChoice,
    CustomChoice,
    FieldsChoice,
    PartialKeyChoice,
    RandomChoice,
    TargetChoice,
    make_choice,
)
from storm.topology.component import CustomGrouping
from storm.topology.structure import Grouping, GroupingKind

FIELDS = ("key", "number")
counts = st.integers(1, 12)


def choice(
    kind: GroupingKind, count: int, *, fields: tuple[str, ...] = (), local: tuple[int, ...] = (), seed: int = 1
) -> TargetChoice:
    targets = range(10, 10 + count)
    return make_choice(Grouping(kind, fields), targets, {10 + i for i in local}, FIELDS, Random(seed))


@given(count=counts, seed=st.integers(), rounds=st.integers(1, 5))
def test_shuffle_is_fair_in_every_round(count: int, seed: int, rounds: int) -> None:
    shuffle = choice(GroupingKind.SHUFFLE, count, seed=seed)
    chosen = [shuffle.choose(["a", 1]) for _ in range(count * rounds)]
    assert Counter(chosen) == dict.fromkeys(range(count), rounds)
    assert chosen[:count] * rounds == chosen


def test_shuffle_of_different_senders_begins_at_different_tasks() -> None:
    assert len({choice(GroupingKind.SHUFFLE, 8, seed=seed).choose(["a", 1]) for seed in range(50)}) > 4


@given(count=counts, keys=st.lists(st.text() | st.integers() | st.lists(st.integers(), max_size=2), min_size=1))
def test_fields_sends_equal_keys_of_all_senders_to_one_task(count: int, keys: list[Any]) -> None:
    one, other = (choice(GroupingKind.FIELDS, count, fields=("key",), seed=seed) for seed in (1, 2))
    assert isinstance(other, TargetChoice)
    first = [one.choose([key, i]) for i, key in enumerate(keys)]
    again = [other.choose([key, -i]) for i, key in reversed(list(enumerate(keys)))]
    assert first == again[::-1]
    assert all(0 <= position < count for position in first)
    if count > 1:
        assert first == [canonical_hash(key) % count for key in keys]


def test_fields_follows_the_named_fields_and_their_order() -> None:
    both = choice(GroupingKind.FIELDS, 1000, fields=("number", "key"))
    assert both.choose(["a", 1]) == canonical_hash([1, "a"]) % 1000
    assert both.choose(["a", 1]) == both.choose(["a", True]) == both.choose(("a", 1.0))
    assert both.choose(["a", 1]) != both.choose(["a", 2])


def test_fields_without_fields_is_global() -> None:
    assert {choice(GroupingKind.FIELDS, 5).choose([i, i]) for i in range(20)} == {0}


class Loose(str):
    """Equal to what differs by case only: a dict would take one for the other."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    def __hash__(self) -> int:
        return hash(self.lower())


NAN = float("nan")
odd_keys = st.sampled_from(
    [
        "a",
        "A",
        Loose("A"),
        Loose("a"),
        b"a",
        1,
        1.0,
        True,
        Decimal(1),
        0,
        -0.0,
        False,
        None,
        NAN,
        -NAN,
        Decimal("NaN"),
        "x" * 1000,
        10**3000,
        ["a"],
        ("a",),
    ]
)


@given(keys=st.lists(st.tuples(odd_keys, odd_keys)), fields=st.sampled_from([(0,), (1,), (0, 1), (1, 0)]))
def test_what_is_remembered_changes_no_choice(keys: list[tuple[Any, Any]], fields: tuple[int, ...]) -> None:
    plain, cached = FieldsChoice(fields, 1000, FIELDS), CachedFieldsChoice(fields, 1000, FIELDS)
    for values in keys:
        assert cached.choose(values) == plain.choose(values)


def test_a_bounded_number_of_keys_is_remembered_and_the_hot_ones_longest() -> None:
    cached = CachedFieldsChoice([0], 7, FIELDS)
    for i in range(3 * CACHED_KEYS_MAX):
        cached.choose([i, i])
        cached.choose(["hot", i])
        assert "hot" in cached.recent or "hot" in cached.older
        assert len(cached.recent) <= CACHED_KEYS_MAX
        assert len(cached.older) <= CACHED_KEYS_MAX


@pytest.mark.parametrize("key", ["x" * 1000, b"x" * 1000, 10**3000])
def test_long_keys_are_not_remembered(key: Any) -> None:
    for cached in (CachedFieldsChoice([0], 7, FIELDS), CachedFieldsChoice([0, 1], 7, FIELDS)):
        cached.choose([key, 1])
        assert not cached.recent


@pytest.mark.parametrize("kind", [GroupingKind.FIELDS, GroupingKind.PARTIAL_KEY])
@pytest.mark.parametrize("fields", [("number",), ("key", "number")])
def test_a_key_without_a_hash_is_refused_by_name(kind: GroupingKind, fields: tuple[str, ...]) -> None:
    grouping = Grouping(kind, fields)
    chosen = make_choice(grouping, [1, 2], [], FIELDS, Random(1), "component 'a' emitted on stream 'b', to 'c': ")
    with pytest.raises(
        TypeError, match=r"^component 'a' .* stream 'b', to 'c': no task can be chosen by field 'number', a list: a obj"
    ):
        chosen.choose(["fine", [object()]])


@given(count=counts)
def test_all_chooses_every_task(count: int) -> None:
    assert list(choice(GroupingKind.ALL, count).choose_many(["a", 1])) == list(range(count))


@given(count=counts)
def test_global_chooses_the_lowest_task(count: int) -> None:
    assert {choice(GroupingKind.GLOBAL, count).choose([i, i]) for i in range(10)} == {0}


def test_none_chooses_by_chance_among_all() -> None:
    none = choice(GroupingKind.NONE, 4)
    found = Counter(none.choose(["a", 1]) for _ in range(400))
    assert set(found) == {0, 1, 2, 3}
    assert min(found.values()) > 50


@given(count=counts, data=st.data(), seed=st.integers())
def test_local_or_shuffle_stays_in_the_worker_where_it_can(count: int, data: Any, seed: int) -> None:
    local = data.draw(st.sets(st.integers(0, count - 1)))
    grouping = choice(GroupingKind.LOCAL_OR_SHUFFLE, count, local=tuple(local), seed=seed)
    allowed = local or set(range(count))
    found = Counter(grouping.choose(["a", 1]) for _ in range(3 * len(allowed)))
    assert found == dict.fromkeys(allowed, 3)


@given(count=st.integers(2, 12), keys=st.lists(st.text(max_size=3), min_size=1, max_size=60))
def test_partial_key_uses_two_candidates_of_a_key_and_the_less_used_one(count: int, keys: list[str]) -> None:
    partial = choice(GroupingKind.PARTIAL_KEY, count, fields=("key",))
    used = [0] * count
    for key in keys:
        number = canonical_hash(key)
        first, second = number % count, (number >> 32) % count
        second = second if second != first else (first + 1) % count
        chosen = partial.choose([key, 0])
        assert chosen == (first if used[first] <= used[second] else second)
        used[chosen] += 1


def test_partial_key_without_fields_uses_all_of_them() -> None:
    partial = choice(GroupingKind.PARTIAL_KEY, 1000)
    number = canonical_hash(["a", 1])
    assert isinstance(partial, PartialKeyChoice)
    assert {partial.choose(["a", 1]) for _ in range(2)} == {number % 1000, (number >> 32) % 1000}


def test_none_stays_below_a_lowered_count() -> None:
    none = choice(GroupingKind.NONE, 4)
    assert isinstance(none, RandomChoice)
    none.count = 2
    assert {none.choose(["a", 1]) for _ in range(100)} == {0, 1}


class Everyone(CustomGrouping):
    def choose_tasks(self, task_id: int, values: Any) -> list[int]:
        return [task for task in self.target_tasks if task != values[0]]


def test_custom_chooses_tasks_by_id() -> None:
    grouping = Everyone()
    grouping.target_tasks = [10, 12, 14]
    custom = CustomChoice(grouping, 3, [10, 12, 14])
    assert list(custom.choose_many([12])) == [0, 2]
    grouping.target_tasks = [10, 99]
    with pytest.raises(ValueError, match=r"Everyone.choose_tasks chose task 99, .* \[10, 12, 14\]"):
        custom.choose_many([12])


class Answer(CustomGrouping):
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def choose_tasks(self, task_id: int, values: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, r"returned None, a NoneType, not a list of task ids"),
        (10, r"returned 10, a int, not a list of task ids"),
        ("10", r"returned '10', a str, not a list of task ids"),
        ([10, 99], r"chose task 99, which is none of its targets \[10, 12\]"),
        ([10, [12]], r"chose task \[12\], which is none of its targets \[10, 12\]"),
        (["12"], r"chose task '12', which is none of its targets \[10, 12\]"),
    ],
)
def test_a_wrong_answer_of_a_custom_grouping_names_it(answer: Any, message: str) -> None:
    custom = CustomChoice(Answer(answer), 3, [10, 12], "component 'a': ")
    with pytest.raises(ValueError, match=f"^component 'a': Answer.choose_tasks {message}$"):
        custom.choose_many(["a"])


def test_any_iterable_of_tasks_is_an_answer() -> None:
    for answer in [(12, 10), iter([12, 10]), {12: 0, 10: 0}]:
        assert list(CustomChoice(Answer(answer), 3, [10, 12]).choose_many(["a"])) == [1, 0]
    assert list(CustomChoice(Answer([]), 3, [10, 12]).choose_many(["a"])) == []


def test_an_error_of_a_custom_grouping_stays_what_it_is_and_says_where() -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        CustomChoice(Answer(error), 3, [10, 12], "component 'a': ").choose_many(["a"])
    assert caught.value is error
    assert error.__notes__ == ["component 'a': raised by Answer.choose_tasks"]
