"""What a component counts and measures by itself, through `context.metrics`: cheap to use for every tuple.

An instrument belongs to one task, and to the thread or coroutines that call it. Whoever collects reads totals from
another thread, and never resets anything: a reading that is lost loses nothing.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import re
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from storm.metrics.distribution import Distribution, bucket_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.ids import ComponentId, TaskId

NAMES_MAX = 200  # of one task: each is told to Nimbus and consumers again and again
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_./:-]{0,127}")
TEXT_CHARS_MAX = 200  # of a gauge's value
ERROR_CHARS_MAX = 500  # of why one cannot be read

F = TypeVar("F", bound="Callable[..., Any]")
I = TypeVar("I", bound="Instrument")  # noqa: E741


class Counter:
    """A number that only grows."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def inc(self, number: int = 1) -> None:
        """Add to it; `number` is not negative."""
        self.count += number


class Meter:
    """Counts what happens, and shows how often in a second it did lately."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def mark(self, number: int = 1) -> None:
        """It happened so many times."""
        self.count += number


class Gauge:
    """What a function answers when somebody looks: a number, or a short text. It is called by a thread of its own."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function

    def read(self) -> float | str:
        """Raises what the function raises, and ValueError for a value that is neither a finite number nor short."""
        value = self.function()
        if isinstance(value, str) and len(value) <= TEXT_CHARS_MAX:
            return value
        if isinstance(value, bool):
            return int(value)
        if not isinstance(value, int):
            value = float(value)
            if not math.isfinite(value):
                raise ValueError(f"{value} is not finite")
        elif abs(value) >= 1 << 63:
            raise ValueError("the number has more than 63 bits")
        found: float = value
        return found


