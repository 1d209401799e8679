from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from storm.errors import CoordinationError, StormError
from storm.nimbus.inbox import Inbox


def test_a_request_is_run_by_the_owner_and_answered() -> None:
    inbox = Inbox(10)
    answers: list[object] = []
    owner = threading.get_ident()
    caller = threading.Thread(target=lambda: answers.append(inbox.call(lambda: threading.get_ident() == owner)))
    caller.start()
    assert inbox.run_next(5) is False
    caller.join(5)
    assert answers == [True]


def test_what_a_request_raises_goes_to_its_caller() -> None:
    inbox = Inbox(10)
    raised: list[BaseException] = []

    def call() -> None:
        try:
            inbox.call(lambda: 1 // 0)
        except ZeroDivisionError as error:
            raised.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert inbox.run_next(5) is False
    caller.join(5)
    assert len(raised) == 1


def test_wakes_that_wait_are_one() -> None:
    inbox = Inbox(10)
    inbox.wake()
    inbox.wake()
    inbox.post(lambda: None)
    assert [inbox.run_next(5), inbox.run_next(5)] == [True, False]
    inbox.wake()
    assert inbox.run_next(5) is True


def test_the_end_of_the_wait_counts_as_a_wake_up() -> None:
    assert Inbox(10).run_next(0) is True
    assert Inbox(10).run_next(-5) is True


def test_a_full_inbox_refuses_calls_and_drops_notes() -> None:
    inbox = Inbox(1)
    inbox.post(lambda: None)
    inbox.post(lambda: None)
    assert inbox.dropped == 1
    with pytest.raises(StormError, match="too many calls"):
        inbox.call(lambda: None)


def test_a_closed_inbox_answers_nobody_and_says_so() -> None:
    inbox = Inbox(10)
    inbox.close()
    assert inbox.run_next(5) is True
    with pytest.raises(StormError, match="stopping"):
        inbox.call(lambda: None)
    inbox.post(lambda: None)
    assert inbox.dropped == 1


def test_who_waits_when_nimbus_stops_is_told() -> None:
    inbox = Inbox(10)
    told: list[str] = []
    sent = threading.Event()

    def call() -> None:
        try:
            inbox.call(lambda: sent.set())
        except StormError as error:
            told.append(str(error))

    caller = threading.Thread(target=call)
    caller.start()
    while not told:
        inbox.cancel_waiting()
        caller.join(0.001)
    assert "stopping" in told[0]
    assert not sent.is_set()


def test_a_call_that_nobody_comes_to_may_be_made_again() -> None:
    inbox = Inbox(10, answer_secs=0)
    done: list[int] = []
    with pytest.raises(CoordinationError, match="did not come to this call in 0 s; it may still carry it out"):
        inbox.call(lambda: done.append(1))
    inbox.run_next(0)
    assert done == [1]


def test_a_wait_has_an_end_where_one_is_given() -> None:
    done: Future[int] = Future()
    with pytest.raises(TimeoutError):
        Inbox(10).wait(done, 0)
    done.set_result(7)
    assert Inbox(10).wait(done, 0) == Inbox(10).wait(done) == 7


def test_only_so_many_wait_at_a_time() -> None:
    """Each takes a thread of those that serve all calls."""
    inbox, done = Inbox(10, waits_max=1, free_wait_secs=0), [Future[int](), Future[int]()]
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(inbox.wait(done[0])), daemon=True)
    waiting.start()
    while inbox._waits._value:
        waiting.join(0.001)
    with pytest.raises(TimeoutError):
        inbox.wait(done[1])
    done[1].set_result(7)
    assert inbox.wait(done[1]) == 7  # who need not wait takes no place
    done[0].set_result(8)
    waiting.join(20)
    assert answers == [8]
    with pytest.raises(TimeoutError):
        inbox.wait(Future(), 0)  # its place is free again, so this one waited
    assert inbox._waits._value == 1


def test_a_short_wait_takes_no_place() -> None:
    """What the owner's next step ends is waited for also where nobody may wait for long."""
    inbox = Inbox(10, waits_max=0, free_wait_secs=20)
    done: Future[int] = Future()
    inbox.post(lambda: done.set_result(7))
    owner = threading.Thread(target=inbox.run_next, args=(5,))
    owner.start()
    assert inbox.wait(done) == 7
    owner.join(5)


def test_what_is_waited_for_may_itself_run_out_of_time() -> None:
    done: Future[int] = Future()
    done.set_exception(TimeoutError("its own"))
    with pytest.raises(TimeoutError, match="its own"):
        Inbox(10).wait(done)
