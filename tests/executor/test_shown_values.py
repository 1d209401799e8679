from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from storm.executor.shown_values import PART_CHARS_MAX, shown
from storm.tuples import Origin, Tuple


class Says:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no")


class Rows(list[Any]):
    pass


class Named(tuple[Any, ...]):
    def __repr__(self) -> str:
        return f"Named({self[0]})"


class NotToBeReached(type):
    def __getattribute__(cls, name: str) -> Any:
        if name == "__repr__":
            raise ValueError("no")
        return super().__getattribute__(name)


class Unreachable(metaclass=NotToBeReached):
    pass


DEEP: Any = "x" * 100
for _ in range(7):
    DEEP = [DEEP] * 7

MEGABYTE = "x" * 1_000_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((3, "a"), "(3, 'a')"),
        ([None, b"b", {"k": {1.5}}], "[None, b'b', {'k': {1.5}}]"),
        (Rows([1]), "[1]"),
        (Named((1,)), "Named(1)"),
        (Tuple(["red"], Origin("words", "default", 3, ["value"])), "['red']"),
        (Says("one\ntwo\r\nthree"), "one two three"),
        (Says("\ud800"), "\\ud800"),
    ],
)
def test_a_value_is_shown_as_python_shows_it_on_one_line(value: Any, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("value", ["x" * 10_000, b"x" * 10_000, Says("x" * 10_000), Says("\ud800" * 190), DEEP])
@pytest.mark.parametrize("chars", [10, 80, 200])
def test_what_is_long_is_cut(value: Any, chars: int) -> None:
    assert len(shown(value, chars)) <= chars
    assert "..." in shown(value, chars)


def test_one_of_several_leaves_room_for_the_others() -> None:
    assert shown(["x" * 10_000, "last"]).endswith("'last']")
    assert len(shown(["x" * 10_000])) <= PART_CHARS_MAX + 2


@pytest.mark.parametrize(
    "value",
    [[MEGABYTE] * 100, Rows([MEGABYTE] * 100), dict.fromkeys(range(100), MEGABYTE), bytearray(1_000_000)],
    ids=["list", "derived", "dict", "bytearray"],
)
def test_the_text_of_what_is_huge_is_never_made(value: Any) -> None:
    tracemalloc.start()
    try:
        assert len(shown(value)) <= 200
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", [Unspeakable(), [1, Unspeakable()]])
def test_a_repr_that_raises_does_no_harm(value: Any) -> None:
    assert "Unspeakable" in shown(value)


@pytest.mark.parametrize("value", [10**5_000, Unreachable(), [Unreachable()]], ids=["number", "value", "part"])
def test_what_cannot_be_shown_says_so(value: Any) -> None:
    assert "int instance" in shown(value) or shown(value) == "a value that cannot be shown"
