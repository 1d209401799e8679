from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storm.errors import FrameError, SerializationError
from storm.messaging import tuple_codec
from storm.messaging.tuple_codec import (
    CONTAINERS_MAX,
    REASON_CHARS_MAX,
    BadValue,
    check,
    decode_by_row,
    decode_rows,
    encode_rows,
    register_type,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.binary(max_size=5)
    | st.fractions(max_denominator=100).map(lambda part: Decimal(part.numerator) / part.denominator)
    | st.uuids()
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.datetimes(timezones=st.just(timezone(timedelta(minutes=-90, seconds=7))))
    | st.timedeltas()
)
hashables = scalars | st.tuples(scalars, scalars) | st.frozensets(scalars, max_size=2)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.sets(hashables, max_size=3)
        | st.frozensets(hashables, max_size=3)
        | st.dictionaries(hashables, inner, max_size=3)
    )


values = scalars | containers(scalars) | containers(containers(scalars))


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(map(_typed, left)) == list(map(_typed, right)) and all(map(same, left.values(), right.values()))
    if isinstance(left, datetime | time):
        return bool(left == right and left.fold == right.fold and left.utcoffset() == right.utcoffset())
    return bool(left == right)


def _typed(key: Any) -> tuple[type, Any]:
    return type(key), key


@given(st.lists(st.lists(values, max_size=3), max_size=2))
@example([[1 << 63, 1 << 64, -(1 << 63) - 1, True, 1, 1.0, -0.0]])
def test_what_goes_in_comes_out(rows: list[list[Any]]) -> None:
    for row in rows:
        check(row)
    assert same(decode_rows(encode_rows([*rows])), rows)


plain_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


@given(st.lists(st.lists(plain_values, max_size=3), max_size=3))
@example([[-1, 0, 127, 128, -32, -33, 1 << 31, 1 << 32, 1 << 63, -(1 << 63), "x" * 32, "x" * 256, "é", bytes(256)]])
@example([["x" * 65_536, bytes(65_536)]] + [[]] * 65_536)
def test_the_fast_way_for_plain_values_gives_the_same_bytes(rows: list[list[Any]]) -> None:
    def outcome(plain: bool) -> object:
        try:
            return encode_rows(rows, plain)
        except SerializationError as error:
            return str(error)

    assert outcome(True) == outcome(False)


def test_not_a_number_and_infinities_travel() -> None:
    [[nan, inf]] = decode_rows(encode_rows([[math.nan, -math.inf]]))
    assert math.isnan(nan)
    assert inf == -math.inf


def test_the_row_may_be_a_tuple_and_arrives_as_a_list() -> None:
    assert decode_rows(encode_rows([(1, (2,))])) == [[1, (2,)]]


def test_a_time_zone_arrives_as_its_offset() -> None:
    summer = datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Europe/Zurich"))
    [[got]] = decode_rows(encode_rows([[summer]]))
    assert got == summer
    assert got.utcoffset() == timedelta(hours=2)


def test_mutable_bytes_arrive_as_bytes() -> None:
    assert decode_rows(encode_rows([[bytearray(b"a"), memoryview(b"b")]])) == [[b"a", b"b"]]


class Colour(IntEnum):
    RED = 1


class Pair(NamedTuple):
    left: int
    right: int


class Name(str):
    pass


cyclic: list[Any] = []
cyclic.append(cyclic)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (object(), "object"),
        (1j, "complex"),
        (Colour.RED, "Colour"),
        (Pair(1, 2), "Pair"),
        (Name("a"), "Name"),
        ([{"deep": {"deeper": range(3)}}], "range"),
        ("\ud800", "surrogates"),
        (["\ud800"], "surrogates"),
        (cyclic, "nested too deeply"),
        ((cyclic,), "nested too deeply"),
        ([1 << 1_000_000], "limit"),
        (lambda: 1, "function"),
    ],
)
def test_what_cannot_travel_is_refused_with_its_position_and_type(value: Any, told: str) -> None:
    for refuse in (check, lambda row: encode_rows([row])):
        with pytest.raises(SerializationError, match=r"value 1 \(") as error:
            refuse(["fine", value])
        assert told in str(error.value)
        assert error.value.position == 1


@dataclass(frozen=True)
class Money:
    cents: int
    currency: str


def test_a_registered_type_travels() -> None:
    with pytest.raises(SerializationError, match=r"value 0 .*Money"):
        check([Money(1, "CHF")])
    register_type("money", Money, lambda money: (money.cents, money.currency), lambda plain: Money(*plain))
    row = [Money(5, "CHF"), [Money(6, "EUR")], {Money(7, "EUR"): 1}]
    check(row)
    assert decode_rows(encode_rows([row])) == [row]


@dataclass(frozen=True)
class Coin:
    cents: int


class Panic(BaseException):
    pass


def coin_of(plain: int) -> Coin:
    if plain < 0:
        raise ValueError("x" * 10_000 if plain == -3 else "no such coin")
    if plain == 0:
        raise Panic("gone")
    return Coin(plain)


