"""A worker's standard output and error, which its supervisor appends to worker.log.

On a full disk a `print` of user code raises OSError, and the exception of a component ends its worker. The log is the
last thing that a topology should die of: what cannot be written is lost, counted, and told as soon as it can be.
"""

from __future__ import annotations

import io
import sys


class LogFile(io.FileIO):
    """An unbuffered file to write to, whose `write` takes everything and never raises OSError."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._lost_bytes = 0

    def write(self, data: object) -> int:
        """Write all of `data`, any bytes; its size."""
        content = memoryview(data).cast("B")  # type: ignore[arg-type]
        if self._lost_bytes:
            gap = f"({self._lost_bytes:,} bytes of the log could not be written and are lost)\n".encode()
            self._lost_bytes = self._unwritten(gap) and self._lost_bytes
        self._lost_bytes += self._unwritten(content)
        return len(content)

    def _unwritten(self, content: bytes | memoryview) -> int:
        """Write it as far as it goes; how many bytes were left."""
        left = memoryview(content)
        try:
            while left:
                left = left[super().write(left) or len(left) :]
        except OSError:
            return len(left)
        return 0


def tolerate_full_disks() -> None:
    """Let `sys.stdout` and `sys.stderr` of this process, a worker of its own, pass over what cannot be written."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = io.TextIOWrapper(LogFile(descriptor), encoding="utf-8", errors="backslashreplace", write_through=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
