"""Structs to bytes and back, in Thrift's binary protocol, by the field tables of `interface`'s classes.

Keys of maps that are lists (Storm's `Assignment` has two) are read as tuples, and sets as frozensets. Text that is not
UTF-8, and a struct that lacks a required field, which Java would refuse, are refused naming struct and field.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from storm.errors import ThriftProtocolError
from storm.thrift import prescan
from storm.thrift.interface import BINARY
from storm.thrift.prescan import (
    BOOL,
    BYTE,
    DOUBLE,
    I16,
    I32,
    I64,
    LIST,
    MAP,
    SET,
    STRING,
    STRUCT,
    MessageHeader,
)

if TYPE_CHECKING:
    from storm.thrift.interface import Struct, StructClass

_NUMBERS = {
    BYTE: struct.Struct(">b"),
    DOUBLE: struct.Struct(">d"),
    I16: struct.Struct(">h"),
    I32: struct.Struct(">i"),
    I64: struct.Struct(">q"),
}
_LENGTH = _NUMBERS[I32]
_FIELD_ID = _NUMBERS[I16]
_TYPE_NAMES = {
    BOOL: "bool", BYTE: "byte", DOUBLE: "double", I16: "i16", I32: "i32", I64: "i64", STRING: "string",
    BINARY: "binary", LIST: "list", SET: "set", MAP: "map", STRUCT: "struct",
}  # fmt: skip


class _Cursor:
    __slots__ = ("data", "offset")

    def __init__(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset


_Reader: TypeAlias = Callable[[_Cursor], Any]
_Writer: TypeAlias = Callable[[bytearray, Any], None]


class _Field(NamedTuple):
    number: int
    name: str
    wire_type: int
    type_name: str
    required: bool
    read: _Reader
    write: _Writer


def encode_message(header: MessageHeader, body: Struct) -> bytes:
    """A message of the binary protocol, without the frame's length. `header.body_offset` is ignored."""
    name = header.method.encode()
    out = bytearray(struct.pack(">HBBi", 0x8001, 0, header.kind, len(name)))
    out += name
    out += _LENGTH.pack(header.sequence_id)
    _write_struct(out, body)
    return bytes(out)


def serialize(value: Struct) -> bytes:
    """A struct as bytes. Raises ThriftProtocolError naming the field that is missing or of a wrong type."""
    out = bytearray()
    _write_struct(out, value)
    return bytes(out)


def deserialize(cls: StructClass, data: bytes) -> Struct:
    """The struct of class `cls` that fills `data`. Raises ThriftProtocolError if none does."""
    prescan.scan_struct(data)
    return read_scanned(cls, data)


def read_scanned(cls: StructClass, data: bytes, offset: int = 0) -> Struct:
    """The struct of class `cls` that begins at `offset`, in `data` that `prescan` found sound."""
    return _read_struct(cls, _Cursor(data, offset))


def _read_struct(cls: StructClass, cursor: _Cursor) -> Struct:
    fields = _fields(cls)
    value = cls()
    data = cursor.data
    while (wire_type := data[cursor.offset]) != 0:
        (number,) = _FIELD_ID.unpack_from(data, cursor.offset + 1)
        cursor.offset += 3
        field = fields.get(number)
        if field is None or field.wire_type != wire_type:
            cursor.offset = prescan.skip_value(data, cursor.offset, wire_type)
            continue
        try:
            setattr(value, field.name, field.read(cursor))
        except UnicodeDecodeError as error:
            raise ThriftProtocolError(f"{cls.__name__}.{field.name} is not UTF-8") from error
    cursor.offset += 1
    for field in fields.values():
        if field.required and getattr(value, field.name) is None:
            raise ThriftProtocolError(f"{cls.__name__} lacks the required field {field.name!r}")
    return value


def _write_struct(out: bytearray, value: Struct) -> None:
    cls: Any = type(value)
    fields = _fields(cls)
    written = 0
    for field in fields.values():
        item = getattr(value, field.name)
        if item is None:
            if field.required:
                raise ThriftProtocolError(f"{cls.__name__} lacks the required field {field.name!r}")
            continue
        out.append(field.wire_type)
        out += _FIELD_ID.pack(field.number)
        try:
            field.write(out, item)
        except (struct.error, TypeError, AttributeError, ValueError) as error:
            raise ThriftProtocolError(
                f"{cls.__name__}.{field.name} is {field.type_name} and cannot hold {item!r:.100}: {error}"
            ) from error
        written += 1
    if written != 1 and cls.is_union:
        raise ThriftProtocolError(f"{cls.__name__} is a union: exactly one field is set, not {written}")
    out.append(0)


@cache
def _fields(cls: Hashable) -> dict[int, _Field]:
    """The fields of a class by number; an entry of its `thrift_spec` is (type, name[, details], required)."""
    found = {}
    for number, (kind, name, *details, required) in cast("StructClass", cls).thrift_spec.items():
        detail = details[0] if details else None
        found[number] = _Field(
            number,
            name,
            _wire_type(kind),
            "a " + (_TYPE_NAMES[kind] if details == [] or kind != STRUCT else details[0].__name__),
            required,
            _reader(kind, detail),
            _writer(kind, detail),
        )
    return found


def _wire_type(kind: int) -> int:
    return STRING if kind == BINARY else kind


