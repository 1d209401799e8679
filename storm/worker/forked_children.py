"""What a component's `fork` inherits of its worker, and should not."""

from __future__ import annotations

import os
import signal
import threading

ENDING = signal.SIGTERM


def end_as_any_process() -> None:
    """From now on children that this process forks end when they are sent SIGTERM, as `multiprocessing.Pool` does to
    its own and then waits for them. The worker's handler, which they inherit, only tells the worker.

    It is kept back while a child begins: Python would forget a signal that comes before the handler is replaced.
    """
    held = threading.local()

    def before() -> None:
        held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {ENDING})

    def after_in_parent() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

    def after_in_child() -> None:
        signal.signal(ENDING, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask - {ENDING})

    os.register_at_fork(before=before, after_in_parent=after_in_parent, after_in_child=after_in_child)
