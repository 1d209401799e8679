"""A hash that is equal in every process, on every host and Python version, for values that compare equal.

Fields grouping rests on it: equal keys must meet in one task, whoever sends them. Python's own `hash` of text differs
from process to process, so this one is XXH64 over a canonical form, with the form's tag as the seed; docs/topologies.md
specifies it for other implementations. The values it gives are fixed for ever: workers of two releases must agree.

What it defends against: regular keys (counters, common prefixes, multiples of the number of tasks) spread evenly. What
it does not: somebody who chooses keys to overload one task. Where a few tasks share all keys, any function that is
publicly known lets him, a cryptographic one too: one key in `count` goes to his task, and he keeps those.
"""

from __future__ import annotations

import math
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEPTH_MAX = 64  # of containers in containers: a value that nests deeper is a mistake, or holds itself

if sys.hash_info.modulus != 2**61 - 1:  # of numbers: see number_hash
    raise ImportError("Storm needs a 64-bit Python: on another, equal numbers would go to different tasks")


def canonical_hash(value: Any, depth: int = 0) -> int:
    """64 bits, unsigned. 1, 1.0, Decimal(1) and True agree; so do list and tuple, bytes and bytearray, sets.

    `depth`: in how many containers the value is. Raises TypeError naming the type of a value that has no canonical
    form. A subclass counts as what it derives from, whatever it makes of `__eq__` and `__hash__`.
    """
    kind = type(value)
    if kind is str:
        return text_hash(value)
    if kind is int or kind is bool:
        return number_hash(hash(value))
    if kind is float:
        real = value
        return number_hash(hash(value)) if real == real else _octets(b"", "N")
    if kind is bytes:
        return xxh64(value, len(value), 98)
    if kind is tuple or kind is list:
        return sequence_hash(value, depth)
    form = _FORMS.get(kind)
    if form is None:
        form = _form_of_subclass(value)
    return form(value, depth)


def text_hash(text: str) -> int:
    """Of its UTF-8; seed `s`."""
    data = text.encode("utf-8", "surrogatepass")
    return xxh64(data, len(data), 115)


def number_hash(number: int) -> int:
    """Of a number by its Python hash; seed `n`.

    The language defines that hash from the number's value alone (modulo 2**61 - 1), so that int, float, Decimal and
    Fraction agree wherever they compare equal.
    """
    mask = 0xFFFFFFFFFFFFFFFF
    return word_hash(number & mask, 110)


def sequence_hash(items: Iterable[Any], depth: int) -> int:
    """Of its items' hashes, in order; seed `l`."""
    below = depth + 1
    if below > 64:
        raise too_deep()
    state = 108
    count = 0
    for item in items:
        state = word_hash(canonical_hash(item, below), state)
        count += 1
    return word_hash(count, state)


def too_deep() -> TypeError:
    return TypeError(f"a value nested deeper than {DEPTH_MAX} levels cannot be used for grouping")


