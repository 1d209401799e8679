from __future__ import annotations

from storm.errors import NimbusUnreachableError
from storm.ui.nimbus_answers import Answer, Answers, Silence

GONE = NimbusUnreachableError("nothing listens")


def test_an_answer_is_kept_for_its_time() -> None:
    answers = Answers(keep_secs=2.0)
    assert answers.get("call", 10.0) is None
    answers.put("call", Answer("value"), answers.generation, 10.0)
    assert answers.get("call", 11.9) == Answer("value")
    assert answers.get("call", 12.0) is None
    assert answers.get("another", 10.0) is None


def test_after_a_change_nothing_older_is_told() -> None:
    answers = Answers()
    answers.put("call", Answer("before"), answers.generation, 10.0)
    asked_at = answers.generation
    answers.changed()
    assert answers.get("call", 10.0) is None
    answers.put("call", Answer("asked before the change"), asked_at, 10.1)
    assert answers.get("call", 10.1) is None
    answers.put("call", Answer("asked after it"), answers.generation, 10.2)
    assert answers.get("call", 10.2) == Answer("asked after it")


def test_only_so_many_answers_are_kept_the_newest() -> None:
    answers = Answers(keep_secs=100.0, count_max=3)
    for number in range(5):
        answers.put(number, Answer(number), answers.generation, 10.0 + number)
    assert [answers.get(number, 15.0) for number in range(5)] == [None, None, Answer(2), Answer(3), Answer(4)]


def test_answers_whose_time_is_over_take_no_room() -> None:
    answers = Answers(keep_secs=2.0, count_max=2)
    answers.put("old", Answer(0), answers.generation, 10.0)
    answers.put("young", Answer(1), answers.generation, 11.5)
    answers.put("new", Answer(2), answers.generation, 12.0)
    assert answers.get("young", 12.0) == Answer(1)


def test_while_nimbus_is_silent_one_call_at_a_time_tries() -> None:
    silence = Silence(retry_secs=2.0)
    assert silence.may_try(10.0)
    assert silence.may_try(10.0)
    silence.failed(GONE, 11.0, 1_000)
    assert not silence.may_try(12.9)
    assert silence.may_try(13.0)
    assert not silence.may_try(13.0)
    silence.failed(NimbusUnreachableError("still nothing"), 14.0, 1_003)
    assert (silence.since_wall_secs, str(silence.error)) == (1_000, "still nothing")
    assert silence.may_try(16.0)
    silence.heard()
    assert silence.error is None
    assert silence.may_try(16.0)
    assert silence.may_try(16.0)
