"""The life of the virtual environments on one host, as a pure state machine.

    WAITING ──► BUILDING ──► READY ──► removed, once unused for `keep_secs`
       ▲            │ failed
       └── FAILED ◄─┘ wanted again, after a back-off

Where a disk was full, room is made by what nobody needs, and the first failures lead back to WAITING: who waits is told
of it only if that did not help.

An environment is named by the key of what is in it (`EnvironmentSpec.key`), so topologies that need the same share one.
Nothing here builds, removes or reads a clock: `next` says what to do, whoever does it tells how it `ended`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

ALWAYS, NEVER = float("-inf"), float("inf")
NO_ROOM_TRIES = 3  # until it is a failure that people are told of


class EnvironmentState(Enum):
    """Where an environment is in its life."""

    WAITING = "waiting"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Environment:
    """`failures` in a row; the last one in words, and what the tool printed last; when it may be tried again.

    `unused_since`: None while a topology of this host needs it.
    """

    state: EnvironmentState
    entered_at: float
    failures: int = 0
    reason: str = ""
    last_lines: str = ""
    retry_at: float = 0.0
    unused_since: float | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentLimits:
    """At most `builds_max` are built at a time. After failures in a row the next try waits 1, 2, 4 … at most
    `back_off_max_secs`.
    """

    builds_max: int = 2
    keep_secs: float = 3600.0
    back_off_max_secs: float = 60.0


class BuildFailure(NamedTuple):
    """Why an environment was not built; `no_room`: the disk was full."""

    reason: str
    last_lines: str = ""
    no_room: bool = False


class Build(NamedTuple):
    """Build this environment, and say how it `ended`."""

    key: str


class Remove(NamedTuple):
    """Remove this environment: it is known no more."""

    key: str


class EnvironmentSeen(NamedTuple):
    """An environment as of now; `state` None: nobody wanted it. `since`: when its state was entered."""

    state: EnvironmentState | None
    since: float = 0.0
    reason: str = ""
    last_lines: str = ""
    retry_secs: float = 0.0


class Environments:
    """All environments of a host. It belongs to whoever holds it, one caller at a time."""

    def __init__(self, limits: EnvironmentLimits) -> None:
        self._limits = limits
        self._all: dict[str, Environment] = {}
        self._is_use_known = False

    def found(self, keys: Iterable[str], now: float) -> None:
        """These were built by a former run of the supervisor, and nobody is known to need them."""
        for key in keys:
            self._all[key] = Environment(EnvironmentState.READY, now, unused_since=now)

    def want(self, key: str, now: float) -> None:
        """Somebody needs it now; a failed one is tried again if its back-off is over."""
        known = self._all.get(key)
        if known is None:
            self._all[key] = Environment(EnvironmentState.WAITING, now)
        elif known.state is EnvironmentState.FAILED and now >= known.retry_at:
            self._all[key] = replace(known, state=EnvironmentState.WAITING, entered_at=now, unused_since=None)
        else:
            self._all[key] = replace(known, unused_since=None)

    def use(self, keys: Container[str], now: float) -> None:
        """Only these are needed: of the others, what is not built is forgotten, what is built is kept for a while."""
        self._is_use_known = True
        for key, known in list(self._all.items()):
            if key in keys:
                self._all[key] = replace(known, unused_since=None)
            elif known.state in {EnvironmentState.WAITING, EnvironmentState.FAILED}:
                del self._all[key]
            elif known.unused_since is None:
                self._all[key] = replace(known, unused_since=now)

    def look(self, key: str, now: float) -> EnvironmentSeen:
        """How it is."""
        known = self._all.get(key)
        if known is None:
            return EnvironmentSeen(None)
        if known.state is not EnvironmentState.FAILED:
            return EnvironmentSeen(known.state, known.entered_at)
        retry_secs = max(0.0, known.retry_at - now)
        return EnvironmentSeen(known.state, known.entered_at, known.reason, known.last_lines, retry_secs)

    def next(self, now: float) -> Build | Remove | None:
        """What to do now: removals first, for they make room."""
        for key, known in self._all.items():
            if known.state is EnvironmentState.READY and self._collect_at(known) <= now:
                del self._all[key]
                return Remove(key)
        building = sum(known.state is EnvironmentState.BUILDING for known in self._all.values())
        waiting = [
            (known.entered_at, key)
            for key, known in self._all.items()
            if known.state is EnvironmentState.WAITING and known.retry_at <= now
        ]
        if not waiting or building >= self._limits.builds_max:
            return None
        _, key = min(waiting)
        self._all[key] = replace(self._all[key], state=EnvironmentState.BUILDING, entered_at=now)
        return Build(key)

    def ended(self, key: str, failure: BuildFailure | None, now: float) -> None:
        """The build of `key` is over."""
        known = self._all[key]
        if failure is None:
            self._all[key] = Environment(EnvironmentState.READY, now, unused_since=known.unused_since)
            return
        if known.unused_since is not None:
            del self._all[key]
        else:
            failures = known.failures + 1
            wait_secs = min(self._limits.back_off_max_secs, 2.0 ** min(failures - 1, 30))
            is_told = not failure.no_room or failures >= NO_ROOM_TRIES
            state = EnvironmentState.FAILED if is_told else EnvironmentState.WAITING
            self._all[key] = Environment(state, now, failures, failure.reason, failure.last_lines, now + wait_secs)

    def give_up(self) -> list[str]:
        """The disk is full: what nobody needs is known no more, and to be removed now. What is being built for nobody
        follows. Nothing, until it was said what is needed: workers of a former run may use what was found.
        """
        if not self._is_use_known:
            return []
        built = []
        for key, known in list(self._all.items()):
            if known.unused_since is not None and known.state is EnvironmentState.READY:
                del self._all[key]
                built.append(key)
            elif known.unused_since is not None:
                self._all[key] = replace(known, unused_since=ALWAYS)
        return built

    def due(self, now: float) -> float | None:
        """When `next` has something to do though nothing happens: the next unused one is to be removed, or one that had
        no room is tried again. None: never.
        """
        known = self._all.values()
        removed = [self._collect_at(each) for each in known if each.state is EnvironmentState.READY]
        tried = [each.retry_at for each in known if each.state is EnvironmentState.WAITING and each.retry_at > now]
        at = min([*removed, *tried], default=NEVER)
        return None if at == NEVER else at

    def _collect_at(self, known: Environment) -> float:
        return NEVER if known.unused_since is None else known.unused_since + self._limits.keep_secs
