"""The values of tuples <-> bytes: msgpack, with extension types for what Python has and msgpack has not.

Types are kept exactly: a tuple arrives as a tuple, a date as a date. What cannot be kept is refused when it is emitted,
never changed in silence; the two exceptions are `bytearray` and `memoryview`, which arrive as `bytes`, and time zones,
which arrive as their offset from UTC. The numbers of the extension types stand in frames: they never change.

msgspec writes rows of plain values, msgpack all others. It is the same format, and msgspec is several times as fast,
but writes dates, sets, enums and subclasses as something else without saying so. They read equally fast.
"""

from __future__ import annotations

import contextlib
import math
import re
import struct
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import msgpack
import msgspec

from storm.errors import FrameError, SerializationError
from storm.messaging.columns import are_lists

if TYPE_CHECKING:
    from collections.abc import Sequence

TUPLE, SET, FROZENSET, BIG_INT, DECIMAL, UUID_VALUE, DATETIME, DATE, TIME, TIMEDELTA = range(1, 11)
NUMPY_SCALAR, NUMPY_ARRAY = 11, 12
REGISTERED = 20

BIG_INT_BYTES_MAX = 65_536
VALUES_BYTES_MAX = 16_000_000  # of one tuple, where nothing else is said
# An empty map takes one byte in a frame and 64 in memory, and every list or map with content more: so their number is
# limited, and 4 MB of them cannot become 300 MB. Scalars swell by 20 at most, and frames are limited in size.
CONTAINERS_MAX = 250_000
REASON_CHARS_MAX = 1_000  # of what cannot be decoded: an error of the user's may show the value
_PLAIN = frozenset({int, float, bool, bytes, type(None)})
_encode_plain = msgspec.msgpack.Encoder().encode
_NOT_CONTAINER_HEADERS = bytes(sorted(set(range(256)) - set(range(0x80, 0xA0)) - set(range(0xDC, 0xE0))))
_TIMEDELTA = struct.Struct("<iii")
_DTYPE = re.compile(r"[<>|=]?[biufcmMSU]\d{1,9}(\[\d{0,9}[A-Za-z]{1,2}\])?")

Encode = Callable[[Any], "tuple[int, bytes]"]


class RegisteredType(NamedTuple):
    """A type of the user's that may travel."""

    name: str
    cls: type
    to_plain: Callable[[Any], Any]
    from_plain: Callable[[Any], Any]


_registered: dict[str, RegisteredType] = {}


def register_type(name: str, cls: type, to_plain: Callable[[Any], Any], from_plain: Callable[[Any], Any]) -> None:
    """Let values of exactly `cls` travel between workers.

    `name` stands for it in frames; `to_plain(value)` gives something that can travel, `from_plain` turns it back.
    Every worker that sends or gets such values must have called it, and a worker imports the modules of its own
    components only: call it in one module, and import that from the modules of all components that emit or are given
    them. Where a receiver does not know the name, or `from_plain` raises, the tuple fails, and the component that it
    was for has an error that says why. Raises ValueError when the name or the type is taken by something else.
    """
    known = _registered.get(name)
    if known is not None and known.cls is not cls and known.cls.__qualname__ != cls.__qualname__:
        raise ValueError(f"the name {name!r} already stands for {known.cls.__qualname__}")
    if cls in _PLAIN or cls in (str, list, dict) or (cls in _ENCODERS and known is None):
        raise ValueError(f"{cls.__qualname__} travels already")
    entry = RegisteredType(name, cls, to_plain, from_plain)
    _registered[name] = entry
    _ENCODERS[cls] = lambda value: (REGISTERED, _pack([entry.name, entry.to_plain(value)]))