class Histogram:
    """How values are distributed: sizes, ages, whatever is a finite number. Those not above 0 count as one value."""

    __slots__ = ("buckets", "count", "least", "most", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.most = -math.inf
        self.buckets: dict[int, int] = {}

    def update(self, value: float) -> None:
        """Add a value. Raises ValueError, OverflowError or TypeError for what is no finite number."""
        bucket = bucket_of(value)
        self.total += value
        if value < self.least:
            self.least = value
        if value > self.most:
            self.most = value
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1  # last: whoever reads meanwhile knows the least and the most of all that is counted

    def read(self) -> Distribution:
        """As of now; any thread may call it."""
        if not self.count:
            return Distribution()
        return Distribution(self.count, float(self.total), float(self.least), float(self.most), self.buckets.copy())


class Timer:
    """How long something takes, in seconds: `with timer:`, or `@timer` on a function, `async def` too; or `update`."""

    __slots__ = ("_began", "_now", "seconds")

    def __init__(self, now: Callable[[], float]) -> None:
        self.seconds = Histogram()
        self._now = now
        # Each coroutine and thread has its own; within another, of the same timer, the outer one waits in it.
        self._began: ContextVar[tuple[float, Any] | None] = ContextVar("began", default=None)

    def update(self, secs: float) -> None:
        """It took so long."""
        self.seconds.update(secs)

    def __enter__(self) -> Timer:
        self._began.set((self._now(), self._began.get()))
        return self

    def __exit__(self, *failure: object) -> None:
        within = self._began.get()
        assert within is not None, "a timer that was not entered cannot be left"
        began, outer = within
        self._began.set(outer)
        self.seconds.update(max(0.0, self._now() - began))

    def __call__(self, function: F) -> F:
        """The function, timed."""
        timed: Any
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def timed(*args: Any, **named: Any) -> Any:
                with self:
                    return await function(*args, **named)
        else:

            @wraps(function)
            def timed(*args: Any, **named: Any) -> Any:
                with self:
                    return function(*args, **named)

        found: F = timed
        return found

    def read(self) -> Distribution:
        """As of now, in seconds; any thread may call it."""
        return self.seconds.read()


Instrument: TypeAlias = "Counter | Meter | Gauge | Histogram | Timer"


class Reading(NamedTuple):
    """What an instrument showed. `kind` is its class's name in small letters."""

    name: str
    kind: str
    value: float | str | Distribution


class TaskMetrics:
    """The instruments of one task, by name.

    A name has letters, digits and `_ . / : -`, begins with a letter, and has 128 characters at most; a task has
    NAMES_MAX of them. Asking again for a name gives the same instrument. ValueError says what is wrong with one.
    """

    def __init__(self, component: ComponentId, task: TaskId, now: Callable[[], float]) -> None:
        """`now`: seconds of a monotonic clock, for timers."""
        self._component = component
        self._task = task
        self._now = now
        self._found: dict[str, Instrument] = {}
        self._broken: set[str] = set()

    def counter(self, name: str) -> Counter:
        return self._one(name, Counter, Counter)

    def meter(self, name: str) -> Meter:
        return self._one(name, Meter, Meter)

    def histogram(self, name: str) -> Histogram:
        return self._one(name, Histogram, Histogram)

    def timer(self, name: str) -> Timer:
        return self._one(name, Timer, lambda: Timer(self._now))

    def gauge(self, name: str, function: Callable[[], Any]) -> Gauge:
        """`function` takes nothing, answers a number or a short text, and must not wait for anything.

        A gauge has one function for its life.
        """
        if not callable(function):
            raise TypeError(f"{self._named(name)}: a gauge needs a function, got {function!r:.80}")
        if isinstance(self._found.get(name), Gauge):
            raise ValueError(f"{self._named(name)} is a gauge already: it has its function")
        return self._one(name, Gauge, lambda: Gauge(function))

    def read(self, on_error: Callable[[str], None]) -> list[Reading]:
        """What all show now; `on_error` is told of each that cannot be read, in a sentence, until it can be again.

        One thread at a time may call it.
        """
        readings = []
        for name, instrument in list(self._found.items()):
            kind = type(instrument).__name__.lower()
            try:
                readings.append(Reading(name, kind, _shown(instrument)))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever a gauge's function raises, asyncio's cancellation too
                if name not in self._broken:
                    self._broken.add(name)
                    on_error(f"{self._named(name)}: the {kind} cannot be read: {_told(error)}")
            else:
                self._broken.discard(name)
        return readings

    def _one(self, name: str, kind: type[I], make: Callable[[], I]) -> I:
        found = self._found.get(name)
        if found is None:
            self._check(name)
            made = self._found[name] = make()
            return made
        if not isinstance(found, kind):
            is_one, is_to_be = type(found).__name__.lower(), kind.__name__.lower()
            raise ValueError(f"{self._named(name)} is a {is_one} already, and cannot be a {is_to_be} too")
        return found

    def _check(self, name: str) -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(
                f"{self._named(name)}: a metric's name has letters, digits and _ . / : -, begins with a letter, and "
                "has 128 characters at most"
            )
        if len(self._found) >= NAMES_MAX:
            raise ValueError(
                f"{self._named(name)}: the task has {NAMES_MAX} metrics already, which is the most; names must not be "
                "made of data"
            )

    def _named(self, name: object) -> str:
        return f"component {self._component!r}, task {self._task}, metric {name!r:.140}"


def _told(error: BaseException) -> str:
    """It may name the value, and that may be long; a user's `__str__` may raise."""
    name = type(error).__name__
    with contextlib.suppress(Exception):
        return f"{name}: {error}"[:ERROR_CHARS_MAX]
    return name


def _shown(instrument: Instrument) -> float | str | Distribution:
    """Raises what a gauge's function raises, and ValueError for what is not finite."""
    if not isinstance(instrument, Counter | Meter):
        value = instrument.read()
        if isinstance(value, Distribution) and not math.isfinite(value.total):
            raise ValueError("the sum of its values is not finite")
        return value
    count = instrument.count
    if not math.isfinite(count):
        raise ValueError(f"{count} is not finite")
    return count if type(count) in (int, float) else float(count)  # NumPy's numbers do not travel
