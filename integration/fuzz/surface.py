"""What a fuzzed port is, and how bytes are brought to one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from corpus import load
from mutator import mutated
from neighbour import CALLERS, HOST, Sample, samples

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from corpus import Case

ANSWER_SECS = 2.0  # for which a case waits until the server has closed its connection
CONNECT_SECS = 10.0
ANSWER_BYTES_MAX = 64 << 20


class Surface:
    """One port of a real daemon, a neighbour that calls it, and the cases that it is given.

    A later port (DRPC) is a subclass and a line in `surfaces.SURFACES`.
    """

    name = ""
    about = ""
    ports: tuple[int, ...] = ()  # where the bytes go; none where they go another way
    has_neighbour = True
    handshake = b""  # what makes a guest of one who connects, where the port knows such
    endless: tuple[bytes, bytes] | None = None  # how a message without an end begins, and what it goes on with

    def __init__(self) -> None:
        self.closing = contextlib.ExitStack()  # what was started, also where the rest could not be

    def start(self, directory: Path) -> None:
        """Start the daemons, and the neighbour; note in `closing` how each is ended."""
        raise NotImplementedError

    def close(self) -> None:
        """End all that was started."""
        self.closing.close()

    def processes(self) -> dict[str, int]:
        """{name: process id} of what must live; each process is a new one when it was started again."""
        raise NotImplementedError

    def samples(self) -> list[Sample]:
        """The neighbour's calls so far."""
        raise NotImplementedError

    def seeds(self) -> list[Case]:
        """What is sent first, and then changed."""
        return load(self.name)

    def change(self, data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
        """Change a case once, knowing what its bytes mean."""
        return mutated(data, rng, seeds)

    def attack(self, data: bytes, ports: Sequence[int]) -> None:
        """Bring one case to one of `ports`, and wait until the daemon is done with it."""
        send_case(data, ports[len(data) % len(ports)])

    def serves_new_client(self) -> bool:
        """Whether a good client that has just come is served."""
        return is_served(self.name, self.ports[0])

    def crowded(self) -> list[tuple[int, ...]]:
        """To which ports crowds come: of idle connections a whole one to each group, one after the other."""
        return [self.ports]

    def trouble(self) -> list[str]:
        """What else went wrong, once the run is over."""
        return []

    def notes(self) -> list[str]:
        """What is worth to be known beside the figures."""
        return []


class Neighbour:
    """neighbour.py as a process."""

    def __init__(self, kind: str, port: int, directory: Path) -> None:
        self._file = directory / f"neighbour-{kind}.txt"
        command = [sys.executable, str(Path(__file__).with_name("neighbour.py")), kind, str(port), str(self._file)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with (directory / f"neighbour-{kind}.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        until = time.monotonic() + CONNECT_SECS
        while not self.samples():
            assert time.monotonic() < until, f"the neighbour did not begin to call {kind}"
            time.sleep(0.02)

    def samples(self) -> list[Sample]:
        return samples(self._file)

    def close(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def is_served(kind: str, port: int) -> bool:
    """Whether a good client of this kind that has just come is served there."""
    try:
        with contextlib.closing(CALLERS[kind](port)) as caller:
            caller.call()
    except Exception:  # noqa: BLE001  it is not, for whatever reason
        return False
    return True


def send_case(data: bytes, port: int) -> None:
    """Send the bytes, say that no more come, and take what is answered until the server closes."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=CONNECT_SECS) as sock:
        sock.settimeout(ANSWER_SECS)
        with contextlib.suppress(OSError):  # closed in the middle: then it is not read either
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        left = ANSWER_BYTES_MAX
        while left > 0 and (part := sock.recv(1 << 16)):
            left -= len(part)
