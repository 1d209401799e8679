from __future__ import annotations

from typing import Any

import pytest

from storm.executor.shown_ids import ID_CHARS_MAX, shown_id


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no")


class Endless:
    def __repr__(self) -> str:
        return "x" * 100_000


DEEP = "x" * 100
for _ in range(5):
    DEEP = (DEEP,) * 6  # type: ignore[assignment]


@pytest.mark.parametrize("message_id", [Endless(), "x" * 100_000, DEEP])
def test_a_long_id_is_cut(message_id: Any) -> None:
    assert 50 < len(shown_id(message_id)) <= ID_CHARS_MAX


def test_an_id_is_shown_as_python_shows_it() -> None:
    assert shown_id((3, "a")) == "(3, 'a')"


def test_one_that_cannot_be_shown_does_no_harm() -> None:
    assert "Unspeakable" in shown_id(Unspeakable())
    assert shown_id(type("T", (tuple,), {"__repr__": lambda self: 1 / 0})([1]))
