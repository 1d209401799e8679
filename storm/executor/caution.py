"""Which tuple makes a worker die: where one died again and again, its spouts emit one tuple at a time for a while.

What is under way then when it dies is noted before it is emitted, where the next process finds it. What is acked is no
suspect any more. So a tuple that ends its worker's process each time, by whatever means, is found and can be given up
(`Spout.retries`), though nothing in the process lives to tell of it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storm.ids import ComponentId, ExecutorId

DEATHS_LEAST = 2  # in a row: one alone is an accident
CAREFUL_SECS = 30.0  # what kills comes again soon, for it was never acked
# Of these: what another worker sends may kill at once, and what is under way here then is innocent.
SUSPECTS_WAIT_SECS = 2.0
ID_CHARS_MAX = 1000  # a message whose id is a longer text is no suspect

Suspect: TypeAlias = "tuple[ComponentId, str]"  # a spout's component, and the id of a message as text


class Caution:
    """Of one worker, all of whose spouts take turns. Any thread may use it.

    `deaths`: how often the worker died in a row. `seen`: {suspect: how often while it alone was under way}; `save` is
    given this before it counts.
    """

    def __init__(self, deaths: int, seen: Mapping[Suspect, int], save: Callable[[Mapping[Suspect, int]], None]) -> None:
        self.deaths = deaths
        self._seen = dict(seen)
        self._save = save
        self._lock = threading.RLock()
        self._under_way: set[Suspect] = set()
        self._members: set[ExecutorId] = set()
        self._turn: ExecutorId | None = None
        self._last: ExecutorId | None = None
        self._is_wanted = False
        self._is_off = False
        self.until: float | None = None  # None: no spout has begun

    def join(self, executor: ExecutorId, gives_up: bool) -> None:
        """A spout takes part. Nobody is careful where none of them ever gives up."""
        with self._lock:
            self._members.add(executor)
            self._is_wanted = self._is_wanted or gives_up

    def call_off(self) -> None:
        """A spout cannot take part: of what is under way alone here, nobody could say that nothing else was."""
        self._is_off = True

    def begin(self, now: float) -> None:
        """A spout begins to emit: from the first on it is CAREFUL_SECS."""
        with self._lock:
            if self.until is None:
                self.until = now + CAREFUL_SECS

    def is_on(self, now: float) -> bool:
        return self._is_wanted and not self._is_off and (self.until is None or now < self.until)

    def waits(self, suspect: Suspect, now: float) -> bool:
        """Whether it is to be emitted later, for it was under way at a death."""
        begun = self.until is not None and now >= self.until - CAREFUL_SECS + SUSPECTS_WAIT_SECS
        return not begun and self.seen(suspect) > 0

    def take_turn(self, executor: ExecutorId, yields: bool) -> bool:
        """Whether it may emit; then nobody else may until it ends its turn. `yields`: not if the last turn was its own,
        where there are others.
        """
        with self._lock:
            if self._turn is None and not (yields and executor == self._last and len(self._members) > 1):
                self._turn = self._last = executor
            return self._turn == executor

    def is_turn_of(self, executor: ExecutorId) -> bool:
        return self._turn == executor

    def end_turn(self, executor: ExecutorId) -> None:
        """Nothing of it is under way."""
        with self._lock:
            if self._turn == executor:
                self._turn = None

    def seen(self, suspect: Suspect) -> int:
        """How often the worker died while it alone was under way."""
        return self._seen.get(suspect, 0)

    def suspects(self, component: ComponentId) -> dict[str, int]:
        """Of a spout: {the id of a message as text: how often}."""
        with self._lock:
            return {text: count for (name, text), count in self._seen.items() if name == component}

    def emits(self, suspect: Suspect) -> None:
        """It is about to be emitted: if the worker dies now, it was under way."""
        with self._lock:
            if suspect not in self._under_way:
                self._under_way.add(suspect)
                self._seen[suspect] = self._seen.get(suspect, 0) + 1
                self._save(self._seen)

    def ended(self, suspect: Suspect, acked: bool) -> None:
        """It was acked, and is none any more; or failed, and the worker lives."""
        with self._lock:
            count = self._seen.get(suspect, 0) - (suspect in self._under_way)
            if acked or count <= 0:
                is_known = self._seen.pop(suspect, None) is not None
            else:
                is_known, self._seen[suspect] = suspect in self._under_way, count
            self._under_way.discard(suspect)
            if is_known:
                self._save(self._seen)

    def let_go(self) -> None:
        """What is under way is not noted any more: others join it, or the worker ends in order."""
        with self._lock:
            for suspect in list(self._under_way):
                self.ended(suspect, acked=False)


def suspect_of(component: ComponentId, message_id: Any) -> Suspect | None:
    """None: its id cannot be told by a text."""
    try:
        text = repr(message_id).encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001 - of the user's own `__repr__`
        return None
    return (component, text) if len(text) <= ID_CHARS_MAX else None


def is_enough(seen: int, attempts: int) -> bool:
    """Whether a message is to be given up: the deaths before anybody looked count, too, but it was seen at two."""
    return seen >= min(2, attempts) and seen + DEATHS_LEAST >= attempts