def xxh64(data: bytes, size: int, seed: int) -> int:
    """XXH64, as its specification has it."""
    mask = 0xFFFFFFFFFFFFFFFF
    prime_1 = 0x9E3779B185EBCA87
    prime_2 = 0xC2B2AE3D27D4EB4F
    prime_3 = 0x165667B19E3779F9
    prime_4 = 0x85EBCA77C2B2AE63
    prime_5 = 0x27D4EB2F165667C5
    at = 0
    if size < 32:
        state = seed + prime_5
    else:
        first = (seed + prime_1 + prime_2) & mask
        second = (seed + prime_2) & mask
        third = seed
        fourth = (seed - prime_1) & mask
        while at + 32 <= size:
            first = mixed(first, word_at(data, at))
            second = mixed(second, word_at(data, at + 8))
            third = mixed(third, word_at(data, at + 16))
            fourth = mixed(fourth, word_at(data, at + 24))
            at += 32
        state = rotated(first, 1) + rotated(second, 7) + rotated(third, 12) + rotated(fourth, 18)
        state = ((state & mask) ^ mixed(0, first)) * prime_1 + prime_4
        state = ((state & mask) ^ mixed(0, second)) * prime_1 + prime_4
        state = ((state & mask) ^ mixed(0, third)) * prime_1 + prime_4
        state = ((state & mask) ^ mixed(0, fourth)) * prime_1 + prime_4
    state = (state + size) & mask
    while at + 8 <= size:
        state = (rotated(state ^ mixed(0, word_at(data, at)), 27) * prime_1 + prime_4) & mask
        at += 8
    if at + 4 <= size:
        word = data[at + 3]
        word = (word << 8) | data[at + 2]
        word = (word << 8) | data[at + 1]
        word = (word << 8) | data[at]
        state = (rotated(state ^ ((word * prime_1) & mask), 23) * prime_2 + prime_3) & mask
        at += 4
    while at < size:
        word = data[at]
        state = (rotated(state ^ ((word * prime_5) & mask), 11) * prime_1) & mask
        at += 1
    return avalanched(state)


def word_hash(word: int, seed: int) -> int:
    """XXH64 of the eight bytes of `word`, little-endian."""
    mask = 0xFFFFFFFFFFFFFFFF
    prime_1 = 0x9E3779B185EBCA87
    prime_4 = 0x85EBCA77C2B2AE63
    prime_5 = 0x27D4EB2F165667C5
    state = (seed + prime_5 + 8) & mask
    return avalanched((rotated(state ^ mixed(0, word), 27) * prime_1 + prime_4) & mask)


def word_at(data: bytes, at: int) -> int:
    word = data[at + 7]
    word = (word << 8) | data[at + 6]
    word = (word << 8) | data[at + 5]
    word = (word << 8) | data[at + 4]
    word = (word << 8) | data[at + 3]
    word = (word << 8) | data[at + 2]
    word = (word << 8) | data[at + 1]
    return (word << 8) | data[at]


def rotated(word: int, bits: int) -> int:
    mask = 0xFFFFFFFFFFFFFFFF
    return ((word << bits) & mask) | (word >> (64 - bits))


def mixed(lane: int, word: int) -> int:
    mask = 0xFFFFFFFFFFFFFFFF
    prime_1 = 0x9E3779B185EBCA87
    prime_2 = 0xC2B2AE3D27D4EB4F
    return (rotated((lane + word * prime_2) & mask, 31) * prime_1) & mask


def avalanched(state: int) -> int:
    mask = 0xFFFFFFFFFFFFFFFF
    prime_2 = 0xC2B2AE3D27D4EB4F
    prime_3 = 0x165667B19E3779F9
    state = ((state ^ (state >> 33)) * prime_2) & mask
    state = ((state ^ (state >> 29)) * prime_3) & mask
    return state ^ (state >> 32)


def _chained(hashes: Iterable[int], tag: str) -> int:
    """As `sequence_hash` for other containers."""
    state = ord(tag)
    count = 0
    for each in hashes:
        state = word_hash(each, state)
        count += 1
    return word_hash(count, state)


def _fixed(number: int, tag: str) -> int:
    """Of a whole number as eight bytes in two's complement."""
    return word_hash(number & 0xFFFFFFFFFFFFFFFF, ord(tag))


def _octets(data: bytes, tag: str) -> int:
    return xxh64(data, len(data), ord(tag))


def _form_of_subclass(value: Any) -> Callable[[Any, int], int]:
    kind = type(value)
    for known in kind.__mro__[1:]:
        if known in _FORMS:
            return _FORMS[known]
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        return _numpy
    raise no_form(value)


def no_form(value: Any) -> TypeError:
    return TypeError(
        f"a {type(value).__qualname__} cannot be used for grouping: it has no canonical form; "
        "use text, numbers, bytes, dates, UUIDs, or lists, sets and dicts of them"
    )


