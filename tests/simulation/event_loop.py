"""Virtual time, chance and processes of a simulated cluster: everything that happens is an event in one seeded order.

No thread runs here. What in a real cluster would be a thread is a `Loop`: a call that is made when it is due or when
it is woken. A process can die or be paused between any two calls, and (`Process.may_end_here`) in the midst of one:
where it dies, `Died` unwinds it; where it is paused, the other events go on below, in the same stack.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from functools import partial
from typing import TYPE_CHECKING

from storm.testing.simulated_clock import SimulatedClock

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

WAKE_SECS = 0.003  # at most, from a wake-up until the loop runs
LOOP_SECS_MIN = 0.001
NESTED_MAX = 3


class Died(BaseException):
    """Unwinds a process that has just died. Nobody may swallow it."""


class EventLoop:
    """What happens when. `log` says when what happened; two runs from one seed have the same. `calling`: the processes
    that are in the midst of a call, the innermost last.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.clock = SimulatedClock(1000.0)
        self.log: list[tuple[float, str]] = []
        self.on_crash: Callable[[Process, Exception], None] = _nothing  # a process ended by an exception of its own
        self.calling: list[Process] = []
        self._chance = rng.random
        self._events: list[tuple[float, float, int, str, Callable[[], None]]] = []
        self._count = 0
        self._depth = 0

    def after(self, secs: float, name: str, call: Callable[[], None]) -> None:
        """Have this happen; of events at the same time chance says which is first."""
        self._count += 1
        heapq.heappush(self._events, (self.clock.now() + secs, self._chance(), self._count, name, call))

    def soon(self, secs_max: float) -> float:
        """A while of chance."""
        return self._chance() * secs_max

    def note(self, text: str) -> None:
        """Tell the log what no event says."""
        self.log.append((self.clock.now(), f"  {text}"))

    def run_for(self, secs: float) -> None:
        """Let this time pass, with all that happens in it."""
        clock, events, note, pop = self.clock, self._events, self.log.append, heapq.heappop
        end = clock.now() + secs
        while events and events[0][0] <= end:
            due, _, _, name, call = pop(events)
            now = max(due, clock.now())
            clock.jump_to(now)
            note((now, name))
            call()
        clock.jump_to(max(end, clock.now()))

    def run_below(self, secs: float) -> bool:
        """Let time pass in the midst of an event; False: we are too deep for that.

        Meanwhile all stand who are in the midst of a call: also those who wait for the answer of the one that stands.
        """
        if self._depth >= NESTED_MAX:
            return False
        self._depth += 1
        try:
            self.run_for(secs)
        finally:
            self._depth -= 1
        for process in self.calling:
            process.stood_until = self.clock.now()
        return True

    def story(self) -> str:
        """The log as text, a line for each entry."""
        return "\n".join(f"{at:.6f} {text}" for at, text in self.log)

    def digest(self) -> str:
        """Of the whole log, without hashes of blobs: what a process shares in memory is pickled by a number of its."""
        return hashlib.sha256(re.sub("[0-9a-f]{64}", "", self.story()).encode()).hexdigest()


class HostClock:
    """A host's own clock: it runs as all do, from another beginning; its wall clock is off, and may jump."""

    def __init__(self, clock: SimulatedClock, boot_secs: float, wall_off_secs: int) -> None:
        self._clock = clock
        self._boot_secs = boot_secs
        self._wall_off_secs = wall_off_secs

    def now(self) -> float:
        return self._clock.now() + self._boot_secs

    def wall_secs(self) -> int:
        return self._clock.wall_secs() + self._wall_off_secs

    def jump(self, secs: int) -> None:
        """Somebody sets the wall clock."""
        self._wall_off_secs += secs

    def process_secs(self) -> float:
        return 0.0

    def queued_secs(self) -> float:
        return 0.0

    def sleep(self, secs: float) -> None:
        raise AssertionError("nothing sleeps in a simulation")


