"""How other threads reach the one that owns Nimbus: requests with an answer, notes without, and wake-ups."""

from __future__ import annotations

import contextlib
import queue
import threading
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from storm.errors import CoordinationError, StormError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

REQUEST_TIMEOUT_SECS = 60.0  # longer than any call to ZooKeeper waits
WAITS_MAX = 16
FREE_WAIT_SECS = 1.0  # longer than the owner's next steps take, which end most waits


class Requests(Protocol):
    """Where the Thrift service brings what changes Nimbus."""

    def call(self, request: Callable[[], T]) -> T:
        """Have the owner run `request`; its answer, or what it raised."""

    def post(self, note: Callable[[], None]) -> None:
        """Have the owner run `note` some time; what does not fit is dropped."""

    def wait(self, done: Future[T], timeout_secs: float | None = None) -> T:
        """What `done` brings, which the owner sees to in its own time. Raises TimeoutError after `timeout_secs`, or
        soon where too many wait.
        """


class Inbox:
    """`call`, `post`, `wake` and `close` may be called from any thread, the latter two from a signal handler too."""

    def __init__(
        self,
        waiting_max: int,
        answer_secs: float = REQUEST_TIMEOUT_SECS,
        waits_max: int = WAITS_MAX,
        free_wait_secs: float = FREE_WAIT_SECS,
    ) -> None:
        """Beyond `waiting_max` requests that wait, a call is refused and a note dropped (`dropped` counts them).

        `answer_secs`: how long a call waits for its answer. `waits_max`: how many `wait` at a time for longer
        than `free_wait_secs`.
        """
        self.dropped = 0
        self.closed = False
        self._waiting_max = waiting_max
        self._answer_secs = answer_secs
        self._waits = threading.Semaphore(waits_max)
        self._free_wait_secs = free_wait_secs
        self._queue: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any] | None] | None] = queue.SimpleQueue()
        self._woken = False

    def call(self, request: Callable[[], T]) -> T:
        """Raises StormError if Nimbus is too busy or is stopping; CoordinationError if it does not answer in time: it
        may still carry the request out.
        """
        if self.closed or self._queue.qsize() >= self._waiting_max:
            raise StormError("This Nimbus is stopping." if self.closed else "This Nimbus has too many calls waiting.")
        answer: Future[T] = Future()
        self._queue.put((request, answer))
        try:
            return answer.result(self._answer_secs)
        except TimeoutError:
            raise CoordinationError(
                f"Nimbus did not come to this call in {self._answer_secs:.0f} s; it may still carry it out."
                " Its log says whether ZooKeeper answers."
            ) from None
        except CancelledError:
            raise StormError("This Nimbus is stopping.") from None

    def post(self, note: Callable[[], None]) -> None:
        if self.closed or self._queue.qsize() >= self._waiting_max:
            self.dropped += 1
            return
        self._queue.put((note, None))

    def wait(self, done: Future[T], timeout_secs: float | None = None) -> T:
        """Takes nothing of the owner's time. The owner ends it, at the latest when it stops.

        Raises TimeoutError after `timeout_secs`; None: never. Beyond `waits_max` it is raised after
        `free_wait_secs`: a wait may be for minutes, and holds one of the threads by which all calls are served.
        """
        free_secs = self._free_wait_secs if timeout_secs is None else min(self._free_wait_secs, timeout_secs)
        with contextlib.suppress(TimeoutError):
            return done.result(free_secs)
        if done.done() or not self._waits.acquire(blocking=False):
            return done.result(0)
        try:
            return done.result(None if timeout_secs is None else timeout_secs - free_secs)
        finally:
            self._waits.release()

    def wake(self) -> None:
        """Have `run_next` answer True; many wake-ups that wait are one."""
        if not self._woken:
            self._woken = True
            self._queue.put(None)

    def close(self) -> None:
        """Take nothing more, and wake the owner."""
        self.closed = True
        self._queue.put(None)

    def run_next(self, timeout_secs: float) -> bool:
        """The owner's turn: run one request or note, or wait for one; whether somebody woke it, or the time is over."""
        try:
            item = self._queue.get(timeout=max(0.0, timeout_secs))
        except queue.Empty:
            return True
        if item is None:
            self._woken = False
            return True
        request, answer = item
        if answer is None:
            request()
        elif answer.set_running_or_notify_cancel():
            try:
                answer.set_result(request())
            except BaseException as error:  # noqa: BLE001  the caller's to handle; a bug is told and logged there
                answer.set_exception(error)
        return False

    def cancel_waiting(self) -> None:
        """Answer everybody who still waits that nothing will come."""
        while not self._queue.empty():
            item = self._queue.get()
            if item is not None and item[1] is not None:
                item[1].cancel()
