"""A client gives a call up after three attempts, says which and why, and ends when nobody waits for it any more."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from callers import ATTEMPTS, Caller, Reader

from storm.errors import StormError, ThriftConnectionError, TopologyNotAliveError

NOWHERE: Any = SimpleNamespace(seeds=["127.0.0.1:1"])
NO_ANSWER = ThriftConnectionError("it went away", sent=True)
NOT_ALIVE = TopologyNotAliveError("it is not alive")


class Idle(Caller):
    def turn(self) -> None: ...


class Blocked(Caller):
    """Its turn lasts until the test ends it."""

    ending = threading.Event()

    def turn(self) -> None:
        self.ending.wait()


class Patient(Caller):
    """Its first attempt has failed, and the next one comes after an hour."""

    def turn(self) -> None:
        self.tried("kill", raising(self.begun.set))

    begun = threading.Event()


def raising(first: Any) -> Any:
    def call(_: object) -> None:
        first()
        raise NO_ANSWER

    return call


def test_a_call_that_is_never_answered_is_a_failure_after_three_attempts() -> None:
    with Reader(NOWHERE, pause_secs=0.0) as reader:
        failures = reader.stop()
    assert failures[0].startswith("getClusterInfo: NimbusUnreachableError: no leading Nimbus was found")
    assert reader.repeated == ATTEMPTS * reader.calls == ATTEMPTS * len(failures)


@pytest.mark.parametrize(
    ("answers", "is_answered"),
    [
        ([None], True),
        ([NO_ANSWER, NOT_ALIVE], True),
        ([NOT_ALIVE, NO_ANSWER, NOT_ALIVE], True),
        ([NOT_ALIVE] * ATTEMPTS, False),
    ],
)
def test_what_a_call_without_an_answer_has_done_is_no_failure_of_the_next_one(
    answers: list[StormError | None], is_answered: bool
) -> None:
    left = iter(answers)

    def call(_: object) -> None:
        if (error := next(left)) is not None:
            raise error

    caller = Idle(NOWHERE, pause_secs=0.0)
    assert caller.tried("kill", call, (TopologyNotAliveError,)) is is_answered
    assert caller.failures == ([] if is_answered else ["kill: TopologyNotAliveError: it is not alive"])
    assert next(left, "none") == "none"


def test_a_turn_that_does_not_end_is_a_failure() -> None:
    with Blocked(NOWHERE) as caller:
        failures = caller.stop(within_secs=0.0)
        assert failures == ["Blocked: its turn did not end within 0 s"]
        Blocked.ending.set()


def test_at_the_end_of_the_block_no_attempt_is_made_any_more() -> None:
    caller = Patient(NOWHERE, pause_secs=3600.0)
    with caller:
        Patient.begun.wait()
    assert caller.calls == caller.repeated == 1
    assert caller.failures == []
