"""What commands print: tables, numbered steps with times, a progress bar, JSON."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storm.clock import Clock

BAR_WIDTH = 24
UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


# Characters that a terminal obeys, or that turn the order of what follows: all but the colours of a text.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_COLOUR = re.compile(r"\x1b\[[0-9;:]{0,40}m")
NO_COLOUR = "\x1b[0m"


def printable(text: str, *, lines: bool = False, colours: bool = False) -> str:
    """A text of users for a terminal: a control character in it is shown (`\\x1b`), and does nothing.

    `lines`: it may have several, and tabs. `colours`: it may have colours, which end with it.
    """
    found = text if lines else text.replace("\n", "\\n").replace("\t", "\\t")
    if not colours or not _COLOUR.search(found):
        return _OBEYED.sub(_shown, found)
    plain, ends = _COLOUR.split(found), _COLOUR.findall(found)
    parts = [_OBEYED.sub(_shown, part) for part in plain]
    return "".join(part + end for part, end in zip(parts, [*ends, NO_COLOUR], strict=True))


def _shown(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


class Toned(NamedTuple):
    """A cell of a table in a colour of click's; None: in none."""

    value: object
    colour: str | None


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need to be; numbers to the right."""
    toned = [[value if isinstance(value, Toned) else Toned(value, None) for value in row] for row in rows]
    cells = [[Toned(_cell(value), colour) for value, colour in row] for row in toned]
    widths = [max([len(name), *(len(str(row[i].value)) for row in cells)]) for i, name in enumerate(head)]
    numeric = [
        bool(rows) and all(isinstance(row[i].value, int | float) or row[i].value is None for row in toned)
        for i in range(len(head))
    ]

    def line(row: Sequence[Toned]) -> str:
        padded = [
            str(cell.value).rjust(width) if right else str(cell.value).ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        padded[-1] = padded[-1].rstrip()
        coloured = [
            text if cell.colour is None else click.style(text, fg=cell.colour)
            for text, cell in zip(padded, row, strict=True)
        ]
        return "  ".join(coloured).rstrip()

    return "\n".join([line([Toned(name, None) for name in head]), *map(line, cells)])


def narrow_table(
    head: Sequence[str], rows: Sequence[Sequence[object]], width: int | None, dispensable: Sequence[str]
) -> str:
    """A table of at most `width` characters, if that can be had by leaving out dispensable columns, the first first."""
    left = list(dispensable)
    while True:
        shown = table(head, rows)
        if width is None or not left or max(len(click.unstyle(line)) for line in shown.splitlines()) <= width:
            return shown
        name = left.pop(0)
        if name in head:
            at = head.index(name)
            head = [*head[:at], *head[at + 1 :]]
            rows = [[*row[:at], *row[at + 1 :]] for row in rows]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def plural(count: int, noun: str) -> str:
    """`1 spout`, `2 spouts`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(secs: float) -> str:
    """Two units at most: `3 d 4 h`, `12 s`."""
    left = int(secs)
    parts: list[str] = []
    for size, unit in UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) if parts else "0 s"


def size(size_bytes: float) -> str:
    """`1.2 MB` and the like."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1_000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1_000
    return f"{size_bytes:.1f} GB"


def print_json(value: Any) -> None:
    """Indented, keys in the order given."""
    click.echo(json.dumps(value, indent=2, default=str))


class Steps:
    """`[2/5] uploading 1.2 MB ... 0.3 s`: numbered steps of a long operation, each with its time.

    On a terminal the line of a running step is redrawn with its progress; elsewhere it is printed once, when done.
    """

    def __init__(self, count: int, clock: Clock, quiet: bool = False) -> None:
        self._count = count
        self._clock = clock
        self._quiet = quiet
        self._number = 0
        self._text = ""
        self._started = 0.0
        self._live = sys.stdout.isatty() and not quiet
        self._open = False

    def start(self, text: str) -> None:
        """End the step before, if one runs, and begin the next."""
        self.done()
        self._number += 1
        self._text, self._started, self._open = text, self._clock.now(), True
        self._draw("...")

    def progress(self, done: int, total: int) -> None:
        """Show how far the running step is."""
        filled = BAR_WIDTH if total <= 0 else min(BAR_WIDTH, BAR_WIDTH * done // total)
        self._draw(f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]")

    def note(self, text: str) -> None:
        """Show what the running step waits for."""
        self._draw(f"... {text}")

    def done(self, result: str = "") -> None:
        """End the running step, with a word on what came out."""
        if not self._open or self._quiet:
            self._open = False
            return
        self._open = False
        took = f"{self._clock.now() - self._started:.1f} s"
        if self._live:
            click.echo("\r\033[K", nl=False)
        click.echo(f"{self._label()}{': ' + result if result else ''}  {click.style(took, dim=True)}")

    def failed(self, how: str = "failed") -> None:
        """End the running step's line; the error is printed by whoever caught it."""
        if self._open and not self._quiet:
            if self._live:
                click.echo("\r\033[K", nl=False)
            click.echo(f"{self._label()}: {click.style(how, fg='red')}")
        self._open = False

    def _label(self) -> str:
        return f"[{self._number}/{self._count}] {self._text}"

    def _draw(self, tail: str) -> None:
        if self._live and self._open:
            click.echo(f"\r\033[K{self._label()} {tail}", nl=False)
