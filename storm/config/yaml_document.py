"""YAML that people write: safe tags only, every key with its line, and errors that name the place.

Unlike plain YAML 1.1 there are no dates and no numbers of base 60 ("12:30"), which nobody means; a key that stands
twice and an alias (`*name`), the way to make a small file huge, are refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from storm.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENT_CHARS_MAX = 1_000_000


class Entry(NamedTuple):
    """A top-level value and the line of its key."""

    value: Any
    line: int


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not supported: write the value out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            line = key_node.start_mark.line + 1
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"{key_node.value!r} is set twice (first in line {seen[key_node.value]})",
                    key_node.start_mark,
                )
            seen[key_node.value] = line
        return super().construct_mapping(node, deep=deep)


def _resolvers() -> dict[str, list[tuple[str, Any]]]:
    """YAML 1.1's plain scalars, without dates, and with numbers of base ten, two, eight and sixteen only."""
    dropped = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
    found: dict[str, list[tuple[str, Any]]] = {
        first: [(tag, regexp) for tag, regexp in resolvers if tag not in dropped]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    integer = re.compile(r"[-+]?(0b[0-1_]+|0[0-7_]+|(0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+)$")
    number = re.compile(
        r"([-+]?([0-9][0-9_]*)\.[0-9_]*([eE][-+]?[0-9]+)?|[-+]?\.[0-9][0-9_]*|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    )
    for first in "-+0123456789.":
        found.setdefault(first, []).extend([("tag:yaml.org,2002:float", number), ("tag:yaml.org,2002:int", integer)])
    return found


_Loader.yaml_implicit_resolvers = _resolvers()


def read_value(text: str) -> Any:
    """One YAML value. Raises ConfigError."""
    return _parse(text, lambda loader: loader.get_single_data())


def read_mapping(text: str) -> dict[str, Entry]:
    """The top-level keys of a document, each with its line from 1; none where it is empty. Raises ConfigError."""
    return _parse(text, _entries) or {}


def _entries(loader: _Loader) -> dict[str, Entry]:
    node = loader.get_single_node()
    if node is None or node.tag == "tag:yaml.org,2002:null":
        return {}
    if not isinstance(node, yaml.MappingNode):
        kind = "list" if isinstance(node, yaml.SequenceNode) else "single value"
        raise ConfigError(f"line {node.start_mark.line + 1}: expected lines of `key: value`, got a {kind}")
    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value if isinstance(key, yaml.ScalarNode)}
    document = loader.construct_document(node)
    for key in document:
        if not isinstance(key, str):
            raise ConfigError(f"line {lines.get(str(key), 1)}: expected text as a key, got {key!r}")
    return {key: Entry(value, lines[key]) for key, value in document.items()}


def _parse(text: str, read: Callable[[_Loader], Any]) -> Any:
    if len(text) > DOCUMENT_CHARS_MAX:
        raise ConfigError(f"longer than {DOCUMENT_CHARS_MAX:,} characters")
    loader = None
    try:
        loader = _Loader(text)
        return read(loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(f"{place}{error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError(f"line {line}: the character {chr(error.character)!r} is not allowed") from None
    except RecursionError:
        raise ConfigError("nested too deeply") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise ConfigError(f"not a value of YAML: {error}") from None
    finally:
        if loader is not None:
            loader.dispose()
