"""How a Nimbus is called in tests that give it one thread altogether."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from storm.errors import StormError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")


class DirectRequests:
    """`inbox.Requests` that run where they are made."""

    def call(self, request: Callable[[], T]) -> T:
        return request()

    def post(self, note: Callable[[], None]) -> None:
        note()

    def wait(self, done: Future[T], timeout_secs: float | None = None) -> T:
        try:
            return done.result(0)
        except TimeoutError:
            raise StormError("This takes other threads, and there is none.") from None
