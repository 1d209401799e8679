"""What a component's `fork` inherits of its worker, and should not."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# As in any Python process.
OWN: dict[signal.Signals, Callable[[int, FrameType | None], Any] | signal.Handlers] = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
}


def end_as_any_process() -> None:
    """From now on children that this process forks do on SIGTERM and SIGINT what any process does, where they have
    the handlers that it has now: those only tell the worker. `multiprocessing.Pool` sends SIGTERM to its children, and
    then waits for them.

    SIGTERM is kept back while a child begins: Python would forget one that comes before its handler is replaced.
    """
    inherited = {number: signal.getsignal(number) for number in OWN}
    held = threading.local()

    def before() -> None:
        held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def after_in_parent() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

    def after_in_child() -> None:
        for number, handler in OWN.items():
            if signal.getsignal(number) is inherited[number]:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

    os.register_at_fork(before=before, after_in_parent=after_in_parent, after_in_child=after_in_child)
