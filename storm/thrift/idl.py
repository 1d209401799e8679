"""The definitions in an interface file of Thrift, each taken apart only when somebody asks for it.

What storm.thrift needs of the language, and no more: enumerations, structs, unions, exceptions and services, whose
types are base types, containers and names of this file. There are no includes, constants, typedefs, annotations or
inherited services. Comments begin with `//`; a definition begins its line; a field or method ends with a semicolon.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_CODE = re.compile(r"//[^\n]*|^namespace [^\n]*", re.MULTILINE)
_DEFINITION = re.compile(r"^(enum|struct|union|exception|service) (\w+) \{(.*?)\}$", re.MULTILINE | re.DOTALL)
_TYPE = r"(\w+(?:<[\w<>, ]+>)?)"
_METHOD = re.compile(_TYPE + r" (\w+)\((.*?)\)(?: throws \((.*)\))?")
_FIELD = re.compile(r"(\d+): (?:(required|optional) )?" + _TYPE + r' ([A-Za-z_]\w*)(?: = ("[^"]*"|-?\d+|\{\}|\[\]))?')
_MEMBER = re.compile(r"(\w+) = (\d+)")
_CONTAINER = re.compile(r"(list|set|map)<(.+)>")
_DEFAULTS: dict[str, Any] = {"{}": {}, "[]": []}


class Type(NamedTuple):
    """`string`, or a name of this file; of a container also what is in it: `list`, of `i64`."""

    name: str
    inner: tuple[Type, ...] = ()


class Field(NamedTuple):
    """A field of a struct, an argument, or an exception that a method throws. `default` None: there is none."""

    number: int
    name: str
    type: Type
    required: bool
    default: Any


class Method(NamedTuple):
    """A method of a service. `returns` None: nothing."""

    returns: Type | None
    arguments: tuple[Field, ...]
    throws: tuple[Field, ...]


class Definition(NamedTuple):
    """`kind` is the word before the name; `statements` what stands between the braces, each on one line."""

    kind: str
    name: str
    statements: tuple[str, ...]


def definitions(text: str) -> dict[str, Definition]:
    """{name: what the file defines by it}, in the file's order. Raises ValueError where it holds anything else."""
    code = _NOT_CODE.sub("", text)
    found = {}
    end = 0
    for match in _DEFINITION.finditer(code):
        _nothing_but_space(code[end : match.start()])
        kind, name, body = match.groups()
        separator = "," if kind == "enum" else ";"
        statements = (" ".join(statement.split()) for statement in body.split(separator))
        found[name] = Definition(kind, name, tuple(statement for statement in statements if statement))
        end = match.end()
    _nothing_but_space(code[end:])
    return found


def members(enumeration: Definition) -> dict[str, int]:
    """{name: its number}. Raises ValueError for what is no enumeration."""
    return {name: int(number) for name, number in (_taken(_MEMBER, enumeration, one) for one in enumeration.statements)}


def fields(struct: Definition) -> tuple[Field, ...]:
    """Of a struct, union or exception, in the file's order. Raises ValueError for what is none."""
    return tuple(_field(struct, statement) for statement in struct.statements)


def methods(service: Definition) -> dict[str, Method]:
    """{name: what it takes and gives}, in the file's order. Raises ValueError for what is no service."""
    found = {}
    for statement in service.statements:
        returns, name, arguments, throws = _taken(_METHOD, service, statement)
        found[name] = Method(
            None if returns == "void" else _type(returns),
            tuple(_field(service, one) for one in _split(arguments)),
            tuple(_field(service, one) for one in _split(throws or "")),
        )
    return found


def _field(where: Definition, statement: str) -> Field:
    number, requirement, type_text, name, default = _taken(_FIELD, where, statement)
    return Field(int(number), name, _type(type_text), requirement == "required", _default(default))


def _default(text: str | None) -> Any:
    if text is None:
        return None
    if text.startswith('"'):
        return text[1:-1]
    return _DEFAULTS[text] if text in _DEFAULTS else int(text)


def _type(text: str) -> Type:
    match = _CONTAINER.fullmatch(text)
    if match is None:
        return Type(text)
    return Type(match[1], tuple(_type(inner) for inner in _split(match[2])))


def _split(text: str) -> Iterator[str]:
    """At the commas that are not within `<>`."""
    depth = start = 0
    for match in re.finditer(r"[<>,]", text):
        depth += {"<": 1, ">": -1, ",": 0}[match[0]]
        if match[0] == "," and depth == 0:
            yield text[start : match.start()].strip()
            start = match.end()
    if rest := text[start:].strip():
        yield rest


def _taken(pattern: re.Pattern[str], where: Definition, statement: str) -> tuple[Any, ...]:
    match = pattern.fullmatch(statement)
    if match is None:
        raise ValueError(f"{where.kind} {where.name}: not understood: {statement}")
    return match.groups()


def _nothing_but_space(text: str) -> None:
    if text.strip():
        raise ValueError(f"not understood: {' '.join(text.split()):.100}")
