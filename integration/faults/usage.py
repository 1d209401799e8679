"""C-LEAK of single processes: what each daemon and each worker uses, over its own life.

A process is looked at once a second from its start to its end. Its beginning is left out, in which it imports, connects
and fills what it keeps; a life that is short says nothing. A peak is no leak: the most of a while at the beginning is
compared with the least of a while at the end.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import psutil
from checkers import Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOOK_SECS = 1.0
BEGINNING_SECS = 10.0  # Nimbus has taken the first submission, workers have met and have all that may be under way
WINDOW_SECS = 5.0  # longer than a peak: a call, a child that was forked, a batch of replays
TELLING_SECS = 20.0  # a handle, or a megabyte, that is lost each second is more than the margins by then
# A tenth and 16 MiB are the catalogue's. Eight handles: a host and a worker more than before, each with a connection in
# and out, and two threads of ZeroMQ's or of the pools that answer.
SHARE_MARGIN, COUNT_MARGIN, RSS_MARGIN_BYTES = 1.1, 8, 16 << 20


class Usage(NamedTuple):
    """What a process uses."""

    fds: int
    threads: int
    rss_bytes: int


class Life(NamedTuple):
    """A process that was looked at for `secs` after its beginning: the most it used first, the least it used last."""

    name: str
    pid: int
    secs: float
    first: Usage
    last: Usage


class _Seen:
    """A process that runs, or did."""

    def __init__(self, name: str, process: psutil.Process, now: float) -> None:
        self.name = name
        self.process = process
        self.settled_at = now + BEGINNING_SECS
        self.first: list[Usage] = []
        self.last: deque[tuple[float, Usage]] = deque()

    def look(self, now: float) -> None:
        if now < self.settled_at:
            return
        with self.process.oneshot():
            used = Usage(self.process.num_fds(), self.process.num_threads(), self.process.memory_info().rss)
        if now <= self.settled_at + WINDOW_SECS:
            self.first.append(used)
        self.last.append((now, used))
        while self.last[0][0] < now - WINDOW_SECS:
            self.last.popleft()

    def life(self) -> Life | None:
        """None: it was never looked at after its beginning."""
        if not self.first:
            return None
        first, last = zip(*self.first, strict=True), zip(*(used for _, used in self.last), strict=True)
        secs = self.last[-1][0] - self.settled_at
        return Life(self.name, self.process.pid, secs, Usage(*map(max, first)), Usage(*map(min, last)))


class Lives:
    """One thread calls `look`; any may ask for the lives so far."""

    def __init__(self) -> None:
        self._running: dict[int, _Seen] = {}
        self._all: list[_Seen] = []
        self._look_at = 0.0

    def look(self, running: Mapping[int, str], now: float) -> None:
        """`running`: the names of the processes that run, by their ids."""
        for pid in self._running.keys() - running.keys():
            del self._running[pid]
        is_due = now >= self._look_at
        if is_due:
            self._look_at = now + LOOK_SECS
        for pid, name in running.items():
            try:
                if pid not in self._running:
                    self._running[pid] = _Seen(name, psutil.Process(pid), now)
                    self._all.append(self._running[pid])
                if is_due:
                    self._running[pid].look(now)
            except psutil.Error:
                continue  # it has ended meanwhile

    def all(self) -> list[Life]:
        """Of all processes that ran, also of those that ended."""
        return [life for seen in list(self._all) if (life := seen.life()) is not None]


def leaks(lives: Iterable[Life]) -> list[Violation]:
    """What a process used at the end of its life and not at the beginning; of those that lived long enough."""
    found = []
    for life in lives:
        if life.secs < TELLING_SECS:
            continue
        for what, was, now, margin in (
            ("file descriptors", life.first.fds, life.last.fds, COUNT_MARGIN),
            ("threads", life.first.threads, life.last.threads, COUNT_MARGIN),
            ("bytes resident", life.first.rss_bytes, life.last.rss_bytes, RSS_MARGIN_BYTES),
        ):
            if now > was * SHARE_MARGIN + margin:
                text = f"{life.name} (process {life.pid}) has {now:,} {what}, {life.secs:.0f} s before it had {was:,}"
                found.append(Violation("C-LEAK", text))
    return found


def told(lives: Iterable[Life]) -> str:
    """In words, of how many processes something can be said."""
    telling = [life for life in lives if life.secs >= TELLING_SECS]
    if not telling:
        return "no process lived long enough to say what it loses"
    grown = max(life.last.rss_bytes - life.first.rss_bytes for life in telling)
    more = max(life.last.fds - life.first.fds for life in telling)
    workers = sum(life.name.startswith("worker") for life in telling)
    return (
        f"of {len(telling)} processes, {workers} of them workers, none grew by more than {grown / (1 << 20):.1f} MiB"
        f" and {more} file descriptors after its first {BEGINNING_SECS:g} s"
    )