register_type("coin", Coin, lambda coin: coin.cents, coin_of)


def test_of_rows_with_values_that_cannot_be_decoded_the_others_can() -> None:
    payload = encode_rows([["a", Coin(5)], [("b", Coin(-1)), 2], ["c", [Coin(0)]], ["d", date(2024, 2, 29)]])
    with pytest.raises(FrameError, match=r"no tuples.*no such coin"):
        decode_rows(payload)
    for data in (payload, memoryview(payload)):
        rows, bad = decode_by_row(data, 2)
        assert len(rows) == 4
        assert (rows[0], rows[3]) == (["a", Coin(5)], ["d", date(2024, 2, 29)])
        assert bad == {
            1: BadValue(0, "`from_plain` of 'coin' raised ValueError('no such coin')"),
            2: BadValue(1, "`from_plain` of 'coin' raised Panic('gone')"),
        }


def test_who_does_not_know_a_type_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = encode_rows([[Coin(5)], [6]])
    monkeypatch.delitem(tuple_codec._registered, "coin")
    rows, bad = decode_by_row(payload, 1)
    assert rows[1] == [6]
    assert list(bad) == [0]
    assert bad[0].why.startswith("no type is registered as 'coin' in this worker: ")
    assert "storm.register_type" in bad[0].why


def test_of_what_a_users_error_says_some_is_told() -> None:
    _, bad = decode_by_row(encode_rows([[Coin(-3)]]), 1)
    assert len(bad[0].why) == REASON_CHARS_MAX


def test_what_ends_a_thread_in_the_users_code_ends_none_here() -> None:
    with pytest.raises(FrameError, match=r"Panic\('gone'\)"):
        decode_rows(encode_rows([[Coin(0)]]))


def test_an_interrupt_is_nobodys_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(plain: int) -> Coin:
        raise KeyboardInterrupt

    monkeypatch.setitem(tuple_codec._registered, "coin", tuple_codec.RegisteredType("coin", Coin, int, interrupted))
    payload = encode_rows([[Coin(5)]])
    for decode in (decode_rows, lambda payload: decode_by_row(payload, 1)):
        with pytest.raises(KeyboardInterrupt):
            decode(payload)


NO_ROWS = [
    b"",
    b"\xc1",
    b"\xdd\xff\xff\xff\xff",
    b"\x91" * 100_000,
    b"\xc7\x0c\xff" + b"\xff" * 12,
    msgpack.packb(1),
    msgpack.packb([1]),
    msgpack.packb([[1], {}]),
]
NO_ROWS_OF_ONE = [
    *NO_ROWS,
    msgpack.packb([[1], msgpack.ExtType(99, b"")]),
    msgpack.packb([[1], [1, 2]]),
    msgpack.packb([[1], []]),
    encode_rows([[1]])[:-1],
    encode_rows([[1]]) + b"\x00",
]


@pytest.mark.parametrize("payload", NO_ROWS_OF_ONE)
def test_bytes_that_are_no_rows_are_none_one_by_one_either(payload: bytes) -> None:
    with pytest.raises(FrameError, match="no tuples"):
        decode_by_row(payload, 1)


@given(st.lists(st.lists(values, min_size=2, max_size=2), max_size=3))
def test_good_rows_are_the_same_one_by_one(rows: list[list[Any]]) -> None:
    got, bad = decode_by_row(encode_rows([*rows]), 2)
    assert same(got, rows)
    assert bad == {}


def test_a_name_stands_for_one_type() -> None:
    register_type("path", Pair, list, lambda plain: Pair(*plain))
    with pytest.raises(ValueError, match="already stands for Pair"):
        register_type("path", Colour, int, Colour)
    with pytest.raises(ValueError, match="travels already"):
        register_type("mine", date, str, date.fromisoformat)


@pytest.mark.parametrize(
    "payload",
    [
        *NO_ROWS,
        msgpack.packb([[msgpack.ExtType(99, b"")]]),
        msgpack.packb([[msgpack.ExtType(1, msgpack.packb("no list"))]]),
        msgpack.packb([[msgpack.ExtType(4, b"1" * 100_000)]]),
        msgpack.packb([[msgpack.ExtType(5, b"no number")]]),
        msgpack.packb([[msgpack.ExtType(6, b"short")]]),
        msgpack.packb([[msgpack.ExtType(7, b"")]]),
        msgpack.packb([[msgpack.ExtType(7, b"\x052024-01-01T00:00:00")]]),
        msgpack.packb([[msgpack.ExtType(10, b"\xff\xff\xff\x7f" * 3)]]),
        msgpack.packb([[msgpack.ExtType(12, msgpack.packb(["O", [1], bytes(8)]))]]),
        msgpack.packb([[msgpack.ExtType(20, msgpack.packb(["nobody knows", 1]))]]),
        msgpack.packb([[msgpack.ExtType(20, msgpack.packb([[], 1]))]]),
        encode_rows([[1]]) + b"\x00",
    ],
)
def test_other_bytes_are_a_frame_error(payload: bytes) -> None:
    with pytest.raises(FrameError, match="no tuples"):
        decode_rows(payload)


