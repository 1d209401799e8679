"""Packages, and archives for blobs: the supervisor's own code unpacks them beside files that must not change."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import archives
import tars
from mutator import mutated
from surface import Surface

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from neighbour import Sample

EXTRACTOR = Path(__file__).with_name("package_extractor.py")


class Packages(Surface):
    """It has no port, and no neighbour."""

    name = "package"
    about = "topology packages, as a supervisor unpacks them"
    has_neighbour = False
    nasty = staticmethod(archives.nasty)

    def start(self, directory: Path) -> None:
        self._lock = threading.Lock()
        self.slowest_secs = 0.0
        self._trouble: list[str] = []
        self.taken = 0
        self.refused = 0
        command = [sys.executable, str(EXTRACTOR), self.name, str(directory / "disk")]
        (directory / "disk").mkdir()
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.closing.callback(self._process.communicate)
        self.closing.callback(self._process.kill)

    def processes(self) -> dict[str, int]:
        return {} if self._process.poll() is not None else {"extractor": self._process.pid}

    def samples(self) -> list[Sample]:
        return []

    def change(self, data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
        return self.nasty(rng) if rng.random() < 0.3 else mutated(data, rng, seeds)

    def attack(self, data: bytes, ports: Sequence[int]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock, contextlib.suppress(BrokenPipeError):
            started = time.monotonic()
            self._process.stdin.write(struct.pack(">I", len(data)) + data)
            self._process.stdin.flush()
            answer = self._process.stdout.readline().decode(errors="replace").strip()
            self.slowest_secs = max(self.slowest_secs, time.monotonic() - started)
            self.taken += answer == "taken"
            self.refused += answer == "refused"
            if answer not in {"taken", "refused"}:
                self._trouble.append(answer or "the extractor ended")

    def trouble(self) -> list[str]:
        return self._trouble[:10]

    def notes(self) -> list[str]:
        return [f"{self.taken} archives taken, {self.refused} refused, the slowest in {self.slowest_secs:.2f} s"]


class BlobArchives(Packages):
    name = "blob-archive"
    about = "archives among the blobs, as a supervisor unpacks them"
    nasty = staticmethod(tars.nasty)
