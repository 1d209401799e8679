from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.dev_zookeeper.sessions import PAST_TICK_SECS, Session, SessionTable

TICK_MS = 2000


def table(*sessions: Session) -> SessionTable:
    made = SessionTable(TICK_MS)
    for session in sessions:
        made.put(session)
    return made


@pytest.mark.parametrize(("wanted", "given_ms"), [(-5, 4000), (0, 4000), (10_000, 10_000), (90_000, 40_000)])
def test_a_timeout_is_brought_into_2_to_20_ticks(wanted: int, given_ms: int) -> None:
    assert table().negotiated_timeout_ms(wanted) == given_ms


@given(timeout_ms=st.integers(4000, 40_000), touched=st.floats(0, 1e6), waited_ms=st.integers(0, 60_000))
def test_a_session_never_ends_early_and_at_most_a_tick_late(timeout_ms: int, touched: float, waited_ms: int) -> None:
    sessions = table(Session(1, b"", timeout_ms))
    sessions.touch(1, touched)

    expired = sessions.expired(touched + waited_ms / 1000) == [1]

    if waited_ms < timeout_ms:
        assert not expired
    if waited_ms > timeout_ms + TICK_MS + 1:
        assert expired


@given(timeout_ms=st.integers(4000, 40_000), began=st.floats(0, 1e6), touched_secs=st.floats(0, 60))
def test_who_looks_after_each_tick_sees_an_end_at_most_a_tick_late(
    timeout_ms: int, began: float, touched_secs: float
) -> None:
    sessions = table(Session(1, b"", timeout_ms))
    sessions.touch(1, touched := began + touched_secs)

    now, looks = began, 0
    while not sessions.expired(now):
        now += sessions.secs_to_tick(now)
        looks += 1

    assert now - touched <= (timeout_ms + TICK_MS) / 1000 + 2 * PAST_TICK_SECS
    assert looks <= (touched_secs * 1000 + timeout_ms) / TICK_MS + 2


def test_hearing_of_a_session_starts_its_timeout_again() -> None:
    sessions = table(Session(1, b"", 4000), Session(2, b"", 4000))
    sessions.touch_all(0.0)
    sessions.touch(2, 5.0)

    assert sessions.expired(5.9) == []
    assert sessions.expired(6.0) == [1]
    assert sessions.expired(100.0) == [1, 2]


def test_a_removed_session_does_not_end() -> None:
    sessions = table(Session(1, b"", 4000))
    sessions.touch(1, 0.0)
    sessions.remove(1)
    sessions.remove(1)
    sessions.touch(1, 0.0)

    assert sessions.expired(1e9) == []
    assert len(sessions) == 0
    assert sessions.get(1) is None
