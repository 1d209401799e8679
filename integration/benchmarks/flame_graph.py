"""Sampled stacks as a flame graph (SVG) and as a list of the functions that take most.

Stacks are text as profilers write it: a line each, frames from the outermost in and joined by semicolons, then a space
and how often the stack was seen.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

WIDTH, ROW, FONT = 1200, 17, 11
LETTER = 6.4  # pixels of one, about
NARROWEST = 0.4  # pixels; what is narrower is left out
COLOURS = {"ours": "#e8743b", "python": "#f2c14e", "native": "#9db4c0"}

# Where threads wait: for a lock, a socket, the time. A profiler that looks at native code takes them for running.
WAITING = (
    "PyThread_acquire_lock_timed", "clock_nanosleep", "epoll_wait", "poll", "pthread_cond_timedwait",
    "pthread_cond_wait", "select", "sem_clockwait", "take_gil",
)  # fmt: skip
WAITING_DEPTH = 4  # frames from the innermost

Stacks = Counter[tuple[str, ...]]


class Node:
    """A function as called by those above it; `count` takes in all that it calls."""

    def __init__(self) -> None:
        self.count = 0
        self.below: dict[str, Node] = {}


class Box(NamedTuple):
    name: str
    depth: int
    start: int  # samples to the left of it
    count: int


def read_stacks(text: str) -> Stacks:
    """Raises ValueError at a line that is no stack."""
    stacks: Stacks = Counter()
    for line in text.splitlines():
        frames, _, count = line.rpartition(" ")
        if not count.isdigit():
            raise ValueError(f"no stack and its count: {line!r}")
        stacks[tuple(frames.split(";"))] += int(count)
    return stacks


def running(stacks: Stacks) -> Stacks:
    """Without threads that wait."""
    return Counter({frames: count for frames, count in stacks.items() if not is_waiting(frames)})


def is_waiting(frames: Sequence[str]) -> bool:
    return any(frame.partition(" ")[0] in WAITING for frame in frames[-WAITING_DEPTH:])


def top_self(stacks: Stacks, limit: int) -> list[tuple[str, float]]:
    """The functions that ran themselves most often, with their share of all samples in per cent."""
    counts: Counter[str] = Counter()
    for frames, count in stacks.items():
        counts[frames[-1]] += count
    return [(name, 100 * count / stacks.total()) for name, count in counts.most_common(limit)]


def top_total(stacks: Stacks, limit: int) -> list[tuple[str, float]]:
    """The functions that were anywhere on the stack most often; each once a stack."""
    counts: Counter[str] = Counter()
    for frames, count in stacks.items():
        for name in set(frames):
            counts[name] += count
    return [(name, 100 * count / stacks.total()) for name, count in counts.most_common(limit)]


def tree_of(stacks: Stacks) -> Node:
    root = Node()
    for frames, count in stacks.items():
        node = root
        node.count += count
        for name in frames:
            node = node.below.setdefault(name, Node())
            node.count += count
    return root


def boxes(node: Node, depth: int = 0, start: int = 0) -> Iterator[Box]:
    """Siblings in the order of their names, so that two graphs can be compared."""
    for name, below in sorted(node.below.items()):
        yield Box(name, depth, start, below.count)
        yield from boxes(below, depth + 1, start)
        start += below.count


def kind_of(name: str) -> str:
    """Whose code: of Storm (compiled or not), other Python, or native."""
    if "__pyx_" in name or "storm/" in name or "storm." in name:
        return "ours"
    return "python" if ".py" in name else "native"


def svg(stacks: Stacks, title: str) -> str:
    """One picture, outermost function at the bottom; a box's text in full is its tooltip."""
    total = stacks.total()
    found = [box for box in boxes(tree_of(stacks)) if box.count / total * WIDTH >= NARROWEST]
    height = ROW * (max((box.depth for box in found), default=0) + 3)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
            f' font-family="monospace" font-size="{FONT}">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="4" y="{ROW - 4}">{escape(title)}: {total:,} samples</text>',
            *_rectangles(found, total, height),
            "</svg>\n",
        ]
    )


def _rectangles(found: Iterable[Box], total: int, height: int) -> Iterator[str]:
    scale = WIDTH / total
    for box in found:
        x, width, y = box.start * scale, box.count * scale, height - ROW * (box.depth + 1)
        letters = int(width / LETTER)
        label = box.name if len(box.name) <= letters else f"{box.name[: letters - 1]}…" if letters > 3 else ""
        text = f'<text x="{x + 2:.1f}" y="{y + ROW - 5}">{escape(label)}</text>' if label else ""
        yield (
            f"<g><title>{escape(box.name)}: {100 * box.count / total:.1f} % ({box.count:,})</title>"
            f'<rect x="{x:.1f}" y="{y}" width="{max(width - 0.3, 0.2):.1f}" height="{ROW - 1}"'
            f' fill="{COLOURS[kind_of(box.name)]}"/>{text}</g>'
        )
