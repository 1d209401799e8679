"""Whether blobs come to this host at a pace that is worth waiting for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storm.clock import Clock
    from storm.supervisor.blob_download import Download, Sources, Write

STEADY_BYTES, STEADY_SECS = 1 << 20, 30.0  # below that, 35 kB/s, a link is as good as cut


class Inflow:
    """It `is_steady` while STEADY_BYTES come within STEADY_SECS, of all blobs together: a download that waits for its
    turn waits for those before it. Any thread may use it.
    """

    def __init__(self, clock: Clock, on_steady: Callable[[], None]) -> None:
        """`on_steady` is called where that begins, by the thread that fetches."""
        self._clock = clock
        self._on_steady = on_steady
        self._lock = threading.Lock()
        self._bytes = 0
        self._began_at = clock.now()
        self._steady_until = float("-inf")

    def is_steady(self) -> bool:
        """Whether as much came lately."""
        with self._lock:
            return self._clock.now() < self._steady_until

    def watched(self, open_sources: Callable[[], Sources]) -> Callable[[], Sources]:
        """The same sources; what they give is counted."""

        def opened() -> Sources:
            sources = open_sources()

            def counted(key: str, sha256: str) -> Iterator[Download]:
                for download in sources(key, sha256):
                    yield self._counted(download)

            return counted

        return opened

    def _counted(self, download: Download) -> Download:
        def counted(write: Write) -> None:
            def write_and_count(chunk: bytes) -> None:
                write(chunk)
                self._came(len(chunk))

            download(write_and_count)

        return counted

    def _came(self, count: int) -> None:
        """So many bytes came, and are on the disk."""
        with self._lock:
            now = self._clock.now()
            if now >= self._began_at + STEADY_SECS:
                self._bytes, self._began_at = 0, now
            self._bytes += count
            if self._bytes < STEADY_BYTES:
                return
            self._bytes, self._began_at = 0, now
            is_news = now >= self._steady_until
            self._steady_until = now + STEADY_SECS
        if is_news:
            self._on_steady()
