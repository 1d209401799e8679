from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.executor.inquiry import Holding, How, Inquiry, failure_of, summary
from storm.executor.pending import FailedTree
from storm.topology.failures import Failure


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no")


COMPONENTS = {1: "spout", 4: "split", 5: "count", 6: "count"}
LATE = FailedTree("id", 77, "timeout", 0)


def told(inquiry: Inquiry | None, tree: FailedTree = LATE) -> Failure:
    return failure_of(tree, inquiry, COMPONENTS, "the worker at b:6700 died", 30)


def inquiry(*own: Holding, asked: tuple[str, ...] = ()) -> Inquiry:
    found = Inquiry(own, due=10.0)
    found.asked(asked)
    return found


def test_a_bolt_that_failed_a_tuple_is_named() -> None:
    assert told(None, FailedTree("id", 77, "failed", 5)) == Failure("failed", "count", "'count' (task 5) failed it")


@pytest.mark.parametrize("by", [0, 9, (1 << 64) - 1])
def test_a_task_that_there_is_not_is_nobody(by: int) -> None:
    assert told(None, FailedTree("id", 77, "failed", by)) == Failure("failed", None, "a bolt failed it")


def test_a_worker_that_died_is_named() -> None:
    assert told(None, FailedTree("id", 77, "worker-died", 0)) == Failure(
        "worker-died", None, "the worker at b:6700 died"
    )


def test_where_nobody_was_asked_a_timeout_says_only_that() -> None:
    assert told(None) == Failure("timeout", None, "not done within topology.message.timeout.secs (30)")


@pytest.mark.parametrize(
    ("how", "words"),
    [(How.TAKEN, "'count' (task 5) was given it"), (How.QUEUED, "it waits in the queue of 'count' (task 5)")],
)
def test_who_holds_it_is_named(how: How, words: str) -> None:
    kind, component, text = told(inquiry(Holding(77, 5, how), Holding(78, 4, How.TAKEN)))
    assert (kind, component) == ("timeout", "count")
    assert words in text


def test_the_code_that_was_given_a_part_is_named_before_a_queue_wherever_it_is() -> None:
    question = inquiry(Holding(77, 4, How.QUEUED), asked=("b:1",))
    question.answer("b:1", [Holding(77, 5, How.TAKEN)])
    question.answer("b:1", [Holding(77, 4, How.QUEUED)])
    assert told(question).component == "count"


def test_a_worker_that_does_not_answer_may_hold_it() -> None:
    failure = told(inquiry(asked=("b:1", "c:2")))
    assert failure.component is None
    assert "no answer from b:1, c:2" in failure.text


@pytest.mark.parametrize(("dropped", "component"), [([5], "count"), ([5, 6], "count"), ([4, 5], None)])
def test_components_that_forget_to_ack_are_suspected(dropped: list[int], component: str | None) -> None:
    failure = told(inquiry(*(Holding(0, task, How.DROPPED) for task in dropped)))
    assert failure.component == component
    assert "without an ack or a fail" in failure.text
    assert "'count'" in failure.text


def test_what_nobody_holds_was_lost() -> None:
    failure = told(inquiry(Holding(77, 99, How.TAKEN)))  # of a task that there is not
    assert failure.component is None
    assert "lost on the way" in failure.text


def test_it_is_over_when_all_have_answered_or_when_it_is_time() -> None:
    question = Inquiry([], due=10.0)
    question.answer("b:1", [])  # quicker than the question was noted
    question.asked(["b:1", "c:2"])
    assert not question.is_over(9.9)
    assert question.is_over(10.0)
    question.answer("c:2", [])
    assert question.is_over(0.0)


@given(st.permutations([Holding(77, 4, How.QUEUED), Holding(77, 5, How.TAKEN), Holding(0, 6, How.DROPPED)]))
def test_the_order_of_answers_changes_nothing(holdings: list[Holding]) -> None:
    question = inquiry(asked=("a", "b", "c"))
    for worker, holding in zip("abc", holdings, strict=True):
        question.answer(worker, [holding])
    assert question.holding(77) == Holding(77, 5, How.TAKEN)
    assert question.suspects() == [6]


@given(st.permutations([*(Holding(root, 5, How.TAKEN) for root in (77, 78, 79)), Holding(77, 4, How.TAKEN)]))
def test_of_several_that_were_given_a_part_the_one_that_takes_longest_is_named(holdings: list[Holding]) -> None:
    question = inquiry(asked=("a", "b", "c", "d"))
    for worker, holding in zip("abcd", holdings, strict=True):
        question.answer(worker, [holding])
    assert question.holding(77) == Holding(77, 5, How.TAKEN)


@given(st.permutations([Holding(77, 4, How.TAKEN), Holding(77, 5, How.TAKEN), Holding(77, 5, How.TAKEN)]))
def test_between_equals_the_order_of_answers_changes_nothing(holdings: list[Holding]) -> None:
    question = inquiry(*holdings)
    assert question.holding(77) == Holding(77, 4, How.TAKEN)


def test_an_answer_that_comes_while_another_thread_reads_is_no_trouble() -> None:
    question = inquiry(Holding(77, 4, How.TAKEN))
    read = question.holding(77)
    done = threading.Event()

    def answer() -> None:
        for task in range(5, 3_000):
            question.answer("b", [Holding(77, task, How.TAKEN)])
        done.set()

    thread = threading.Thread(target=answer)
    thread.start()
    while not done.is_set():
        assert question.holding(77) == read
    thread.join()


def test_people_are_told_of_each_component_once() -> None:
    by_count, lost = Failure("timeout", "count", "held by count"), Failure("timeout", None, "lost")
    failures = [(1, by_count), (2, Failure("failed", "split", "no")), (3, by_count), ([4], lost)]
    assert summary(failures, "spout") == {
        "count": "2 tuples of spout 'spout' timed out, one of them 1: held by count",
        "spout": "1 tuple of spout 'spout' timed out, with id [4]: lost",
    }
    [text] = summary([(Unspeakable(), lost)], "spout").values()
    assert "Unspeakable" in text
    [text] = summary([("x" * 10_000, lost)], "spout").values()
    assert len(text) < 200