def check(values: Sequence[Any], limit_bytes: int = VALUES_BYTES_MAX) -> None:
    """Raise SerializationError, naming position and type, unless these values of one tuple can travel.

    `limit_bytes`: of all of them together, encoded.
    """
    sizes_bytes = []
    for position, value in enumerate(values):
        try:
            sizes_bytes.append(len(_pack_counted(value)))
        except Exception as error:  # noqa: BLE001
            wrong = SerializationError(f"value {position} ({_type_name(value)}): {_reason(error)}", position)
            # Only the code of a registered type can have raised what the text does not say.
            raise wrong from (error if _registered else None)
    if sum(sizes_bytes) > limit_bytes:
        largest = max(sizes_bytes)
        position = sizes_bytes.index(largest)
        raise SerializationError(
            f"value {position} ({_type_name(values[position])}): it takes {largest:,} bytes, its tuple "
            f"{sum(sizes_bytes):,}; the limit is {limit_bytes:,} (storm.messaging.max.message.bytes)",
            position,
        )


def encode_rows(rows: Sequence[Sequence[Any]], plain: bool = False) -> bytes:
    """The values of many tuples: a msgpack array of arrays. Raises SerializationError when one cannot travel.

    `plain`: they are lists of plain values only (`columns.are_plain`), which goes faster and gives the same bytes.
    """
    if plain and len(rows) < CONTAINERS_MAX:
        with contextlib.suppress(ValueError, OverflowError):  # such as an int of more than 64 bits
            return _encode_plain(rows)
    try:
        payload = _pack_counted([row if type(row) is list else list(row) for row in rows])
    except Exception as error:  # noqa: BLE001
        for row in rows:
            check(row)
        raise SerializationError(f"{len(rows)} tuples together: {_reason(error)}") from None
    return payload


def decode_rows(payload: bytes | memoryview) -> list[list[Any]]:
    """The rows that `encode_rows` was given, as new lists. Raises FrameError, and nothing else, for other bytes.

    So it does where a value cannot be decoded in this process: `decode_by_row` tells one from the other.
    """
    try:
        if _may_hold_too_many_containers(payload):
            rows = _Counted().unpack(payload)
        else:
            rows = msgpack.unpackb(payload, ext_hook=_from_ext, strict_map_key=False)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of the user's code: a panic in Rust is no Exception
        raise FrameError(f"values that are no tuples: {_reason(error)}") from error
    if type(rows) is not list:
        raise FrameError(f"values that are no tuples: {_type_name(rows)} where a list should be")
    if not are_lists(rows):
        raise FrameError("values that are no tuples: not all of them are lists")
    return rows


class BadValue(NamedTuple):
    """A value that cannot be decoded in this process: its position in its tuple, and why, for people."""

    position: int
    why: str


def decode_by_row(payload: bytes | memoryview, width: int) -> tuple[list[list[Any]], dict[int, BadValue]]:
    """Rows of `width` values, of which some cannot be decoded: what `decode_rows` raised FrameError for.

    Answers as many rows as there are, and {place of a row: the first of its values that cannot be decoded}; what such
    a row holds means nothing. Raises FrameError where the bytes are no such rows.
    """
    rows: list[list[Any]] = []
    bad: dict[int, BadValue] = {}
    counted = _Counted()
    try:
        cursor = msgpack.Unpacker(max_buffer_size=len(payload))
        cursor.feed(payload)
        for place in range(cursor.read_array_header()):
            row, wrong = _next_row(cursor, payload, width, counted)
            rows.append(row)
            if wrong is not None:
                bad[place] = wrong
        if cursor.tell() != len(payload):
            raise ValueError("more bytes than they take")
    except Exception as error:
        raise FrameError(f"values that are no tuples: {_reason(error)}") from error
    return rows, bad


def _next_row(
    cursor: Any, payload: bytes | memoryview, width: int, counted: _Counted
) -> tuple[list[Any], BadValue | None]:
    """The row at which `cursor`, an Unpacker that was fed with `payload`, stands. Raises what it raises."""
    found = cursor.read_array_header()
    if found != width:
        raise ValueError(f"{found} values on a stream of {width} fields")
    row: list[Any] = counted.container([None] * width)
    bad = None
    for position in range(width):
        begin = cursor.tell()
        cursor.skip()
        if bad is not None:
            continue
        try:
            row[position] = counted.unpack(payload[begin : cursor.tell()])
        except (KeyboardInterrupt, _TooManyContainersError):
            raise
        except BaseException as error:  # noqa: BLE001
            # Not the error itself: its frames would keep this one, and with it the whole payload.
            bad = BadValue(position, _reason(error)[:REASON_CHARS_MAX])
    return row, bad


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, default=_to_ext, strict_types=True)
    return packed


