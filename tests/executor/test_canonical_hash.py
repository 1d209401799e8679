from __future__ import annotations

import struct
from collections import Counter, OrderedDict, namedtuple
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.executor.canonical_hash import canonical_hash, word_hash, xxh64

WORD = 2**64 - 1
UTC = timezone.utc  # noqa: UP017
CET = timezone(timedelta(hours=1))

# As published with the algorithm and by its other implementations.
XXH64: list[tuple[bytes, int, int]] = [
    (b"", 0, 0xEF46DB3751D8E999),
    (b"a", 0, 0xD24EC4F1A98C6E5B),
    (b"abc", 0, 0x44BC2CF5AD770999),
    (b"xxhash", 20141025, 0xB559B98D844E0635),
    (b"Nobody inspects the spammish repetition", 0, 0xFBCEA83C8A378BF1),
]


@pytest.mark.parametrize(("data", "seed", "expected"), XXH64)
def test_it_is_xxh64(data: bytes, seed: int, expected: int) -> None:
    assert xxh64(data, len(data), seed) == expected


@given(word=st.integers(0, WORD), seed=st.integers(0, WORD))
def test_a_word_is_its_eight_bytes(word: int, seed: int) -> None:
    assert word_hash(word, seed) == xxh64(struct.pack("<Q", word), 8, seed)


def test_forms_are_what_the_documentation_says() -> None:
    def word(number: int, seed: int) -> int:
        return xxh64(struct.pack("<Q", number & WORD), 8, seed)

    assert canonical_hash("wörd") == xxh64("wörd".encode(), 5, ord("s"))
    assert canonical_hash(b"word") == xxh64(b"word", 4, ord("b"))
    assert canonical_hash(-7) == word(-7, ord("n"))
    one, two = canonical_hash("one"), canonical_hash("two")
    assert canonical_hash(["one", "two"]) == word(2, word(two, word(one, ord("l"))))
    assert canonical_hash({"one": "two"}) == word(2, word(two, word(one, ord("d"))))
    assert canonical_hash(datetime(1970, 1, 1, 0, 0, 1)) == word(1_000_000, ord("t"))  # noqa: DTZ001
    assert canonical_hash(date(1, 1, 2)) == word(2, ord("D"))
    assert canonical_hash(UUID(int=7)) == xxh64(bytes(15) + b"\x07", 16, ord("u"))


# Fixed for ever: workers of two releases must send equal keys to the same task.
GOLDEN: list[tuple[Any, int]] = [
    (None, 0x235D192EEF0F01A4),
    (True, 0x1B221A1E3F8DD38B),
    (0, 0x6DFE35886C6987E6),
    (-1, 0x4BD7AC5127C16FE6),
    (2**70, 0x362F0E4F728D8648),
    (0.5, 0xF39F06480F06F8C3),
    (float("inf"), 0xDA4D663D387D2EE4),
    (float("nan"), 0x3C91687DBB3BA631),
    (Decimal("NaN"), 0x3C91687DBB3BA631),
    ("", 0xE6E695DC5303FB80),
    ("word", 0x6BF4D8618CFC8C04),
    ("wörter 言葉", 0x454D4691EB5B4407),
    ("\ud800", 0x5D22FCE6F51FF3D0),
    ("a text that takes more than one stripe of thirty-two bytes", 0x053E6045F3B1D3B4),
    (b"word", 0xFE2E6C00AD57E09E),
    ([], 0xB323EF48774021D1),
    (["a", 1], 0x6E238F7F49276FBE),
    ([[], [["a"]]], 0x9F0A1FD6016F16AE),
    ({"a", "b"}, 0xB40B621C00044209),
    ({"b": 1, "a": [2]}, 0xEA69C1915FFBCE51),
    (datetime(2020, 2, 29, 12, 0, 0, 5), 0x2C740D771B99436F),  # noqa: DTZ001
    (datetime(1969, 12, 31, 23, 59, 59, 999_999), 0x629980F15432FE38),  # noqa: DTZ001
    (datetime(2020, 2, 29, 12, tzinfo=UTC), 0x981192540991849E),
    (date(2020, 2, 29), 0x63654C58A12E0EBD),
    (time(1, 2, 3), 0x23FB5A9883F59F95),
    (time(1, 2, 3, tzinfo=UTC), 0x781A6810A96A0527),
    (timedelta(days=1, microseconds=1), 0x7ADC45854AC30646),
    (Decimal("0.1"), 0xF4F2E598153D41E2),
    (Fraction(1, 3), 0x13E350DFBC82D08B),
    (UUID(int=7), 0x24961BB74170E467),
    (1 + 2j, 0x073602466A5C5B91),
    (np.int64(7), 0x8D9517F0A25901C0),
    (np.float32(0.1), 0x00E11429AB6A61BE),
    (np.datetime64("2020-02-29T12", "h"), 0x47D0F8AA04E0D8F5),
]


