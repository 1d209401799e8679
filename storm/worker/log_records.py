"""Records of logging in a worker: where each comes from, and how it stands in the log.

Users' loggers, handlers and `extra` work as anywhere. Every record has the attributes `topology`, `worker`,
`component` and `task`, the last two None where no component made it; an `extra` of such a name goes before ours.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from storm.clock import format_utc
from storm.executor.call_owner import innermost_owner
from storm.log_lines import JSON, Place, json_line, text_line

if TYPE_CHECKING:
    from storm.executor.call_owner import Owners

PLACE = "storm_place"
_OURS = frozenset({*Place._fields, PLACE})
_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


class Attributes(dict[str, Any]):
    """A record's attributes. It denies that it has ours: `logging` refuses an `extra` that overwrites an attribute."""

    def __contains__(self, name: object) -> bool:
        return name not in _OURS and super().__contains__(name)


def attributes_of(place: Place) -> dict[str, Any]:
    """What a record from there has, as `extra` too."""
    return {**place._asdict(), PLACE: place}


class PlacedRecords:
    """A factory of records for `logging.setLogRecordFactory`. Until there are `owners` none is a component's."""

    def __init__(self, topology: str, worker: str) -> None:
        self.owners: Owners = {}
        self._worker = Place(topology, worker)
        self._make = logging.getLogRecordFactory()

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        place = self._worker
        owner = innermost_owner(sys._getframe(1), self.owners)
        if owner is not None:
            place = place._replace(component=owner[0].component, task=owner[1])
        record.__dict__ = Attributes({**record.__dict__, **attributes_of(place)})
        return record


class TextFormatter(logging.Formatter):
    """A line for each record; a traceback follows in lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        time = format_utc(record.created)
        return text_line(record.__dict__.get(PLACE), time, record.levelname, record.name, record.message)


class JsonFormatter(logging.Formatter):
    """A JSON object for each record, in one line."""

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        fields = {
            "time": format_utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "thread": record.threadName,
            "exception": record.exc_text,
            "stack": record.stack_info,
        }
        place = record.__dict__.get(PLACE)
        return json_line(place, fields, _extra(record, place))


def _extra(record: logging.LogRecord, place: Place | None) -> dict[str, Any]:
    """What the user gave the record beyond logging's own."""
    ours = {} if place is None else attributes_of(place)
    return {
        name: value
        for name, value in record.__dict__.items()
        if name not in _STANDARD and not (name in ours and value is ours[name]) and name != PLACE
    }


def begin(topology: str, worker: str, form: str) -> PlacedRecords:
    """From now on this process's records say where they come from; `form` as `topology.worker.log.format`."""
    made = PlacedRecords(topology, worker)
    logging.setLogRecordFactory(made)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonFormatter() if form == JSON else TextFormatter())
    return made
