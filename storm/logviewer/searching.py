"""Searches one log, from either end, or the logs of a worker one after another, within a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from storm.http.problems import Problem
from storm.logviewer.finding import CONTEXT_BYTES, Finder, FoundIn, FoundInFile, FoundInFiles, Match
from storm.logviewer.log_files import open_worker_log
from storm.logviewer.reading import PIECE_BYTES, pieces, read_bytes, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from storm.logviewer.logs import LogName
    from storm.logviewer.reading import Budget


class Wanted(NamedTuple):
    """What to look for, how often, and from which byte of the first file on."""

    text: str
    matches: int
    start: int = 0

    @property
    def needle(self) -> bytes:
        return self.text.encode()


def search(file: BinaryIO, wanted: Wanted, budget: Budget, *, is_packed: bool) -> FoundIn:
    """Raises Problem 422 for a packed log that is damaged."""
    begin = max(0, wanted.start - CONTEXT_BYTES)
    finder = Finder(wanted.needle, wanted.matches, begin, wanted.start)
    for data in pieces(file, is_packed=is_packed, start=begin):
        finder.feed(data)
        budget.take(len(data))
        if finder.has_enough:
            break
        if budget.is_spent:
            return FoundIn(finder.matches, wanted.start, finder.position, is_cut=True)
    else:
        finder.finish()
    if not finder.has_enough:
        return FoundIn(finder.matches, wanted.start)
    end = finder.matches[-1].end
    return FoundIn(finder.matches, wanted.start, None if not is_packed and end >= size_of(file) else end)


def from_the_end(file: BinaryIO, needle: bytes, budget: Budget) -> Iterator[Match]:
    """All matches in a log that is not packed, the last one first, until the budget is spent."""
    end = size_of(file)
    while end > 0 and not budget.is_spent:
        begin = max(0, end - PIECE_BYTES)
        finder = Finder(needle, PIECE_BYTES, begin, begin)
        file.seek(begin)
        finder.feed(read_bytes(file, end - begin + len(needle) - 1))  # one may reach over the end
        finder.finish()
        budget.take(end - begin)
        yield from reversed(finder.matches)
        end = begin


def search_files(
    artifacts: Path, names: Sequence[LogName], wanted: Wanted, file_offset: int, budget: Budget
) -> FoundInFiles:
    """As Storm's deep search of one worker: `names` from `file_offset` on, until `wanted.matches` places are found.

    A log that is gone meanwhile, or damaged, is passed over.
    """
    files: list[FoundInFile] = []
    start, left = wanted.start, wanted.matches
    for number in range(file_offset, len(names)):
        if budget.is_spent:
            return FoundInFiles(files, number, is_cut=True)
        name = names[number]
        try:
            with open_worker_log(artifacts, name) as file:
                found = search(file, Wanted(wanted.text, left, start), budget, is_packed=name.is_packed)
        except Problem:
            continue
        finally:
            start = 0
        if found.matches or found.is_cut:
            files.append(FoundInFile(name, found))
        left -= len(found.matches)
        if found.is_cut or left <= 0:
            return FoundInFiles(files, number + (found.next_offset is None), found.is_cut)
    return FoundInFiles(files, len(names))