def _numpy(value: Any, depth: int) -> int:
    """As the plain Python value; a time as a naive datetime or a timedelta, whatever its unit."""
    if depth >= DEPTH_MAX:
        raise too_deep()
    name = type(value).__name__
    if name in ("datetime64", "timedelta64") and value == value:
        exact = value.astype(f"{name}[us]")
        if exact != value:
            raise TypeError(f"a {name} finer than a microsecond cannot be used for grouping: {value}")
        value = exact
    plain = value.tolist()
    if type(plain) is type(value):  # a longdouble: no plain type holds it
        raise no_form(value)
    return canonical_hash(plain, depth + 1)


def _none(value: None, depth: int) -> int:
    return _octets(b"", "0")


def _int(value: int, depth: int) -> int:
    return number_hash(int.__hash__(value))


def _float(value: float, depth: int) -> int:
    return _octets(b"", "N") if math.isnan(value) else number_hash(float.__hash__(value))


def _complex(value: complex, depth: int) -> int:
    if not value.imag:
        return _float(value.real, depth)
    return _chained((_float(value.real, depth), _float(value.imag, depth)), "j")


def _decimal(value: Decimal, depth: int) -> int:
    return _octets(b"", "N") if value.is_nan() else number_hash(Decimal.__hash__(value))


def _fraction(value: Fraction, depth: int) -> int:
    return number_hash(Fraction.__hash__(value))


def _text(value: str, depth: int) -> int:
    return _octets(str.encode(value, "utf-8", "surrogatepass"), "s")


def _bytes(value: bytes | bytearray | memoryview, depth: int) -> int:
    if isinstance(value, memoryview) and value.format != "B":
        raise TypeError(f"a memoryview of format {value.format!r} cannot be used for grouping: only one of bytes")
    return _octets(b"".join((value,)), "b")


def _set(value: Iterable[Any], depth: int) -> int:
    if depth >= DEPTH_MAX:
        raise too_deep()
    return _chained(sorted([canonical_hash(item, depth + 1) for item in value]), "S")


def _dict(value: dict[Any, Any], depth: int) -> int:
    if depth >= DEPTH_MAX:
        raise too_deep()
    below = depth + 1
    pairs = sorted([(canonical_hash(key, below), canonical_hash(item, below)) for key, item in dict.items(value)])
    return _chained([each for pair in pairs for each in pair], "d")


def _datetime(value: datetime, depth: int) -> int:
    """In microseconds since 1970; aware ones are equal when the instant is, and Python ignores their fold for that."""
    days = datetime.toordinal(value) - 719_163  # of 1970-01-01
    micros = days * 86_400_000_000 + _micros_of_day(value)
    offset = value.utcoffset() if value.tzinfo is None or not value.fold else value.replace(fold=0).utcoffset()
    return _fixed(micros, "t") if offset is None else _fixed(micros - _micros(offset), "T")


def _date(value: date, depth: int) -> int:
    return _fixed(date.toordinal(value), "D")


def _time(value: time, depth: int) -> int:
    offset = value.utcoffset()
    micros = _micros_of_day(value)
    return _fixed(micros, "c") if offset is None else _fixed(micros - _micros(offset), "C")


def _timedelta(value: timedelta, depth: int) -> int:
    return _fixed(_micros(value), "p")


def _micros_of_day(value: datetime | time) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def _micros(value: timedelta) -> int:
    return (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds


def _uuid(value: UUID, depth: int) -> int:
    return _octets(value.bytes, "u")


_FORMS: dict[type, Callable[[Any, int], int]] = {
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
    list: sequence_hash,
    tuple: sequence_hash,
    set: _set,
    frozenset: _set,
    dict: _dict,
    datetime: _datetime,
    date: _date,
    time: _time,
    timedelta: _timedelta,
    UUID: _uuid,
}
