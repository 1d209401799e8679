"""How a record stands in a worker's log: made by workers, read by whoever shows logs. Text, or a JSON object a line.

    2026-01-31T23:59:59.123Z INFO [words-1-1769900000/node-1:6700/split/7] app.orders: took 3 orders

In the brackets are topology, worker, component and task, the latter two only where the record was made by a component;
none of them has a slash. Lines that begin otherwise belong to the record before them: tracebacks, what is printed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TEXT, JSON = "text", "json"  # `topology.worker.log.format`
NONE = "-"

_STAMP = r"(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]\d{3})Z?"
_PLACE = r"(?:-|[^/\]]+/(?P<worker>(?:\[[^/\[\]]*\])?[^/\[\]]+)(?:/(?P<component>[^/]+)/(?P<task>\d+|-))?)"
# Text, which `re` compiles at its first use and keeps: workers import this, and read no log.
_OURS = _STAMP + r" (?P<level>\S+|Level \d+) \[" + _PLACE + r"\] (?P<logger>.*?): (?P<message>.*)"
# What a user's own format, or another release, may have written.
_OTHER = _STAMP + r"\s*(?:(?P<level>DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\b)?[\s:-]*(?P<message>.*)"


class Place(NamedTuple):
    """Where a record comes from. `worker`: host:port. `task` None: of a component, but of none of its tasks alone."""

    topology: str
    worker: str
    component: str | None = None
    task: int | None = None

    def __str__(self) -> str:
        if self.component is None:
            return f"{self.topology}/{self.worker}"
        return f"{self.topology}/{self.worker}/{self.component}/{NONE if self.task is None else self.task}"


@dataclass(frozen=True, slots=True)
class Record:
    """What a log says of one record. `time`: UTC, `2026-01-31T23:59:59.123`, "" if not known; in order as texts.

    `message` includes the lines that followed; `lines` are as they stood in the log. `level` and `logger` None: the
    line does not say. `continues`: these lines belong to a record that was read before, whose time and place they have.
    """

    time: str
    level: str | None
    logger: str | None
    component: str | None
    task: int | None
    message: str
    lines: tuple[str, ...]
    continues: bool = False


def text_line(place: Place | None, time: str, level: str, logger: str, message: str) -> str:
    """The line (or lines, if the message has several) of a record. `time` as `clock.format_utc` makes it."""
    return f"{time} {level} [{NONE if place is None else place}] {logger}: {message}"


def json_line(place: Place | None, fields: Mapping[str, Any], extra: Mapping[str, Any]) -> str:
    """One line. `fields`: time, level, logger, message and what else there is; None is left out.

    `extra` is what a user added; a value that JSON does not have becomes text.
    """
    told = {**fields, **(place._asdict() if place is not None else {})}
    told = {key: value for key, value in told.items() if value is not None}
    if not extra:
        return json.dumps(told, ensure_ascii=False)
    try:
        return json.dumps({**told, "extra": extra}, ensure_ascii=False, default=str, allow_nan=False)
    except Exception:  # noqa: BLE001 - keys, circles, not-a-numbers, and whatever a user's `__str__` raises
        shown = {str(key): _shown(value) for key, value in extra.items()}
        return json.dumps({**told, "extra": shown}, ensure_ascii=False)


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001
        return "a value that cannot be shown"


def records(lines: Iterable[str], before: Record | None = None) -> list[Record]:
    """The records that these lines of a log are; `before` is the last one that was read of it earlier."""
    found: list[Record] = []
    more: list[str] = []
    for line in lines:
        begun = _begin(line)
        if begun is None:
            more.append(line)
            continue
        _add(found, more, before)
        more = []
        found.append(begun)
    _add(found, more, before)
    return found


def readable(lines: Iterable[str]) -> list[str]:
    """The same lines, but what is JSON as text: with a traceback in lines of its own."""
    found = []
    for line in lines:
        told = _of_json(line)
        found += [line] if told is None else f"{told.time}Z {told.level} {told.logger}: {told.message}".split("\n")
    return found


def _add(found: list[Record], more: list[str], before: Record | None) -> None:
    """Put lines that begin no record where they belong."""
    if not more:
        return
    text = "\n".join(more)
    if found:
        last = found[-1]
        found[-1] = replace(last, message=f"{last.message}\n{text}", lines=(*last.lines, *more))
    elif before is not None:
        found.append(replace(before, message=text, lines=tuple(more), continues=True))
    else:
        found.append(Record("", None, None, None, None, text, tuple(more), continues=True))


def _begin(line: str) -> Record | None:
    told = _of_json(line)
    if told is not None:
        return told
    match = re.match(_OURS, line)
    if match is None:
        match = re.match(_OTHER, line)
        if match is None:
            return None
        return Record(_time(match["time"]), match["level"], None, None, None, match["message"], (line,))
    task = match["task"]
    return Record(
        _time(match["time"]),
        match["level"],
        match["logger"],
        match["component"],
        None if task in (None, NONE) else int(task),
        match["message"],
        (line,),
    )


def _of_json(line: str) -> Record | None:
    """None: it is no record in JSON."""
    if not line.startswith('{"time": "'):
        return None
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    time, level, logger, component = (_text(told.get(key)) for key in ("time", "level", "logger", "component"))
    message, task = told.get("message", ""), told.get("task")
    match = re.fullmatch(_STAMP, time or "")
    if match is None:
        return None
    parts = [str(message), *(str(told[key]) for key in ("exception", "stack") if told.get(key))]
    number = task if isinstance(task, int) else None
    return Record(_time(match["time"]), level, logger, component, number, "\n".join(parts), (line,))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _time(stamp: str) -> str:
    return stamp.replace(" ", "T").replace(",", ".")
