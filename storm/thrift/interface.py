"""The structs, exceptions and services of `storm.thrift`; each class is made when it is first asked for.

`t = storm_thrift(); t.TopologySummary(...)`; `service("Nimbus")`. A process needs a few of the two hundred classes, so
reading the file costs it little, and nothing where it asks for none.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from storm.thrift import idl
from storm.thrift.prescan import BOOL, BYTE, DOUBLE, I16, I32, I64, LIST, MAP, SET, STRING, STRUCT

Struct: TypeAlias = Any  # an instance of a struct, union or exception class of storm.thrift
StructClass: TypeAlias = Any
Service: TypeAlias = Any  # `thrift_services` names its methods; `<method>_args`, `<method>_result`: structs

IDL_PATH = Path(__file__).with_name("storm.thrift")
BINARY = 18  # `binary`; on the wire it is a string
_BASE_TYPES = {
    "bool": BOOL, "byte": BYTE, "double": DOUBLE, "i16": I16, "i32": I32, "i64": I64, "string": STRING,
    "binary": BINARY,
}  # fmt: skip
_making = threading.RLock()  # two threads that ask at once must get the same class: structs are told apart by it
_interface: Interface | None = None
_services: dict[str, Service] = {}


def storm_thrift() -> Any:
    """Has the structs, unions, exceptions and enumerations of storm.thrift as attributes."""
    global _interface
    if _interface is None:
        with _making:
            if _interface is None:
                _interface = Interface(IDL_PATH.read_text())
    return _interface


def service(name: str) -> Service:
    """The service `name`. Raises ValueError if storm.thrift has no such service."""
    found = _services.get(name)
    if found is None:
        interface: Interface = storm_thrift()
        definition = interface.definitions.get(name)
        if definition is None or definition.kind != "service":
            raise ValueError(f"storm.thrift has no service {name!r}")
        with _making:
            found = _services.setdefault(name, ThriftService(interface, definition))
    return found


class ThriftStruct:
    """An instance of a struct, union or exception. Fields that are not given have their default, or are None.

    `thrift_spec`: {field number: (type, name[, details], required)}, in the interface's order. The type is a number of
    `prescan`, or BINARY. Details are the class of a struct or enumeration; of a container, what is in it: a type, or
    (type, details); of a map two of them.
    """

    thrift_spec: ClassVar[dict[int, tuple[Any, ...]]] = {}
    is_union: ClassVar[bool] = False  # exactly one field is set
    _defaults: ClassVar[dict[str, Any]] = {}
    _containers: ClassVar[dict[str, type[Any]]] = {}  # of those defaults that could be shared

    def __init__(self, *values: Any, **named: Any) -> None:
        self.__dict__ = held = self._defaults.copy()
        for name, make in self._containers.items():
            held[name] = make()
        if values:
            named.update(zip(self._defaults, values, strict=False))
        if named:
            held.update(named)
            if len(held) != len(self._defaults) or len(values) > len(held):
                raise TypeError(f"{type(self).__name__} has the fields {', '.join(self._defaults)}")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *map(_frozen, self.__dict__.values())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


def struct_class(name: str, spec: dict[int, tuple[Any, ...]], **members: Any) -> StructClass:
    """The class of structs with these fields, whose defaults are None."""
    defaults = {entry[1]: None for entry in spec.values()}
    return type(name, (ThriftStruct,), {"thrift_spec": spec, "_defaults": defaults, **members})


class Enumeration:
    """Has its members as attributes; `names` is {number: name}."""

    names: ClassVar[dict[int, str]] = {}


class Interface:
    """What a file defines, as attributes. Raises ValueError for a file that `idl` does not understand."""

    def __init__(self, text: str) -> None:
        self.definitions = idl.definitions(text)

    def __getattr__(self, name: str) -> Any:
        definition = self.definitions.get(name)
        if definition is None or definition.kind == "service":
            raise AttributeError(f"the interface has no {name!r}")
        with _making:
            made = self.__dict__.get(name)
            if made is None:
                made = self._enumeration(definition) if definition.kind == "enum" else self._struct(definition)
                setattr(self, name, made)
            return made

    def spec(self, fields: tuple[idl.Field, ...]) -> dict[int, tuple[Any, ...]]:
        """The `thrift_spec` of these fields."""
        return {field.number: self.entry(field.name, field.type, field.required) for field in fields}

    def entry(self, name: str, field_type: idl.Type, required: bool) -> tuple[Any, ...]:
        """A field of a `thrift_spec`."""
        kind, *details = self._kind(field_type)
        return (kind, name, *details, required)

    def _kind(self, found: idl.Type) -> tuple[Any, ...]:
        """(type,) or (type, details)."""
        match found.name:
            case "list" | "set":
                return (LIST if found.name == "list" else SET, self._element(found.inner[0]))
            case "map":
                key, item = found.inner
                return (MAP, (self._element(key), self._element(item)))
            case name if name in _BASE_TYPES:
                return (_BASE_TYPES[name],)
        cls = getattr(self, found.name)
        return (I32 if issubclass(cls, Enumeration) else STRUCT, cls)

    def _element(self, found: idl.Type) -> Any:
        kind = self._kind(found)
        return kind if len(kind) > 1 else kind[0]

    def _struct(self, definition: idl.Definition) -> StructClass:
        fields = idl.fields(definition)
        containers = {field.name: type(field.default) for field in fields if isinstance(field.default, dict | list)}
        return struct_class(
            definition.name,
            self.spec(fields),
            is_union=definition.kind == "union",
            _defaults={field.name: field.default for field in fields},
            _containers=containers,
        )

    def _enumeration(self, definition: idl.Definition) -> StructClass:
        found = idl.members(definition)
        return type(definition.name, (Enumeration,), {**found, "names": {value: name for name, value in found.items()}})


class ThriftService:
    """`<method>_args` and `<method>_result` are struct classes; field 0 of a result is what the method returns."""

    def __init__(self, interface: Interface, definition: idl.Definition) -> None:
        self.__name__ = definition.name
        self._interface = interface
        self._methods = idl.methods(definition)
        self.thrift_services = list(self._methods)

    def __getattr__(self, name: str) -> StructClass:
        method_name, _, part = name.rpartition("_")
        method = self._methods.get(method_name)
        if method is None or part not in {"args", "result"}:
            raise AttributeError(f"{self.__name__} has no {name!r}")
        with _making:
            made = self.__dict__.get(name)
            if made is None:
                made = struct_class(name, self._arguments(method) if part == "args" else self._result(method))
                setattr(self, name, made)
            return made

    def _arguments(self, method: idl.Method) -> dict[int, tuple[Any, ...]]:
        return self._interface.spec(method.arguments)

    def _result(self, method: idl.Method) -> dict[int, tuple[Any, ...]]:
        found = self._interface.spec(method.throws)
        if method.returns is None:
            return found
        return {0: self._interface.entry("success", method.returns, required=False), **found}


def _frozen(value: Any) -> Any:
    """Hashes alike where it is equal."""
    if isinstance(value, dict):
        return frozenset((_frozen(key), _frozen(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, set | frozenset):
        return frozenset(map(_frozen, value))
    return value
