"""What ends a wait: it is made first, so that whoever has news can be given it before there is somebody who waits."""

from __future__ import annotations

import contextlib
import os


class Wakeup:
    """For a selector, which finds it readable once somebody has called `wake`."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._fd

    def wake(self) -> None:
        """End a wait, now or the next one. Any thread and a signal handler may call it."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Who waited has heard of it."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)
