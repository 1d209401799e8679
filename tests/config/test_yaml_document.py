from __future__ import annotations

import contextlib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from storm.config.yaml_document import DOCUMENT_CHARS_MAX, read_mapping, read_value
from storm.errors import ConfigError


def test_every_key_has_its_line() -> None:
    found = read_mapping("# words\na: 1\n\nb:\n  - 2\nc: {d: 3}\n")
    assert {key: (entry.value, entry.line) for key, entry in found.items()} == {
        "a": (1, 2),
        "b": ([2], 4),
        "c": ({"d": 3}, 6),
    }


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "null\n"])
def test_an_empty_document_has_no_keys(text: str) -> None:
    assert read_mapping(text) == {}


def test_line_ends_of_windows() -> None:
    assert read_mapping("a: 1\r\nb: 2\r\n")["b"].line == 2


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: 1\nb: [\n", "line 3, column 1: .*expected the node content"),
        ("a: 1\n\tb: 2\n", "line 2, column 1: .*'\\\\t'"),
        ("a: 1\nb: 2\na: 3\n", r"line 3, column 1: 'a' is set twice \(first in line 1\)"),
        ("a: {b: 1, b: 2}\n", "'b' is set twice"),
        ("a: !!python/object/apply:os.system [id]\n", "line 1, column 4: could not determine a constructor"),
        ("a: &x [1]\nb: *x\n", "line 2, column 4: aliases are not supported"),
        ("- 1\n- 2\n", "line 1: expected lines of `key: value`, got a list"),
        ("word\n", "line 1: expected lines of `key: value`, got a single value"),
        ("1: a\n", "line 1: expected text as a key, got 1"),
        ("a: 1\nb: \x00\n", "line 2: the character '.x00' is not allowed"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("a: " + "9" * 5000, "not a value of YAML"),
        ("? [a]\n: b\n", "unhashable key"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: "),
        ("#" * (DOCUMENT_CHARS_MAX + 1), "longer than"),
    ],
)
def test_errors_name_the_place(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read_mapping(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("0x10", 16),
        ("0.5", 0.5),
        ("true", True),
        ("off", False),
        ("null", None),
        ("", None),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("1e3", "1e3"),
        ('["a", b]', ["a", "b"]),
        ("{a: 1}", {"a": 1}),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert read_value(text) == value


@given(st.text())
def test_any_text_is_a_value_or_a_config_error(text: str) -> None:
    for read in (read_value, read_mapping):
        with contextlib.suppress(ConfigError):
            read(text)


@given(st.dictionaries(st.text(min_size=1), st.integers() | st.text() | st.lists(st.booleans()), max_size=5))
def test_what_is_written_as_yaml_is_read_again(conf: dict[str, Any]) -> None:
    assert {key: entry.value for key, entry in read_mapping(yaml.safe_dump(conf)).items()} == conf
