"""What a request asks for, read from its query; what is wrong in it is a Problem of status 400. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from storm.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE_BYTES = 51_200  # Storm's
PAGE_BYTES_MAX = 1 << 19  # many may ask at a time, and each part is in memory several times over
NEEDLE_BYTES_MAX = 1_024  # Storm's
MATCHES, DEEP_MATCHES, MATCHES_MAX = 10, 1, 1_000  # the first two are Storm's
OFFSET_MAX = 2**53  # larger numbers are not whole ones for a page's script
SHOWN_CHARS = 60
YES, NO = {"true", "yes", "1", "on"}, {"false", "no", "0", ""}


class PageWanted(NamedTuple):
    """Part of a log. `start` None: its last `length` bytes. `grep`: only lines with this text; empty: all.

    `head`: what an earlier answer said of the log's beginning; where that is another now, the log is read from there.
    """

    start: int | None
    length: int
    grep: str = ""
    head: str = ""


def page_wanted(query: Mapping[str, str]) -> PageWanted:
    start = whole(query, "start", 0, 0, OFFSET_MAX) if query.get("start") else None
    length = whole(query, "length", PAGE_BYTES, 1, PAGE_BYTES_MAX)
    return PageWanted(start, length, query.get("grep", ""), query.get("head", ""))


def search_text(query: Mapping[str, str]) -> str:
    text = query.get("search-string", "")
    if not 1 <= len(text.encode(errors="replace")) <= NEEDLE_BYTES_MAX:
        raise Problem(400, f"search-string is a text of 1 to {NEEDLE_BYTES_MAX} bytes.")
    return text


def matches_wanted(query: Mapping[str, str], default: int) -> int:
    return whole(query, "num-matches", default, 1, MATCHES_MAX)


def offset(query: Mapping[str, str], name: str) -> int:
    """0 where it is not told."""
    return whole(query, name, 0, 0, OFFSET_MAX)


def is_yes(query: Mapping[str, str], name: str) -> bool:
    """Whether it is asked for; not where nothing is told."""
    text = query.get(name, "").lower()
    if text not in YES | NO:
        raise Problem(400, f"{name} is true or false, not {text[:SHOWN_CHARS]!r}.")
    return text in YES


def needed(query: Mapping[str, str], name: str) -> str:
    found = query.get(name, "")
    if not found:
        raise Problem(400, f"{name} is missing in the query.")
    return found


def whole(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A whole number within bounds, both included; `default` where it is missing or empty."""
    text = query.get(name, "")
    if not text:
        return default
    found = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) else -1
    if not least <= found <= most:
        raise Problem(400, f"{name} is a whole number from {least} to {most}, not {text[:SHOWN_CHARS]!r}.")
    return found
