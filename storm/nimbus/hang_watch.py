"""Ends a Nimbus whose one thread stands still, as on a disk that hangs: while its process and its session with
ZooKeeper live, no other Nimbus can take its place.

A thread that waits uses no CPU time, and one that only is slow uses some: each answer of ZooKeeper, each part of a file
costs a little. So nothing has to say that it goes on.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

LOOK_SECS = 1.0
LAST_WORDS_SECS = 5  # a log may be on the same disk


class HangWatch:
    """Counts looks, not seconds: a process that was stopped, or a machine that slept, did not look meanwhile."""

    def __init__(self, looks_max: int) -> None:
        """At the `looks_max`-th look in a row at the same progress it hangs."""
        self._looks_max = looks_max
        self._progress = -1
        self._looks = 0

    def hangs(self, progress: int) -> bool:
        """One look: whether nothing has changed for too long."""
        self._looks = self._looks + 1 if progress == self._progress else 1
        self._progress = progress
        return self._looks >= self._looks_max


def watch(progress: Callable[[], int], limit_secs: float, end: Callable[[], object]) -> None:
    """Look at the owner's progress each LOOK_SECS on a thread of its own, and call `end` where there is none."""
    hang_watch = HangWatch(max(2, round(limit_secs / LOOK_SECS)))
    pause = threading.Event()

    def run() -> None:
        while not hang_watch.hangs(progress()):
            pause.wait(LOOK_SECS)
        end()

    threading.Thread(target=run, name="hang-watch", daemon=True).start()


def end_process(limit_secs: float, code: int) -> None:
    """Say why, with the stacks of all threads, as far as anything can be written; then end at once."""
    signal.alarm(2 * LAST_WORDS_SECS)  # the kernel's: stacks are written with the interpreter held

    def last_words() -> None:
        log.critical(
            "Nimbus has stood still for %.0f s (nimbus.stuck.secs), with a disk that hangs perhaps, and ends so that"
            " another one can lead. Its threads:",
            limit_secs,
        )
        faulthandler.dump_traceback(sys.stderr, all_threads=True)

    try:
        words = threading.Thread(target=last_words, name="last-words", daemon=True)
        words.start()
        words.join(LAST_WORDS_SECS)
    finally:
        os._exit(code)
