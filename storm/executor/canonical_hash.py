"""A hash that is equal in every process, on every host and Python version, for values that compare equal.

Fields grouping rests on it: equal keys must meet in one task, whoever sends them. Python's own `hash` of text differs
from process to process, so values are written in a canonical form and that is hashed. The values it gives are fixed for
ever: workers of two releases must agree.
"""

from __future__ import annotations

import math
import struct
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEPTH_MAX = 64  # of containers in containers: a value that nests deeper is a mistake, or holds itself


def canonical_hash(value: Any) -> int:
    """64 bits, unsigned. 1, 1.0, Decimal(1) and True agree; so do list and tuple, bytes and bytearray, sets.

    Raises TypeError naming the type of a value that has no canonical form.
    """
    return int.from_bytes(blake2b(canonical_bytes(value), digest_size=8).digest(), "little")


def canonical_bytes(value: Any, depth: int = 0) -> bytes:
    """`value` as bytes that are equal for equal values and different for different ones, but for numbers.

    A number is represented by Python's numeric hash: the language defines it from the number's value alone (modulo
    2**61 - 1), so that int, float, Decimal and Fraction agree wherever they compare equal.
    """
    form = _FORMS.get(type(value))
    if form is None:
        form = _form_of_subclass(value)
    return form(value, depth)


def _form_of_subclass(value: Any) -> Callable[[Any, int], bytes]:
    for known in type(value).__mro__[1:]:
        if known in _FORMS:
            return _FORMS[known]
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return lambda array, depth: canonical_bytes(array.tolist(), depth + 1)
    raise TypeError(
        f"a {type(value).__qualname__} cannot be used for grouping: it has no canonical form; "
        "use text, numbers, bytes, dates, UUIDs, or lists, sets and dicts of them"
    )


def _deeper(depth: int) -> int:
    if depth >= DEPTH_MAX:
        raise TypeError(f"a value nested deeper than {DEPTH_MAX} levels cannot be used for grouping")
    return depth + 1


def _sized(tag: bytes, content: bytes) -> bytes:
    return tag + struct.pack("<Q", len(content)) + content


def _none(value: None, depth: int) -> bytes:
    return b"0"


def _int(value: int, depth: int) -> bytes:
    return b"n" + struct.pack("<q", int.__hash__(value))


def _float(value: float, depth: int) -> bytes:
    if math.isnan(value):
        return b"N"
    return b"n" + struct.pack("<q", float.__hash__(value))


def _complex(value: complex, depth: int) -> bytes:
    if not value.imag:
        return _float(value.real, depth)
    return b"j" + _float(value.real, depth) + _float(value.imag, depth)


def _decimal(value: Decimal, depth: int) -> bytes:
    if value.is_nan():
        return b"N"
    return b"n" + struct.pack("<q", hash(value))


def _fraction(value: Fraction, depth: int) -> bytes:
    return b"n" + struct.pack("<q", hash(value))


def _text(value: str, depth: int) -> bytes:
    return _sized(b"s", str.encode(value, "utf-8", "surrogatepass"))


def _bytes(value: bytes | bytearray | memoryview, depth: int) -> bytes:
    return _sized(b"b", bytes(value))


def _sequence(value: Iterable[Any], depth: int) -> bytes:
    below = _deeper(depth)
    return _sized(b"l", b"".join([canonical_bytes(item, below) for item in value]))


def _set(value: Iterable[Any], depth: int) -> bytes:
    below = _deeper(depth)
    return _sized(b"S", b"".join(sorted([canonical_bytes(item, below) for item in value])))


def _dict(value: dict[Any, Any], depth: int) -> bytes:
    below = _deeper(depth)
    pairs = [canonical_bytes(key, below) + canonical_bytes(item, below) for key, item in value.items()]
    return _sized(b"d", b"".join(sorted(pairs)))


def _datetime(value: datetime, depth: int) -> bytes:
    if value.utcoffset() is None:
        return _sized(b"t", value.isoformat().encode())
    since = value - datetime(1970, 1, 1, tzinfo=timezone.utc)  # aware times are equal when the instant is  # noqa: UP017
    return b"T" + struct.pack("<q", since // timedelta(microseconds=1))


def _date(value: date, depth: int) -> bytes:
    return b"D" + struct.pack("<q", value.toordinal())


def _time(value: time, depth: int) -> bytes:
    return _sized(b"c", value.isoformat().encode())


def _timedelta(value: timedelta, depth: int) -> bytes:
    return b"p" + struct.pack("<q", value // timedelta(microseconds=1))


def _uuid(value: UUID, depth: int) -> bytes:
    return b"u" + value.bytes


_FORMS: dict[type, Callable[[Any, int], bytes]] = {
    type(None): _none,
    bool: _int,
    int: _int,
    float: _float,
    complex: _complex,
    Decimal: _decimal,
    Fraction: _fraction,
    str: _text,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    list: _sequence,
    tuple: _sequence,
    set: _set,
    frozenset: _set,
    dict: _dict,
    datetime: _datetime,
    date: _date,
    time: _time,
    timedelta: _timedelta,
    UUID: _uuid,
}
