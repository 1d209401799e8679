"""Part of a worker's log as a page shows it: of which file, which bytes, in whole lines, with marks at a text; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from storm.http.problems import Problem
from storm.log_names import OLD_LOGS_KEPT, WORKER_LOG, is_put_aside
from storm.ui.rest.requests import search_text

if TYPE_CHECKING:
    from collections.abc import Mapping

PART_BYTES = 64 << 10
OFFSET_MAX = 2**53
MARKS_MAX, MARKS_IN_RECORD_MAX = 1_000, 20  # each is an element of the page
SHOWN_CHARS = 60
# Colours and the like that are meant for terminals, and what else is no text.
UNSEEN = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")

Pieces: TypeAlias = tuple[tuple[str, bool], ...]  # of a text, and whether each is marked


class Wanted(NamedTuple):
    """The bytes from `start` on, or those up to `end`; neither: the last ones. `text` is marked. `file`: as
    `is_worker_log`.
    """

    start: int | None = None
    end: int | None = None
    text: str = ""
    file: str = WORKER_LOG

    def asked(self) -> tuple[int, int]:
        """Offset and length, as `readWorkerLog` takes them."""
        if self.start is not None:
            return self.start, PART_BYTES
        if self.end is None:
            return -PART_BYTES, PART_BYTES
        begin = max(0, self.end - PART_BYTES)
        return begin, self.end - begin

    def is_behind(self, size: int) -> bool:
        """Whether a log of that size, which may have been put aside meanwhile, does not reach so far."""
        place = self.end if self.start is None else self.start
        return place is not None and place > size


class Part(NamedTuple):
    """Bytes `begin` to `end` of a log of `size` bytes."""

    pieces: Pieces
    begin: int
    end: int
    size: int


def wanted(query: Mapping[str, str]) -> Wanted:
    """Raises Problem 400."""
    file = query.get("file") or WORKER_LOG
    if not is_worker_log(file):
        old = f"{WORKER_LOG}.1 to .{OLD_LOGS_KEPT}"
        raise Problem(400, f"file is {WORKER_LOG}, or one of {old}, not {file[:SHOWN_CHARS]!r}.")
    return Wanted(_offset(query, "start"), _offset(query, "end"), search_text(query), file)


def is_worker_log(file: str) -> bool:
    """Whether it is a worker's present log, or one that was put aside."""
    return file == WORKER_LOG or is_put_aside(file)


def part(asked: Wanted, data: bytes, offset: int, size: int) -> Part:
    """Of what stands at `offset`: its whole lines, but for one that is longer than all of it."""
    begin = offset
    if asked.start is None and offset > 0:
        cut = data.find(b"\n") + 1
        if cut < len(data):
            data, begin = data[cut:], offset + cut
    if asked.start is not None and offset + len(data) < size:
        data = data[: data.rfind(b"\n") + 1] or data
    return Part(marked(shown(data), asked.text), begin, begin + len(data), size)


def shown(data: bytes | str) -> str:
    """Logs hold what anybody printed."""
    return UNSEEN.sub("", data if isinstance(data, str) else data.decode(errors="replace"))


def marked(text: str, what: str, places: int = MARKS_MAX) -> Pieces:
    """The text in pieces: `what` is marked, at so many places."""
    if not what:
        return ((text, False),)
    first, *others = text.split(what, places)
    pieces = [(first, False)]
    for other in others:
        pieces += [(what, True), (other, False)]
    return tuple(piece for piece in pieces if piece[0])


def _offset(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    found = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(OFFSET_MAX)) else -1
    if not 0 <= found <= OFFSET_MAX:
        raise Problem(400, f"{name} is a whole number of bytes, not {text[:SHOWN_CHARS]!r}.")
    return found
