from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storm.config.option_types import Bool, Choice, FilePath, Int, Json, ListOf, MapOf, Number, Option, Text

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Bool(), True),
        (Int(1, 10), 10),
        (Number(), 0.5),
        (Number(), 3),
        (Text(), "worker-1"),
        (Choice(("a", "b")), "b"),
        (ListOf(Int(), least=1), [1]),
        (MapOf(Text()), {"a": "b"}),
    ],
)
def test_values_of_a_type_stay_as_they_are(kind: Any, value: Any) -> None:
    assert kind.checked(value) == value


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Bool(), "on", "expected true or false, got 'on'"),
        (Bool(), 1, "expected true or false, got 1"),
        (Int(1), True, "expected integer >= 1, got True"),
        (Int(1), 0, "expected integer >= 1, got 0"),
        (Int(1, 65_535), 65_536, r"expected integer 1..65535, got 65536"),
        (Int(), "1e3", "expected integer >= 0, got '1e3'"),
        (Int(), 1.0, "expected integer"),
        (Number(), float("nan"), "expected number >= 0, got nan"),
        (Number(0, 1), 2, r"expected number 0..1, got 2"),
        (Text(), "", "expected text, got ''"),
        (Text(), "a\x00b", "expected text"),
        (Text("/"), "storm", "expected text that begins with /, got 'storm'"),
        (FilePath(), "/tmp ", "without blanks around it"),
        (Choice(("a", "b")), "c", "expected one of a, b, got 'c'"),
        (ListOf(Int()), 3, "expected a list"),
        (ListOf(Int(), least=1), [], "not empty"),
        (ListOf(Int()), [1, "x"], "item 2: expected integer"),
        (ListOf(Int(), unique=True), [1, 2, 1], "1 stands there twice"),
        (MapOf(Int()), {"a": "b"}, "'a': expected integer"),
        (MapOf(Int()), {1: 2}, "expected text as the name, got 1"),
        (Json(), {"a": [object]}, "'a': item 1: expected a value that JSON can hold"),
        (Json(), float("inf"), "JSON"),
    ],
)
def test_other_values_are_refused_in_words(kind: Any, value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        kind.checked(value)


@given(PLAIN)
def test_json_takes_what_json_can_hold(value: Any) -> None:
    assert json.loads(json.dumps(Json().checked(value))) == value


@given(PLAIN)
@example({"\n": None})
def test_a_refusal_is_one_short_line(value: Any) -> None:
    for kind in (Bool(), Int(), Number(), Text(), FilePath(), Choice(("a",)), ListOf(Int()), MapOf(Int())):
        text = refusal(kind, value)
        assert "\n" not in text
        assert len(text) < 1000


def refusal(kind: Any, value: Any) -> str:
    try:
        kind.checked(value)
    except ValueError as error:
        return str(error)
    return ""


def test_home_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert FilePath().checked("~/storm") == "/home/somebody/storm"


def test_null_is_for_keys_without_a_default() -> None:
    assert Option("a", Int(), None, "").checked(None) is None
    assert Option("a", Int(), 1, "", nullable=True).checked(None) is None
    assert Option("a", ListOf(Int()), [], "").checked(None) == []
    with pytest.raises(ValueError, match="expected integer >= 0, got null"):
        Option("a", Int(), 1, "").checked(None)