class Process:
    """A process of a host. `slow_secs`: its loops come so much too late, at most. `resumed_at`: its last SIGCONT;
    `stood_until`: when it last went on in the midst of a call, with all of its loops, which waited for that.
    """

    def __init__(self, events: EventLoop, name: str) -> None:
        self.events = events
        self.name = name
        self.alive = True
        self.paused = False
        self.slow_secs = 0.0
        self.resumed_at = self.stood_until = float("-inf")
        self._deferred: list[Callable[[], None]] = []

    def after_call(self) -> None:
        """Called after each call that this process made."""

    def after_watch(self) -> None:
        """Called after one of its watches was called."""

    def on_death(self) -> None:
        """Called once, when it is dead."""

    def run(self, call: Callable[[], None]) -> None:
        """Make a call as this process: now, when it is no longer paused, or never if it is dead."""
        if not self.alive:
            return
        calling = self.events.calling
        if self.paused or self in calling:
            self._deferred.append(call)
            return
        calling.append(self)
        try:
            call()
            self.after_call()
        except Died:
            assert not self.alive, f"{self.name} lives, and somebody else died in its stack"
        except Exception as error:  # noqa: BLE001 - whatever it is, the process is dead and the run goes on
            self.events.on_crash(self, error)
            self.die(f"{type(error).__name__}: {error}")
        finally:
            calling.pop()
        if self._deferred:
            self._catch_up()

    def die(self, why: str) -> None:
        """End at once; nothing happens if it is dead already."""
        if self.alive:
            self.alive = False
            self.events.note(f"{self.name} is dead: {why}")
            self._deferred.clear()
            self.on_death()

    def pause(self) -> None:
        """SIGSTOP."""
        if self.alive and not self.paused:
            self.paused = True
            self.events.note(f"{self.name} is paused")
            self.on_pause()

    def resume(self) -> None:
        """SIGCONT."""
        if self.alive and self.paused:
            self.paused = False
            self.resumed_at = self.events.clock.now()
            self.events.note(f"{self.name} goes on")
            self.on_resume()
            self._catch_up()

    def _catch_up(self) -> None:
        """Make the calls that could not be made, soon."""
        if not self.paused and self not in self.events.calling:
            deferred, self._deferred = self._deferred, []
            for call in deferred:
                self.events.after(
                    self.events.soon(WAKE_SECS), f"{self.name} catches up", lambda call=call: self.run(call)
                )

    def on_pause(self) -> None:
        """Called when it is paused."""

    def on_resume(self) -> None:
        """Called when it goes on."""

    def require_alive(self) -> None:
        """Raises Died where the process that makes a call is dead."""
        if not self.alive:
            raise Died

    def die_here(self, why: str) -> None:
        """Die in the midst of a call."""
        self.die(why)
        raise Died

    def pause_here(self, secs: float) -> None:
        """Be paused in the midst of a call, while everything else goes on. Raises Died if it dies meanwhile."""
        if self.paused:
            return
        self.pause()
        self.events.run_below(secs)
        self.resume()
        self.require_alive()

    def wait_here(self, secs: float) -> None:
        """Wait for an answer in the midst of a call. Raises Died if it dies meanwhile."""
        self.events.run_below(secs)
        self.require_alive()


class Loop:
    """One thread of a process: `turn` answers in how many seconds it is due again; None: only when it is woken."""

    def __init__(self, process: Process, name: str, turn: Callable[[], float | None]) -> None:
        self._process = process
        self._name = f"{process.name} {name}"
        self._turn = turn
        self._due: float | None = None
        self._generation = 0

    def wake(self, secs: float = 0.0) -> None:
        """Have a turn after this time at the latest."""
        process = self._process
        events = process.events
        secs += events.soon(WAKE_SECS)
        if process.slow_secs:
            secs += events.soon(process.slow_secs)
        due = events.clock.now() + secs
        if not process.alive or (self._due is not None and self._due <= due):
            return
        self._due = due
        self._generation += 1
        events.after(secs, self._name, partial(self._fire, self._generation))

    def _fire(self, generation: int) -> None:
        if generation == self._generation:
            self._due = None
            self._process.run(self._run)

    def _run(self) -> None:
        secs = self._turn()
        if secs is not None:
            self.wake(max(LOOP_SECS_MIN, secs))


def _nothing(process: Process, error: Exception) -> None:
    pass
