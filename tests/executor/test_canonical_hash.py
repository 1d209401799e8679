from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.executor.canonical_hash import canonical_bytes, canonical_hash

# Fixed for ever: workers of two releases must send equal keys to the same task.
GOLDEN: list[tuple[Any, int]] = [
    (None, 0x75DFCD439D7D2B84),
    (True, 0x4BABD70FA2D3712A),
    (0, 0xA27631DC79AF1E33),
    (-1, 0xBB490628FABA87BC),
    (2**70, 0x32F042932896A056),
    (0.5, 0x36B6D8A9939F9D31),
    (float("inf"), 0x7AAD767FA1B02575),
    (float("nan"), 0xEB1109BF78911DD2),
    ("", 0xAFA9F3A66B1B0148),
    ("word", 0x468DBB65D57303E8),
    ("wörter 言葉", 0x62EBBCBEF03B5D82),
    (b"word", 0x2A02479D56D7FC4B),
    (["a", 1], 0x62B92010F2595DED),
    ({"a", "b"}, 0xB4E858DF6F18F556),
    ({"b": 1, "a": [2]}, 0xBA751B4C68AD6988),
    (datetime(2020, 2, 29, 12, 0, 0, 5), 0x6B9471379A627399),  # noqa: DTZ001
    (datetime(2020, 2, 29, 12, tzinfo=timezone.utc), 0x48B5A60774D32574),  # noqa: UP017
    (date(2020, 2, 29), 0x48ECE069BFE1B707),
    (time(1, 2, 3), 0x4FDE5B8398481FF9),
    (timedelta(days=1, microseconds=1), 0x83D6378DB823C958),
    (Decimal("0.1"), 0x541B950CEFA12768),
    (UUID(int=7), 0x98672E67CF3719E3),
    (1 + 2j, 0xC6075EAF41AA5F57),
]


class Colour(IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize(("value", "expected"), GOLDEN, ids=[repr(value) for value, _ in GOLDEN])
def test_golden(value: Any, expected: int) -> None:
    assert canonical_hash(value) == expected


EQUAL: list[list[Any]] = [
    [1, 1.0, True, Decimal(1), Decimal("1.00"), Fraction(1), 1 + 0j, Colour.RED],
    [0, 0.0, -0.0, False, Decimal("-0")],
    [0.5, Decimal("0.5"), Fraction(1, 2)],
    [10**400, Decimal("1E+400")],
    [["a", 1], ("a", 1.0), ["a", True]],
    [b"x", bytearray(b"x"), memoryview(b"x")],
    [{1, 2}, frozenset({2, 1.0})],
    [{"a": 1, "b": 2}, {"b": 2, "a": 1}],
    ["name", Name("name")],
    [
        datetime(2020, 1, 1, 12, tzinfo=timezone.utc),  # noqa: UP017
        datetime(2020, 1, 1, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
]


@pytest.mark.parametrize("values", EQUAL, ids=repr)
def test_equal_values_agree(values: list[Any]) -> None:
    assert len({canonical_hash(value) for value in values}) == 1


def test_different_values_differ() -> None:
    values: list[Any] = [
        None, 0, 1, "1", b"1", ["1"], [["1"]], [], [[]], "", b"", {}, {"a": 1}, {"a"}, ["a"],
        ["a", "b"], ["ab"], ["b", "a"],
        0.1, Decimal("0.1"), datetime(2020, 1, 1), date(2020, 1, 1), UUID(int=1), timedelta(seconds=1),  # noqa: DTZ001
    ]  # fmt: skip
    assert len({canonical_bytes(value) for value in values}) == len(values)


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


def test_what_has_no_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="a object cannot be used for grouping"):
        canonical_hash(["fine", object()])


def test_what_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="nested deeper than 64"):
        canonical_hash(endless)
