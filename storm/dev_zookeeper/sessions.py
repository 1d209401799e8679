"""Sessions and when they end. Pure: the time is an argument, in seconds of a monotonic clock.

A session lives on when its connection breaks; it ends when its client says so or is not heard of for its
timeout. As in Apache ZooKeeper, ends are rounded up to whole ticks, so that sessions end in batches and a
session never ends early.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

PAST_TICK_SECS = 0.001  # a timer that rings a moment early would find nothing, and look again a whole tick later


class Session(NamedTuple):
    """`password`: what a client shows to resume the session on another connection."""

    session_id: int
    password: bytes
    timeout_ms: int


class SessionTable:
    def __init__(self, tick_ms: int) -> None:
        self._tick_ms = tick_ms
        self._sessions: dict[int, Session] = {}
        self._end_ticks: dict[int, int] = {}
        self._ending_at: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def get(self, session_id: int) -> Session | None:
        return self._sessions.get(session_id)

    def negotiated_timeout_ms(self, wanted_ms: int) -> int:
        """`wanted_ms`, but at least 2 and at most 20 ticks."""
        return min(max(wanted_ms, 2 * self._tick_ms), 20 * self._tick_ms)

    def put(self, session: Session) -> None:
        """Add a session or replace the one with its id; it does not end until it is touched."""
        self._sessions[session.session_id] = session

    def remove(self, session_id: int) -> None:
        self._sessions.pop(session_id, None)
        self._forget_end(session_id)

    def touch(self, session_id: int, now: float) -> None:
        """Its client was heard of: the timeout starts again."""
        session = self._sessions.get(session_id)
        if session is None:
            return
        end_tick = int((now * 1000 + session.timeout_ms) // self._tick_ms) + 1
        if self._end_ticks.get(session_id) != end_tick:
            self._forget_end(session_id)
            self._end_ticks[session_id] = end_tick
            self._ending_at.setdefault(end_tick, set()).add(session_id)

    def touch_all(self, now: float) -> None:
        """After a restart every session gets its whole timeout again."""
        for session_id in self._sessions:
            self.touch(session_id, now)

    def expired(self, now: float) -> list[int]:
        """The ids of sessions whose end has come, the earliest first. They stay until removed."""
        tick = now * 1000 / self._tick_ms
        return [
            session_id
            for end_tick in sorted(end for end in self._ending_at if end <= tick)
            for session_id in sorted(self._ending_at[end_tick])
        ]

    def secs_to_tick(self, now: float) -> float:
        """Until just after the next whole tick, when the next sessions may end."""
        return (self._tick_ms - now * 1000 % self._tick_ms) / 1000 + PAST_TICK_SECS

    def _forget_end(self, session_id: int) -> None:
        end_tick = self._end_ticks.pop(session_id, None)
        if end_tick is not None:
            self._ending_at[end_tick].discard(session_id)
            if not self._ending_at[end_tick]:
                del self._ending_at[end_tick]