def _pack_counted(value: Any) -> bytes:
    """Raises ValueError for more lists and maps than a receiver takes."""
    packed = _pack(value)
    if _may_hold_too_many_containers(packed):
        _Counted().unpack(packed)
    return packed


def _may_hold_too_many_containers(payload: bytes | memoryview) -> bool:
    """Cheap, and true for many texts too: bytes that could begin a list or a map are counted wherever they stand."""
    if len(payload) <= CONTAINERS_MAX:
        return False
    return len(bytes(payload).translate(None, _NOT_CONTAINER_HEADERS)) > CONTAINERS_MAX


class _TooManyContainersError(ValueError):
    """No receiver takes so many lists and maps, whatever they hold."""


class _Counted:
    """Unpacks what holds CONTAINERS_MAX lists and maps at most, all of it together."""

    def __init__(self) -> None:
        self.count = 0

    def unpack(self, data: bytes | memoryview) -> Any:
        """Raises _TooManyContainersError, and what is raised for other bytes."""
        return msgpack.unpackb(
            data, ext_hook=self._from_ext, strict_map_key=False, list_hook=self.container, object_hook=self.container
        )

    def container(self, container: Any) -> Any:
        self.count += 1
        if self.count > CONTAINERS_MAX:
            raise _TooManyContainersError(f"more than {CONTAINERS_MAX:,} lists and maps in it")
        return container

    def _from_ext(self, code: int, data: bytes) -> Any:
        return _from_ext(code, data, self.unpack)


def _to_ext(value: Any) -> Any:
    encode = _ENCODERS.get(type(value))
    if encode is not None:
        return msgpack.ExtType(*encode(value))
    numpy = sys.modules.get("numpy")  # a value of numpy's can only exist where numpy is loaded
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return msgpack.ExtType(*_numpy_to_ext(value, numpy))
    raise TypeError(f"values of type {_type_name(value)} cannot travel between workers: {_ADVICE}")


_ADVICE = "emit plain values, or call storm.register_type for it"
_REGISTER_ADVICE = (
    "a worker imports the modules of its own components only, so the module that calls storm.register_type for it must "
    "be imported by the module of each component that is given such values"
)


def _big_int_to_ext(value: int) -> tuple[int, bytes]:
    size_bytes = value.bit_length() // 8 + 1
    if size_bytes > BIG_INT_BYTES_MAX:
        raise ValueError(f"an int of {size_bytes:,} bytes; the limit is {BIG_INT_BYTES_MAX:,}")
    return BIG_INT, value.to_bytes(size_bytes, "little", signed=True)


def _datetime_to_ext(value: datetime) -> tuple[int, bytes]:
    return DATETIME, bytes([value.fold]) + value.isoformat().encode()


def _time_to_ext(value: time) -> tuple[int, bytes]:
    return TIME, bytes([value.fold]) + value.isoformat().encode()


def _numpy_to_ext(value: Any, numpy: Any) -> tuple[int, bytes]:
    dtype = value.dtype
    if type(value) is numpy.ndarray:
        if _DTYPE.fullmatch(dtype.str) is None:
            raise TypeError(f"numpy arrays of dtype {dtype} cannot travel between workers")
        return NUMPY_ARRAY, _pack([dtype.str, list(value.shape), value.tobytes()])
    if not isinstance(value, numpy.generic) or _DTYPE.fullmatch(dtype.str) is None:
        raise TypeError(f"values of type {_type_name(value)} cannot travel between workers: {_ADVICE}")
    return NUMPY_SCALAR, _pack([dtype.str, value.tobytes()])


