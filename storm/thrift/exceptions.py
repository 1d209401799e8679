"""Our errors and Storm's Thrift exceptions: one table, read both ways.

An error for which its method declares no exception travels as a TApplicationException whose text begins
with the name of our class, so that it comes out of `ThriftClient` as what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import storm.errors
from storm.errors import (
    BlobAlreadyExistsError,
    BlobNotFoundError,
    InvalidTopologyError,
    InvalidTransitionError,
    NotAuthorizedError,
    StormError,
    TopologyAlreadyAliveError,
    TopologyNotAliveError,
)
from storm.thrift import interface
from storm.thrift.prescan import I32, STRING

if TYPE_CHECKING:
    from storm.thrift.interface import Struct

# Thrift's own, which no interface declares.
ApplicationException = interface.struct_class(
    "TApplicationException", {1: (STRING, "message", False), 2: (I32, "type", False)}
)
UNKNOWN_METHOD, INVALID_MESSAGE_TYPE, BAD_SEQUENCE_ID, MISSING_RESULT = 1, 2, 4, 5
INTERNAL_ERROR, PROTOCOL_ERROR = 6, 7

EXCEPTION_OF: dict[type[StormError], str] = {
    BlobAlreadyExistsError: "KeyAlreadyExistsException",
    BlobNotFoundError: "KeyNotFoundException",
    InvalidTopologyError: "InvalidTopologyException",
    InvalidTransitionError: "IllegalStateException",
    NotAuthorizedError: "AuthorizationException",
    TopologyAlreadyAliveError: "AlreadyAliveException",
    TopologyNotAliveError: "NotAliveException",
}
ERROR_OF = {exception: error for error, exception in EXCEPTION_OF.items()}


def to_exception(error: StormError) -> Struct | None:
    """The exception of storm.thrift that stands for `error`; None if Storm has none."""
    for cls in type(error).__mro__:
        name = EXCEPTION_OF.get(cls)
        if name is not None:
            return getattr(interface.storm_thrift(), name)(msg=str(error))
    return None


def to_error(exception: Struct) -> StormError:
    """Our error for an exception of storm.thrift."""
    return ERROR_OF.get(type(exception).__name__, StormError)(exception.msg)


def application_exception(kind: int, text: str) -> Struct:
    """A TApplicationException; `kind` is one of the numbers above."""
    return ApplicationException(text, kind)


def application_text(error: StormError) -> str:
    """`error` as a TApplicationException carries it: `NotLeaderError: not the leader, ...`."""
    return f"{type(error).__name__}: {error}"


def application_error(text: str) -> StormError:
    """The error for a TApplicationException's text; a plain StormError if it names no class of ours."""
    name, colon, rest = text.partition(": ")
    cls = getattr(storm.errors, name, None) if colon and name.isidentifier() else None
    if isinstance(cls, type) and issubclass(cls, StormError):
        return cls(rest)
    return StormError(text)