def _split(element: Any) -> tuple[int, Any]:
    """An element's type is a number, or (number, details) where there are any."""
    return element if isinstance(element, tuple) else (element, None)


def _reader(kind: int, detail: Any) -> _Reader:
    if kind in _NUMBERS:
        return _number_reader(_NUMBERS[kind])
    if kind == STRUCT:
        return lambda cursor: _read_struct(detail, cursor)
    if kind == LIST:
        return _list_reader(detail)
    if kind == SET:
        elements = _list_reader(detail)
        return lambda cursor: frozenset(map(_hashable, elements(cursor)))
    if kind == MAP:
        return _map_reader(detail)
    return _SIMPLE_READERS[kind]


def _number_reader(number: struct.Struct) -> _Reader:
    unpack, size = number.unpack_from, number.size

    def read(cursor: _Cursor) -> Any:
        (value,) = unpack(cursor.data, cursor.offset)
        cursor.offset += size
        return value

    return read


def _read_bool(cursor: _Cursor) -> bool:
    cursor.offset += 1
    return cursor.data[cursor.offset - 1] != 0


def _read_bytes(cursor: _Cursor) -> bytes:
    start = cursor.offset + 4
    cursor.offset = start + _LENGTH.unpack_from(cursor.data, cursor.offset)[0]
    return cursor.data[start : cursor.offset]


def _read_text(cursor: _Cursor) -> str:
    return _read_bytes(cursor).decode()


def _list_reader(detail: Any) -> _Reader:
    kind, inner = _split(detail)
    read_element = _reader(kind, inner)

    def read(cursor: _Cursor) -> list[Any]:
        found = cursor.data[cursor.offset]
        (count,) = _LENGTH.unpack_from(cursor.data, cursor.offset + 1)
        cursor.offset += 5
        _check_element_type(found, kind, count)
        return [read_element(cursor) for _ in range(count)]

    return read


def _map_reader(detail: Any) -> _Reader:
    (key_kind, key_inner), (item_kind, item_inner) = _split(detail[0]), _split(detail[1])
    read_key, read_item = _reader(key_kind, key_inner), _reader(item_kind, item_inner)

    def read(cursor: _Cursor) -> dict[Any, Any]:
        data, start = cursor.data, cursor.offset
        (count,) = _LENGTH.unpack_from(data, start + 2)
        cursor.offset += 6
        _check_element_type(data[start], key_kind, count)
        _check_element_type(data[start + 1], item_kind, count)
        return {_hashable(read_key(cursor)): read_item(cursor) for _ in range(count)}

    return read


def _check_element_type(found: int, kind: int, count: int) -> None:
    if count and found != _wire_type(kind):
        raise ThriftProtocolError(f"a container of {_TYPE_NAMES.get(found, found)} where {_TYPE_NAMES[kind]} belongs")


def _hashable(key: Any) -> Any:
    return tuple(map(_hashable, key)) if isinstance(key, list) else key


def _writer(kind: int, detail: Any) -> _Writer:
    if kind in _NUMBERS:
        return _number_writer(_NUMBERS[kind])
    if kind == STRUCT:
        return lambda out, value: _write_instance(out, value, detail)
    if kind in (LIST, SET):
        return _list_writer(detail)
    if kind == MAP:
        return _map_writer(detail)
    return _SIMPLE_WRITERS[kind]


def _number_writer(number: struct.Struct) -> _Writer:
    pack = number.pack

    def write(out: bytearray, value: Any) -> None:
        out += pack(value)

    return write


def _write_bool(out: bytearray, value: bool) -> None:
    out.append(1 if value else 0)


def _write_bytes(out: bytearray, value: bytes | bytearray | memoryview) -> None:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("bytes are needed")
    out += _LENGTH.pack(len(value))
    out += value


def _write_text(out: bytearray, value: str) -> None:
    if not isinstance(value, str):
        raise TypeError("text is needed")
    _write_bytes(out, value.encode())


def _write_instance(out: bytearray, value: Struct, cls: StructClass) -> None:
    if not isinstance(value, cls):
        raise TypeError(f"an instance of {cls.__name__} is needed")
    _write_struct(out, value)


def _list_writer(detail: Any) -> _Writer:
    kind, inner = _split(detail)
    write_element = _writer(kind, inner)

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, list | tuple | set | frozenset):
            raise TypeError("a list is needed")
        out.append(_wire_type(kind))
        out += _LENGTH.pack(len(value))
        for element in value:
            write_element(out, element)

    return write


def _map_writer(detail: Any) -> _Writer:
    (key_kind, key_inner), (item_kind, item_inner) = _split(detail[0]), _split(detail[1])
    write_key, write_item = _writer(key_kind, key_inner), _writer(item_kind, item_inner)

    def write(out: bytearray, value: Any) -> None:
        out += bytes((_wire_type(key_kind), _wire_type(item_kind)))
        out += _LENGTH.pack(len(value))
        for key, item in value.items():
            write_key(out, key)
            write_item(out, item)

    return write


_SIMPLE_READERS: dict[int, _Reader] = {BOOL: _read_bool, STRING: _read_text, BINARY: _read_bytes}
_SIMPLE_WRITERS: dict[int, _Writer] = {BOOL: _write_bool, STRING: _write_text, BINARY: _write_bytes}
