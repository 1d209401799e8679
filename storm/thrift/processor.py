"""One Thrift call: a message in, the handler's method called, the reply out; bytes both, no sockets."""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.errors import NotServedError, StormError, ThriftProtocolError
from storm.log_repeats import is_logged
from storm.thrift import interface, prescan
from storm.thrift.binary_protocol import encode_message, read_scanned
from storm.thrift.exceptions import (
    INTERNAL_ERROR,
    INVALID_MESSAGE_TYPE,
    PROTOCOL_ERROR,
    UNKNOWN_METHOD,
    application_exception,
    application_text,
    to_exception,
)
from storm.thrift.prescan import CALL, EXCEPTION, ONEWAY, REPLY, STRUCT, MessageHeader, ScanLimits

if TYPE_CHECKING:
    from storm.thrift.interface import Struct

log = logging.getLogger(__name__)

_DEFAULT_LIMITS = ScanLimits()


class Call(NamedTuple):
    """A call whose message was sound, and its arguments in order."""

    header: MessageHeader
    arguments: list[Any]


class Processor:
    """Calls the methods of `handler`: named as in storm.thrift, they take its structs and return them."""

    def __init__(self, service_name: str, handler: object, limits: ScanLimits = _DEFAULT_LIMITS) -> None:
        """Raises ValueError if storm.thrift has no service `service_name`."""
        self._service = interface.service(service_name)
        self._handler = handler
        self._limits = limits
        self._failures: Counter[tuple[str, str]] = Counter()

    def process(self, frame: bytes) -> bytes | None:
        """The reply to the message in `frame`; None if it wants none. Raises what `decode` raises."""
        found = self.decode(frame)
        return self.run(found) if isinstance(found, Call) else found

    def decode(self, frame: bytes) -> Call | bytes | None:
        """The call in `frame`, or the reply (None: it wants none) that says why there is none to be made.

        Raises ThriftProtocolError if not even the message's header can be read: nobody is there to answer.
        """
        header = prescan.read_header(frame, self._limits)
        try:
            if header.kind not in (CALL, ONEWAY):
                return self._failure(header, INVALID_MESSAGE_TYPE, "only calls can be sent to a server")
            prescan.scan_struct(frame, header.body_offset, self._limits)
            method, name = header.method, self._service.__name__
            if method not in self._service.thrift_services:
                return self._failure(header, UNKNOWN_METHOD, f"{name} has no method {method!r}")
            if getattr(self._handler, method, None) is None:
                return self._failure(header, UNKNOWN_METHOD, not_served(name, method))
            return Call(header, self._arguments(method, frame, header.body_offset))
        except ThriftProtocolError as error:
            return self._failure(header, PROTOCOL_ERROR, str(error))

    def run(self, call: Call) -> bytes | None:
        """Make the call; its reply, None if it wants none."""
        header, arguments = call
        method, name = header.method, self._service.__name__
        result = getattr(self._service, f"{method}_result")()
        try:
            answer = getattr(self._handler, method)(*arguments)
            if 0 in result.thrift_spec:
                assert answer is not None, f"{method} has a result and its handler returned none"
                result.success = answer
            return self._reply(header, REPLY, result)
        except NotServedError as error:
            return self._failure(header, UNKNOWN_METHOD, str(error) or not_served(name, method))
        except StormError as error:
            if _declare(result, error):
                return self._reply(header, REPLY, result)
            return self._failure(header, INTERNAL_ERROR, application_text(error))
        except Exception as error:  # noqa: BLE001  a bug in one method: its caller is told, the daemon goes on
            self._note_failure(name, method, error)
            text = f"{method} failed inside the server, whose log tells more: {type(error).__name__}: {error}"
            return self._failure(header, INTERNAL_ERROR, text)

    def _note_failure(self, name: str, method: str, error: Exception) -> None:
        """A client can repeat its call for ever."""
        kind = method, type(error).__name__
        self._failures[kind] += 1
        if is_logged(self._failures[kind]):
            log.exception("%s.%s failed (%d times so far)", name, method, self._failures[kind])

    def _arguments(self, method: str, frame: bytes, offset: int) -> list[Any]:
        """The arguments in order. A struct (options) may be missing, and is None then; and so may any other for which
        the handler's method has a default, which is taken: Java's clients send null as nothing.
        """
        cls = getattr(self._service, f"{method}_args")
        arguments = read_scanned(cls, frame, offset)
        values = []
        for place, (_, (kind, name, *_)) in enumerate(sorted(cls.thrift_spec.items())):
            value = getattr(arguments, name)
            if value is None and kind != STRUCT:
                value = self._default(method, place)
                if value is None:
                    raise ThriftProtocolError(f"{method} lacks its argument {name!r}")
            values.append(value)
        return values

    def _default(self, method: str, place: int) -> Any:
        """Of the argument at `place`; None: it has none."""
        parameters = list(inspect.signature(getattr(self._handler, method)).parameters.values())
        default = parameters[place].default if place < len(parameters) else inspect.Parameter.empty
        return None if default is inspect.Parameter.empty else default

    def _failure(self, header: MessageHeader, kind: int, text: str) -> bytes | None:
        return self._reply(header, EXCEPTION, application_exception(kind, text))

    def _reply(self, header: MessageHeader, kind: int, body: Struct) -> bytes | None:
        if header.kind == ONEWAY:
            return None
        return encode_message(header._replace(kind=kind), body)


def not_served(service: str, method: str) -> str:
    """The sentence for a method that Storm has and this release does not serve."""
    return f"{service}.{method} is not served yet by this release; docs/thrift.md lists what is"


def _declare(result: Struct, error: StormError) -> bool:
    """Put `error` into `result`, if the method declares an exception for it; whether it does."""
    exception = to_exception(error)
    for number, (_, name, *details) in result.thrift_spec.items():
        if number != 0 and exception is not None and isinstance(exception, details[0]):
            setattr(result, name, exception)
            return True
    return False
