"""What `--watch` does: look again and again, and show it in place on a terminal, else one look after another."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from storm.cli.interrupts import interrupt
from storm.cli.output import duration
from storm.clock import format_wall
from storm.errors import CoordinationError, NimbusUnreachableError, NotLeaderError, ThriftConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Self, TypeVar

    from storm.clock import Clock

    F = TypeVar("F", bound=Callable[..., Any])

RATE_SECS = 10.0  # rates are over about so long: workers tell their counts every second or two, not at each look
SILENT = (CoordinationError, NimbusUnreachableError, NotLeaderError, ThriftConnectionError)  # what passes by itself
_ALTERNATE_SCREEN, _OWN_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_STYLES = re.compile(r"(\x1b\[[0-9;]*m)")


class Look(NamedTuple):
    """What was seen, and when: `at` on the clock's monotonic time."""

    at: float
    seen: Any


class Silence(NamedTuple):
    """Nimbus has said nothing since `wall_secs`; `why` is what a person is told."""

    wall_secs: int
    why: str


class Watching(NamedTuple):
    """`ask` looks once, and raises StormError. `draw` shows the looks so far, the oldest first, within a width or None.

    `plain` is what --json prints of them.
    """

    ask: Callable[[], Any]
    draw: Callable[[Sequence[Look], int | None], str]
    plain: Callable[[Sequence[Look]], Any]


def watch_options(function: F) -> F:
    """Add `--watch`, `-i SECS` and `--count N`; the command gets `watch`, `interval` and `count`."""
    for option in (
        click.option("--count", type=click.IntRange(min=1), help="With --watch: end after so many looks."),
        click.option(
            "-i",
            "--interval",
            type=click.FloatRange(min=0.1),
            default=2.0,
            show_default=True,
            help="With --watch: seconds between two looks.",
        ),
        click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C."),
    ):
        function = option(function)
    return function


def watch(watching: Watching, clock: Clock, interval: float, count: int | None, as_json: bool) -> None:
    """Until Ctrl-C, or for so many looks. The first look may raise; later Nimbus may be silent for a while."""
    before = signal.signal(signal.SIGTERM, interrupt)  # the terminal is to be left as it was found
    try:
        with Screen(not as_json and sys.stdout.isatty() and os.environ.get("TERM") != "dumb") as screen:
            for number, (looks, silence) in enumerate(_looks(watching.ask, clock), 1):
                if as_json:
                    screen.show(json.dumps(_plain(watching.plain(looks), silence, clock.wall_secs()), default=str))
                else:
                    head = heading(clock.wall_secs(), interval, silence, screen.is_live)
                    screen.show(f"{head}\n\n{watching.draw(looks, screen.width())}")
                if number == count:
                    return
                clock.sleep(interval)
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)


def _looks(ask: Callable[[], Any], clock: Clock) -> Iterator[tuple[list[Look], Silence | None]]:
    """The looks that rates are made of, after each one, and whether it failed."""
    looks: list[Look] = []
    answered = clock.wall_secs()
    while True:
        silence = None
        try:
            seen = ask()
        except SILENT as error:
            if not looks:
                raise
            silence = Silence(answered, str(error))
        else:
            answered = clock.wall_secs()
            looks = recent([*looks, Look(clock.now(), seen)])
        yield looks, silence


def recent(looks: list[Look]) -> list[Look]:
    """The last ones, over RATE_SECS or a little more; two at least."""
    first = 0
    while first + 2 < len(looks) and looks[-1].at - looks[first + 1].at >= RATE_SECS:
        first += 1
    return looks[first:]


def heading(wall_secs: int, interval: float, silence: Silence | None, is_live: bool) -> str:
    """The line above what is shown; two, if Nimbus is silent."""
    if silence is not None:
        since = f"since {format_wall(silence.wall_secs)}, for {duration(wall_secs - silence.wall_secs)}"
        text = click.style(f"Nimbus has not answered {since}; below is what it said last", fg="red")
        return f"{text}\n{' '.join(silence.why.split())}"
    hint = f"  every {interval:g} s, Ctrl-C ends it" if is_live else ""
    return click.style(f"{format_wall(wall_secs)}{hint}", dim=True)


def _plain(plain: Any, silence: Silence | None, wall_secs: int) -> dict[str, Any]:
    if silence is None:
        return {"time_secs": wall_secs, "seen": plain}
    return {"time_secs": wall_secs, "silent_since_secs": silence.wall_secs, "why": silence.why, "seen": plain}


class Screen:
    """A context manager. One that is live has the terminal for itself; what was shown last stays there afterwards."""

    def __init__(self, is_live: bool, size: Callable[[], tuple[int, int]] = shutil.get_terminal_size) -> None:
        """`size`: columns and rows."""
        self.is_live = is_live
        self._size = size
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._shown:
            click.echo(f"{_OWN_SCREEN}{self._shown}")

    def width(self) -> int | None:
        """None: as wide as it likes."""
        return self._size()[0] if self.is_live else None

    def show(self, text: str) -> None:
        """In place of what is there."""
        if self.is_live:
            if not self._shown:
                click.echo(_ALTERNATE_SCREEN, nl=False)
            self._shown = text
            click.echo(frame(text, *self._size()), nl=False)
        else:
            click.echo(text)


def frame(text: str, columns: int, rows: int) -> str:
    """What draws `text` over a screen of this size; what does not fit is left out, and said."""
    lines = text.splitlines()
    if len(lines) > rows:
        left = len(lines) - rows + 1
        lines = [*lines[: rows - 1], click.style(f"... {left} more lines: the window is too small", dim=True)]
    return "\x1b[H" + "\n".join(f"{cut(line, columns)}\x1b[K" for line in lines) + "\x1b[J"


def cut(line: str, columns: int) -> str:
    """Its first characters; styles take no room, and what is cut off ends them."""
    kept, room = [], columns
    for part in _STYLES.split(line):
        if _STYLES.fullmatch(part):
            kept.append(part)
            continue
        kept.append(part[:room])
        room -= len(part[:room])
    return "".join(kept)
