"""Finds a text in a file that comes piece by piece, with what stands around it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from storm.logviewer.logs import LogName

CONTEXT_BYTES = 128  # before and after a match, as in Storm


class Match(NamedTuple):
    """`offset` is where it begins in the file, in bytes."""

    offset: int
    before: bytes
    text: bytes
    after: bytes

    @property
    def end(self) -> int:
        return self.offset + len(self.text)


class FoundIn(NamedTuple):
    """What was found in one log. `next_offset`: where to go on, None: it was searched to its end.

    `is_cut`: the search ended because it had read for too long.
    """

    matches: list[Match]
    start: int
    next_offset: int | None = None
    is_cut: bool = False


class FoundInFile(NamedTuple):
    """What was found in the log of this name."""

    name: LogName
    found: FoundIn


class FoundInFiles(NamedTuple):
    """`file_offset`: which file, by its number, to go on with; behind the last one: all were searched."""

    files: list[FoundInFile]
    file_offset: int
    is_cut: bool = False


class Finder:
    """Takes the bytes of a file from `begin` on, and finds the first `count` places of `needle` from `start` on.

    `begin` may be less than `start`, for what stands before the first match. Matches do not overlap.
    """

    def __init__(self, needle: bytes, count: int, begin: int, start: int) -> None:
        self.matches: list[Match] = []
        self._needle = needle
        self._count = count
        self._window = b""  # of the file, from `_offset` on
        self._offset = begin
        self._looked = start - begin  # no match begins before this place of the window

    @property
    def has_enough(self) -> bool:
        return len(self.matches) >= self._count

    @property
    def position(self) -> int:
        """No match that is not among `matches` begins before this offset of the file."""
        return self._offset + self._looked

    def feed(self, data: bytes) -> None:
        """The next bytes of the file."""
        self._window += data
        self._find(is_last=False)
        cut = min(max(0, self._looked - CONTEXT_BYTES), len(self._window))
        self._window = self._window[cut:]
        self._offset += cut
        self._looked -= cut

    def finish(self) -> None:
        """No more come."""
        self._find(is_last=True)

    def _find(self, *, is_last: bool) -> None:
        size = len(self._needle)
        while not self.has_enough:
            at = self._window.find(self._needle, self._looked)
            if at < 0:
                self._looked = max(self._looked, len(self._window) - size + 1)
                return
            end = at + size
            if not is_last and len(self._window) < end + CONTEXT_BYTES:
                self._looked = at  # what stands behind it has not come
                return
            before = self._window[max(0, at - CONTEXT_BYTES) : at]
            after = self._window[end : end + CONTEXT_BYTES]
            self.matches.append(Match(self._offset + at, before, self._needle, after))
            self._looked = end
