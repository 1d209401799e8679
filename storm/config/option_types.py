"""What a configuration key is: its type with bounds, its default, its unit and what it does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from storm.config.blob_map import blob_uses

INT_MAX = 2**31 - 1  # what Storm's own keys hold, and what fits the Thrift interface
SHOWN_CHARS_MAX = 60


class ValueType(Protocol):
    """A type that values of a key must have."""

    def checked(self, value: Any) -> Any:
        """The value as the program uses it. Raises ValueError, "expected ..., got ..."."""

    def __str__(self) -> str:
        """The type in words."""


def refused(expected: object, value: Any) -> ValueError:
    """What a type raises for a value that is not one of its own."""
    return ValueError(f"expected {expected}, got {in_short(value)}")


def in_short(value: Any) -> str:
    """A value for one line of text."""
    shown = repr(value)
    return shown if len(shown) <= SHOWN_CHARS_MAX else shown[: SHOWN_CHARS_MAX - 4] + " ..."


@dataclass(frozen=True, slots=True)
class Bool:
    """true or false."""

    def checked(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise refused(self, value)
        return value

    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number between two bounds, both included."""

    least: int = 0
    most: int = INT_MAX

    def checked(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            raise refused(self, value)
        return value

    def __str__(self) -> str:
        return f"integer >= {self.least}" if self.most == INT_MAX else f"integer {self.least}..{self.most}"


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number between two bounds, both included."""

    least: float = 0.0
    most: float = float(INT_MAX)

    def checked(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise refused(self, value)
        if not self.least <= value <= self.most:
            raise refused(self, value)
        return value

    def __str__(self) -> str:
        return f"number >= {self.least:g}" if self.most == INT_MAX else f"number {self.least:g}..{self.most:g}"


@dataclass(frozen=True, slots=True)
class Text:
    """A string of at least one character, none of them a control character, that begins with `prefix`."""

    prefix: str = ""

    def checked(self, value: Any) -> str:
        if not isinstance(value, str) or not value or not value.isprintable() or not value.startswith(self.prefix):
            raise refused(self, value)
        return value

    def __str__(self) -> str:
        return f"text that begins with {self.prefix}" if self.prefix else "text"


@dataclass(frozen=True, slots=True)
class VariableName:
    """The name of an environment variable, as a process can be given it."""

    def checked(self, value: Any) -> str:
        if not isinstance(value, str) or not value or not value.isprintable() or "=" in value:
            raise refused(self, value)
        return value

    def __str__(self) -> str:
        return "the name of a variable, without '=' and control characters"


@dataclass(frozen=True, slots=True)
class FilePath:
    """A file or directory: `~` stands for the home directory; relative ones become absolute when they are read."""

    def checked(self, value: Any) -> str:
        if not isinstance(value, str) or not value.isprintable() or not value.strip() or value != value.strip():
            raise refused(self, value)
        if not value.startswith("~"):
            return value
        try:
            return str(Path(value).expanduser())
        except RuntimeError:
            raise ValueError(f"{in_short(value)}: there is no such home directory; give an absolute path") from None

    def __str__(self) -> str:
        return "the path of a file or directory, without blanks around it"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def checked(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise refused(self, value)
        return value

    def __str__(self) -> str:
        return "one of " + ", ".join(self.words)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list whose items are of one type; `unique`: no item twice."""

    item: ValueType
    least: int = 0
    unique: bool = False

    def checked(self, value: Any) -> list[Any]:
        if not isinstance(value, list | tuple) or len(value) < self.least:
            raise refused(self, value)
        found: list[Any] = []
        for i, item in enumerate(value):
            try:
                found.append(self.item.checked(item))
            except ValueError as error:
                raise ValueError(f"item {i + 1}: {error}") from None
            if self.unique and found[-1] in found[:-1]:
                raise ValueError(f"{in_short(item)} stands there twice")
        return found

    def __str__(self) -> str:
        return f"a list{' that is not empty' if self.least else ''} (each: {self.item})"


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping from text to values of one type; `name`: of which type the names are, None: any text."""

    value: ValueType
    name: ValueType | None = None

    def checked(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise refused(self, value)
        found: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"expected text as the name, got {in_short(key)}")
            if self.name is not None:
                self.name.checked(key)
            try:
                found[key] = self.value.checked(item)
            except ValueError as error:
                raise ValueError(f"{in_short(key)}: {error}") from None
        return found

    def __str__(self) -> str:
        return f"a mapping (each value: {self.value})"


@dataclass(frozen=True, slots=True)
class Json:
    """Anything that JSON can say: null, booleans, finite numbers, text, lists, and mappings with text as names."""

    def checked(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | str | int):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        if isinstance(value, list | tuple):
            return ListOf(self).checked(value)
        if isinstance(value, dict):
            return MapOf(self).checked(value)
        raise refused(self, value)

    def __str__(self) -> str:
        return "a value that JSON can hold"


@dataclass(frozen=True, slots=True)
class BlobMap:
    """The blobs of a topology by their keys, see `blob_map.blob_uses`."""

    def checked(self, value: Any) -> dict[str, Any]:
        blob_uses(value)
        return {key: dict(fields or {}) for key, fields in value.items()}

    def __str__(self) -> str:
        return "a mapping (each value: {localname, uncompress, workerRestart})"


@dataclass(frozen=True, slots=True)
class Option:
    """A key of the configuration.

    `default` None: not set; `nullable`: null may be written. `unit` is empty where the doc needs none. `secret`: its
    value is never shown. `shown_default` replaces a default that differs from machine to machine in texts.
    """

    key: str
    type: ValueType
    default: Any
    doc: str
    unit: str = ""
    nullable: bool = False
    secret: bool = False
    shown_default: str | None = None

    def checked(self, value: Any) -> Any:
        """The value as the program uses it; null is empty where the default is. Raises ValueError, "expected ..."."""
        if value is None:
            if self.nullable or self.default is None:
                return None
            if self.default in ([], {}):
                return self.type.checked(self.default)
            raise ValueError(f"expected {self.type}, got null")
        return self.type.checked(value)