class Colour(IntEnum):
    RED = 1


class Shade(StrEnum):
    DARK = "dark"


class Plain(Enum):
    ONE = 1


class Name(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    __hash__ = str.__hash__


Point = namedtuple("Point", "x y")


class Summer(tzinfo):
    """A zone whose hour before 3 o'clock comes twice."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(hours=1 if when is not None and when.fold else 2)

    def dst(self, when: datetime | None) -> None:
        return None


SUMMER = Summer()


@pytest.mark.parametrize(
    ("value", "expected"), GOLDEN, ids=[f"{n}-{type(value).__name__}" for n, (value, _) in enumerate(GOLDEN)]
)
def test_golden(value: Any, expected: int) -> None:
    assert canonical_hash(value) == expected


EQUAL: list[list[Any]] = [
    [1, 1.0, True, Decimal(1), Decimal("1.00"), Fraction(1), 1 + 0j, Colour.RED,
     np.int64(1), np.uint8(1), np.float32(1), np.bool_(True), np.complex64(1)],
    [0, 0.0, -0.0, False, Decimal("-0"), np.float64(-0.0)],
    [0.5, Decimal("0.5"), Fraction(1, 2)],
    [10**400, Decimal("1E+400")],
    [10**400, Fraction(10**400)],
    [["a", 1], ("a", 1.0), ["a", True], Point("a", 1)],
    [[1, 2], np.array([1, 2]), np.array([1.0, 2.0])],
    [b"x", bytearray(b"x"), memoryview(b"x"), np.bytes_(b"x")],
    [{1, 2}, frozenset({2, 1.0})],
    [{"a": 1, "b": 2}, {"b": 2, "a": 1}],
    [{"a": 1}, OrderedDict(a=1), Counter("a")],
    ["name", Name("name"), np.str_("name")],
    ["dark", Shade.DARK],
    [time(12, tzinfo=UTC), time(13, tzinfo=CET)],
    [datetime(2020, 1, 1, tzinfo=SUMMER), datetime(2020, 1, 1, tzinfo=SUMMER, fold=1)],
    [datetime(2020, 1, 1), np.datetime64("2020-01-01"), np.datetime64("2020-01-01", "ns")],  # noqa: DTZ001
    [timedelta(hours=1), np.timedelta64(1, "h"), np.timedelta64(3600, "s")],
    [datetime(2020, 1, 1, 12, tzinfo=UTC), datetime(2020, 1, 1, 13, tzinfo=CET)],
    # NaNs equal nothing, but must go somewhere: all to one task.
    [float("nan"), -float("nan"), Decimal("NaN"), Decimal("sNaN"), np.float32("nan"), complex("nan")],
]  # fmt: skip


@pytest.mark.parametrize("values", EQUAL)
def test_equal_values_agree(values: list[Any]) -> None:
    assert len({canonical_hash(value) for value in values}) == 1


def test_different_values_differ() -> None:
    values: list[Any] = [
        None, 0, 1, "1", b"1", ["1"], [["1"]], [], [[]], "", b"", {}, {"a": 1}, {"a"}, ["a"],
        ["a", "b"], ["ab"], ["b", "a"],
        0.1, Decimal("0.1"), datetime(2020, 1, 1), date(2020, 1, 1), UUID(int=1), timedelta(seconds=1),  # noqa: DTZ001
        Name("NAME"), Name("name"), time(0), time(0, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC),
        np.timedelta64(2, "s"), [None], [[], []], {"a": "b"}, {"b": "a"}, float("nan"), "\ud800", "\ud801",
    ]  # fmt: skip
    assert len({canonical_hash(value) for value in values}) == len(values)


plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
)
hashable = st.recursive(plain, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=6)


@given(hashable, hashable)
def test_equality_of_values_is_equality_of_hashes(left: Any, right: Any) -> None:
    if left == right:
        assert canonical_hash(left) == canonical_hash(right)


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_agree_across_types(number: int, real: float) -> None:
    assert canonical_hash(number) == canonical_hash(Decimal(number)) == canonical_hash(Fraction(number))
    assert canonical_hash(real) == canonical_hash(Fraction(real)) == canonical_hash(Decimal(real))


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-1439, 1439))
def test_an_instant_is_the_same_in_every_zone(instant: datetime, minutes: int) -> None:
    try:
        elsewhere = instant.astimezone(timezone(timedelta(minutes=minutes)))
    except OverflowError:  # before the year 1 or after 9999
        return
    assert canonical_hash(elsewhere) == canonical_hash(instant)


@given(st.binary(max_size=100), st.integers(0, 99), st.integers(0, 7))
def test_one_bit_changes_the_hash(data: bytes, at: int, bit: int) -> None:
    if at < len(data):
        other = bytearray(data)
        other[at] ^= 1 << bit
        assert canonical_hash(data) != canonical_hash(other)


KEYS: dict[str, list[Any]] = {
    "numbers": list(range(4096)),
    "multiples of 64": list(range(0, 4096 * 64, 64)),
    "words": [f"word{i}" for i in range(4096)],
    "long words": [f"a/rather/long/common/prefix/of/all/keys/{i:06}" for i in range(4096)],
    "pairs": [(i % 64, str(i // 64)) for i in range(4096)],
    "days": [date.fromordinal(730_000 + i) for i in range(4096)],
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=list(KEYS))
@pytest.mark.parametrize("shift", [0, 32], ids=["low", "high"])
@pytest.mark.parametrize("count", [2, 7, 64])
def test_regular_keys_spread_evenly(keys: list[Any], shift: int, count: int) -> None:
    """Chi-squared over the tasks, within what chance gives: the mean, five standard deviations, its long tail."""
    found = Counter((canonical_hash(key) >> shift) % count for key in keys)
    expected = len(keys) / count
    chi = sum((found[task] - expected) ** 2 / expected for task in range(count))
    assert chi < (count - 1) + 5 * (2 * (count - 1)) ** 0.5 + 4


@pytest.mark.parametrize("seed", [0, 110])
def test_every_bit_of_a_word_changes_half_of_the_bits(seed: int) -> None:
    words = [word_hash(i, 1) for i in range(128)]
    for bit in range(64):
        changed = [word_hash(word, seed) ^ word_hash(word ^ (1 << bit), seed) for word in words]
        for half in ([each & 0xFFFFFFFF for each in changed], [each >> 32 for each in changed]):
            assert 14 < sum(each.bit_count() for each in half) / len(words) < 18


@pytest.mark.parametrize(
    "value", [object(), Plain.ONE, range(3), print, np.longdouble(1)], ids=lambda value: type(value).__name__
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=f"a {type(value).__qualname__} cannot be used for grouping"):
        canonical_hash(["fine", value])


def test_numpy_times_finer_than_ours_are_refused() -> None:
    with pytest.raises(TypeError, match="finer than a microsecond"):
        canonical_hash(np.datetime64("2020-01-01T00:00:00.000000001"))


def test_a_memoryview_of_anything_but_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="format 'I'"):
        canonical_hash(memoryview(np.array([1], "I")))


def nested(levels: int, kind: Any) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = kind(value)
    return value


@pytest.mark.parametrize(
    "kind",
    [lambda item: [item], lambda item: (item,), lambda item: {"a": item}, lambda item: frozenset({item})],
    ids=["list", "tuple", "dict", "set"],
)
def test_depth_has_a_limit(kind: Any) -> None:
    assert canonical_hash(nested(64, kind)) >= 0
    with pytest.raises(TypeError, match="nested deeper than 64"):
        canonical_hash(nested(65, kind))


def test_what_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="nested deeper than 64"):
        canonical_hash(endless)
