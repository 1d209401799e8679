"""What a run leaves behind: the lines that spouts and sinks of topologies/numbered.py wrote, as plain data.

Times are seconds of the machine's monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003
from pathlib import Path  # noqa: TC003
from typing import NamedTuple


class Ack(NamedTuple):
    """A spout heard that its number was processed."""

    number: int
    at: float
    pid: int


class LedgerLine(NamedTuple):
    """A sink got a number, the `attempt`-th time that the `incarnation`-th spout of it sent it. `sender`: the process
    of the bolt in the middle that it came from.
    """

    number: int
    incarnation: int
    attempt: int
    at: float
    is_sound: bool  # whether its payload was the number's own
    task: int
    pid: int
    part: int = 0  # of the parts that were made of the number on its way
    sender: int = 0


class Run(NamedTuple):
    """All of one run. `given_up`: numbers that the source put aside after too many attempts. `parts`: of how many lines
    each number has one.
    """

    messages: int
    acks: list[Ack]
    lines: list[LedgerLine]
    fails: list[Ack]  # of the same shape: number, time, process
    given_up: frozenset[int] = frozenset()
    parts: int = 1


def read_run(directory: Path, messages: int, parts: int = 1) -> Run:
    """What is in the directory so far. A line that is not whole yet is left out."""
    return Run(
        messages,
        sorted(_acks(directory, "acked"), key=lambda ack: ack.at),
        sorted(_ledger(directory), key=lambda line: line.at),
        sorted(_acks(directory, "failed"), key=lambda fail: fail.at),
        frozenset(ack.number for ack in _acks(directory, "given-up")),
        parts,
    )


def _acks(directory: Path, kind: str) -> Iterator[Ack]:
    for path in directory.glob(f"{kind}-*"):
        pid = int(path.name.rpartition("-")[2])
        for number, at in whole_lines(path):
            yield Ack(int(number), float(at), pid)


def _ledger(directory: Path) -> Iterator[LedgerLine]:
    for path in directory.glob("ledger-*"):
        _, task, pid = path.name.split("-")
        for number, incarnation, attempt, at, sound, part, sender in whole_lines(path):
            yield LedgerLine(
                int(number), int(incarnation), int(attempt), float(at), sound == "ok", int(task), int(pid), int(part),
                int(sender),
            )  # fmt: skip


def whole_lines(path: Path) -> list[list[str]]:
    """The words of each line that ends."""
    text = path.read_text()
    return [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]


class Progress:
    """How many different numbers were acked or given up so far, read a little at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._offsets: dict[Path, int] = {}
        self._done: set[int] = set()

    def count(self) -> int:
        for kind in ("acked", "given-up"):
            for path in self._directory.glob(f"{kind}-*"):
                with path.open() as file:
                    file.seek(self._offsets.get(path, 0))
                    text = file.read()
                whole = text[: text.rfind("\n") + 1]
                self._offsets[path] = self._offsets.get(path, 0) + len(whole)
                self._done.update(int(line.split()[0]) for line in whole.splitlines())
        return len(self._done)
