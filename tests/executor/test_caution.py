from __future__ import annotations

import pytest

from storm.executor.caution import CAREFUL_SECS, ID_CHARS_MAX, Caution, Suspect, is_enough, suspect_of
from storm.ids import ExecutorId

ONE, OTHER = ExecutorId(1, 1), ExecutorId(2, 2)
A, B = ("spout", "1"), ("spout", "2")


def caution(saved: list[dict[Suspect, int]], seen: dict[Suspect, int] | None = None) -> Caution:
    return Caution(2, seen or {}, lambda suspects: saved.append(dict(suspects)))


def test_it_lasts_a_while_from_the_first_spout_on_if_one_gives_up() -> None:
    one = caution([])
    one.join(ONE, gives_up=False)
    assert not one.is_on(0.0)
    one.join(OTHER, gives_up=True)
    assert one.is_on(1000.0)
    one.begin(1000.0)
    one.begin(1001.0)
    assert one.is_on(1000.0 + CAREFUL_SECS - 0.1)
    assert not one.is_on(1000.0 + CAREFUL_SECS)


def test_what_is_emitted_is_noted_before_and_what_is_acked_is_no_suspect() -> None:
    saved: list[dict[Suspect, int]] = []
    one = caution(saved, {A: 2})
    one.emits(A)
    assert saved == [{A: 3}]
    one.ended(A, acked=True)
    one.emits(B)
    assert saved[1:] == [{}, {B: 1}]
    assert (one.seen(A), one.seen(B)) == (0, 1)


def test_what_failed_while_the_worker_lives_is_as_suspect_as_before() -> None:
    saved: list[dict[Suspect, int]] = []
    one = caution(saved, {A: 2})
    for _ in range(2):
        one.emits(A)
        one.emits(B)
        one.ended(A, acked=False)
        one.ended(A, acked=False)  # it is told again
        one.ended(B, acked=False)
    assert saved[-1] == {A: 2}
    assert one.suspects("spout") == {"1": 2}
    assert one.suspects("other") == {}


def test_what_is_let_go_while_the_worker_lives_is_as_suspect_as_before() -> None:
    saved: list[dict[Suspect, int]] = []
    one = caution(saved, {A: 2})
    one.emits(A)
    one.emits(B)
    one.let_go()
    assert saved[-1] == {A: 2}
    one.let_go()
    assert len(saved) == 4, "nothing was under way"


def test_it_is_never_on_where_a_spout_cannot_take_part() -> None:
    one = caution([])
    one.call_off()
    one.join(ONE, gives_up=True)
    assert not one.is_on(0.0)


def test_spouts_take_turns() -> None:
    one = caution([])
    for executor in (ONE, OTHER):
        one.join(executor, gives_up=True)
    assert one.take_turn(ONE, yields=True)
    assert not one.take_turn(OTHER, yields=False)
    assert one.take_turn(ONE, yields=True), "its turn is not over"
    one.end_turn(OTHER)
    assert not one.take_turn(OTHER, yields=False)
    one.end_turn(ONE)
    assert not one.take_turn(ONE, yields=True)
    assert one.take_turn(OTHER, yields=True)


def test_who_is_alone_yields_to_nobody() -> None:
    one = caution([])
    one.join(ONE, gives_up=True)
    for _ in range(2):
        assert one.take_turn(ONE, yields=True)
        one.end_turn(ONE)


@pytest.mark.parametrize(("attempts", "seen"), [(1, 1), (2, 2), (3, 2), (4, 2), (5, 3), (10, 8)])
def test_deaths_before_anybody_looked_count_but_it_was_seen_twice(attempts: int, seen: int) -> None:
    assert is_enough(seen, attempts)
    assert not is_enough(seen - 1, attempts)


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("a user's own")


def test_a_message_is_known_again_by_the_text_of_its_id() -> None:
    assert suspect_of("spout", ("orders", 7)) == ("spout", "('orders', 7)")
    assert suspect_of("spout", "x" * ID_CHARS_MAX) is None
    assert suspect_of("spout", Unspeakable()) is None
