"""How people are told of times, shares and errors, on every way on which they are told; pure."""

from __future__ import annotations

UNITS = ((60, "s"), (60, "m"), (24, "h"))
ERROR_CHARS = 200  # of a component's last error, as in Storm; its page has the whole text


def pretty_secs(secs: int | None) -> str:
    """As Storm writes it, `1d 2h 3m 4s`, without the units in front that are 0; None (not known yet) is as 0."""
    left = max(0, int(secs or 0))
    parts: list[str] = []
    for size, unit in UNITS:
        parts.append(f"{left % size}{unit}")
        left //= size
        if left == 0:
            return " ".join(reversed(parts))
    return " ".join([f"{left}d", *reversed(parts)])


def percent(share: float) -> str:
    """`42 %`, below 10 % with a decimal. Of what is not nothing never 0 %, but 0.1 %."""
    found = round(100 * share, 1)
    return f"{found:.0f} %" if found >= 10 or share == 0 else f"{max(found, 0.1):.1f} %"


def headline(error: str) -> str:
    """What a person sees first of an error: of a Python traceback its last line, which says what happened; else the
    first line."""
    lines = error.strip().splitlines() or [""]
    return (lines[-1] if lines[0].startswith("Traceback") else lines[0])[:ERROR_CHARS]


def clause(text: str) -> str:
    """As a part of a sentence: on one line, without its end."""
    return " ".join(text.split()).rstrip(".")


def sentence(text: str) -> str:
    return f"{clause(text)}."


def tuples(count: int) -> str:
    return "1 tuple" if count == 1 else f"{count:,} tuples"