_ENCODERS: dict[type, Encode] = {
    tuple: lambda value: (TUPLE, _pack(list(value))),
    set: lambda value: (SET, _pack(list(value))),
    frozenset: lambda value: (FROZENSET, _pack(list(value))),
    int: _big_int_to_ext,
    Decimal: lambda value: (DECIMAL, str(value).encode()),
    UUID: lambda value: (UUID_VALUE, value.bytes),
    datetime: _datetime_to_ext,
    date: lambda value: (DATE, value.isoformat().encode()),
    time: _time_to_ext,
    timedelta: lambda value: (TIMEDELTA, _TIMEDELTA.pack(value.days, value.seconds, value.microseconds)),
}


def _unpack_nested(data: bytes) -> Any:
    return msgpack.unpackb(data, ext_hook=_from_ext, strict_map_key=False)


def _from_ext(code: int, data: bytes, unpack: Callable[[bytes], Any] = _unpack_nested) -> Any:
    if code in (TUPLE, SET, FROZENSET, REGISTERED, NUMPY_SCALAR, NUMPY_ARRAY):
        content = unpack(data)
        if type(content) is not list:
            raise ValueError(f"extension type {code} without a list")
        return _DECODERS_OF_LISTS[code](content)
    decode = _DECODERS.get(code)
    if decode is None:
        raise ValueError(f"unknown extension type {code}")
    return decode(data)


def _registered_from_list(content: list[Any]) -> Any:
    name, plain = content
    known = _registered.get(name)
    if known is None:
        raise ValueError(f"no type is registered as {name!r} in this worker: {_REGISTER_ADVICE}")
    try:
        return known.from_plain(plain)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ValueError(f"`from_plain` of {name!r} raised {error!r}") from error


def _dtype(name: Any) -> Any:
    if type(name) is not str or _DTYPE.fullmatch(name) is None:
        raise ValueError("a dtype of numpy's that is none")
    import numpy

    return numpy.dtype(name)


def _scalar_from_list(content: list[Any]) -> Any:
    import numpy

    name, data = content
    dtype = _dtype(name)
    if not dtype.itemsize:  # an empty text
        return dtype.type()
    return numpy.frombuffer(data, dtype=dtype, count=1)[0]


def _array_from_list(content: list[Any]) -> Any:
    import numpy

    name, shape, data = content
    dtype = _dtype(name)
    if dtype.itemsize * math.prod(shape) != len(data) or min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape} with {len(data)} bytes")
    if not data:
        return numpy.empty(shape, dtype=dtype)
    return numpy.frombuffer(data, dtype=dtype).reshape(shape).copy()


def _big_int_from(data: bytes) -> int:
    if len(data) > BIG_INT_BYTES_MAX:
        raise ValueError(f"an int of {len(data):,} bytes")
    return int.from_bytes(data, "little", signed=True)


def _timedelta_from(data: bytes) -> timedelta:
    days, seconds, microseconds = _TIMEDELTA.unpack(data)
    return timedelta(days, seconds, microseconds)


_DECODERS_OF_LISTS: dict[int, Callable[[list[Any]], Any]] = {
    TUPLE: tuple,
    SET: set,
    FROZENSET: frozenset,
    REGISTERED: _registered_from_list,
    NUMPY_SCALAR: _scalar_from_list,
    NUMPY_ARRAY: _array_from_list,
}

_DECODERS: dict[int, Callable[[bytes], Any]] = {
    BIG_INT: _big_int_from,
    DECIMAL: lambda data: Decimal(data.decode("ascii")),
    UUID_VALUE: lambda data: UUID(bytes=data),
    DATETIME: lambda data: datetime.fromisoformat(data[1:].decode("ascii")).replace(fold=data[0]),
    DATE: lambda data: date.fromisoformat(data.decode("ascii")),
    TIME: lambda data: time.fromisoformat(data[1:].decode("ascii")).replace(fold=data[0]),
    TIMEDELTA: _timedelta_from,
}


def _type_name(value: Any) -> str:
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError) or "recursion limit" in str(error):
        return "nested too deeply (or it contains itself)"
    return str(error) or type(error).__name__