@given(st.binary() | st.binary().map(lambda data: b"\x91\x91" + data))
def test_arbitrary_bytes_are_rows_or_a_frame_error(payload: bytes) -> None:
    try:
        rows = decode_rows(payload)
    except FrameError:
        return
    assert all(type(row) is list for row in rows)


@given(st.binary() | st.binary().map(lambda data: b"\x92\x91" + data))
def test_arbitrary_bytes_are_rows_of_the_width_or_a_frame_error(payload: bytes) -> None:
    try:
        rows, bad = decode_by_row(payload, 1)
    except FrameError:
        return
    assert all(len(row) == 1 for row in rows)
    assert set(bad) <= set(range(len(rows)))


def deep_pack(count: int, code: int) -> bytes:
    return msgpack.packb([[msgpack.ExtType(code, msgpack.packb([{}] * count))]])  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("container", [b"\x80", b"\x90", b"\x91\xc0", b"\x81\xc0\xc0"])
def test_a_small_frame_cannot_hold_too_many_containers(container: bytes) -> None:
    count = 2 * CONTAINERS_MAX
    payload = b"\x91\xdd" + count.to_bytes(4, "big") + container * count
    with pytest.raises(FrameError, match="more than 250,000"):
        decode_rows(payload)
    with pytest.raises(FrameError, match="more than 250,000"):
        decode_by_row(b"\x91" + payload, 1)


@pytest.mark.slow
def test_nor_can_an_extension_type_within_it() -> None:
    with pytest.raises(FrameError, match="more than 250,000"):
        decode_rows(deep_pack(CONTAINERS_MAX + 1, code=1))
    with pytest.raises(FrameError, match="more than 250,000"):
        decode_by_row(deep_pack(CONTAINERS_MAX + 1, code=1), 1)


@pytest.mark.slow
def test_nor_can_all_rows_together() -> None:
    count = CONTAINERS_MAX + 1
    with pytest.raises(FrameError, match="more than 250,000"):
        decode_by_row(b"\xdd" + count.to_bytes(4, "big") + b"\x90" * count, 0)
    half: list[Any] = [[] for _ in range(CONTAINERS_MAX // 2)]
    with pytest.raises(FrameError, match="more than 250,000"):
        decode_by_row(msgpack.packb([[half], [half]]), 1)


@pytest.mark.slow
def test_the_sender_is_told_what_the_receiver_would_refuse() -> None:
    values = [1, [[] for _ in range(CONTAINERS_MAX + 1)]]
    with pytest.raises(SerializationError, match=r"value 1 \(list\): more than 250,000"):
        check(values)
    with pytest.raises(SerializationError, match="more than 250,000"):
        encode_rows([values])


@pytest.mark.slow
def test_long_texts_and_many_numbers_are_no_containers() -> None:
    rows = [["水" * 500_000, (1,)], [list(range(500_000))]]
    assert decode_rows(encode_rows([*rows])) == rows


def test_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    row = [
        numpy.float32(1.5),
        numpy.int64(-1),
        numpy.bool_(True),
        numpy.datetime64("2024-01-01T00:00", "ns"),
        numpy.arange(6, dtype=">i2").reshape(2, 3),
        numpy.zeros((0, 3)),
        numpy.array(5.0),
        numpy.array(["a", "bc"]),
        numpy.str_(""),
        numpy.bytes_(b""),
    ]
    [got] = decode_rows(encode_rows([row]))
    for before, after in zip(row, got, strict=True):
        assert type(before) is type(after)
        assert before.dtype == after.dtype
        assert before.shape == after.shape
        assert numpy.array_equal(before, after)
    got[4][0, 0] = 7  # arrives writable
    for refused in (numpy.array([object()]), numpy.zeros(1, dtype="i4,f8"), numpy.ma.array([1])):
        with pytest.raises(SerializationError, match="value 0"):
            check([refused])


GOLDEN = {
    (1, "a", None, True, 1.5, b"b"): "9196 01a161c0c3cb3ff8000000000000c40162",
    ((1, 2),): "9191 c70301920102",
    (1 << 64,): "9191 c70904000000000000000001",
    (Decimal("1.50"),): "9191 d605312e3530",
    (UUID(int=1),): "9191 d80600000000000000000000000000000001",
    (date(2024, 2, 29),): "9191 c70a08323032342d30322d3239",
    (datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC),): ("9191 c71a0700323032342d30322d32395430313a30323a30332b30303a3030"),
    (frozenset([3]),): "9191 d5039103",
    (timedelta(1, 2, 3),): "9191 c70c0a010000000200000003000000",
}


@pytest.mark.parametrize("row", GOLDEN)
def test_golden_bytes(row: tuple[Any, ...]) -> None:
    assert encode_rows([row]).hex() == GOLDEN[row].replace(" ", "")
