"""The structs, exceptions and services of `storm.thrift`, loaded once, when first asked for.

`t = storm_thrift(); t.TopologySummary(...)`; `service("Nimbus")`. Loading takes about 0.2 s, so it waits
until somebody needs a struct.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

Struct: TypeAlias = Any  # an instance of a struct, union or exception class of storm.thrift
StructClass: TypeAlias = Any
Service: TypeAlias = Any  # `thrift_services` names its methods; `<method>_args`, `<method>_result`: structs

IDL_PATH = Path(__file__).with_name("storm.thrift")


@cache
def storm_thrift() -> Any:
    """The module that thriftpy2 makes of storm.thrift."""
    import thriftpy2

    module = thriftpy2.load(str(IDL_PATH), module_name="storm.thrift.storm_thrift")
    for kind in ("structs", "unions", "exceptions"):
        for cls in module.__thrift_meta__[kind]:
            _give_each_its_own_defaults(cls)
    return module


def service(name: str) -> Service:
    """The service `name`. Raises ValueError if storm.thrift has no such service."""
    for found in storm_thrift().__thrift_meta__["services"]:
        if found.__name__ == name:
            return found
    raise ValueError(f"storm.thrift has no service {name!r}")


@cache
def unions() -> frozenset[StructClass]:
    """The classes of which exactly one field is set."""
    return frozenset(storm_thrift().__thrift_meta__["unions"])


def enum_name(enum: str, value: int) -> str:
    """The name of `value` in the enumeration `enum`; `value` itself, as text, if the enumeration lacks it."""
    names: dict[int, str] = getattr(storm_thrift(), enum)._VALUES_TO_NAMES
    return names.get(value, str(value))


def _give_each_its_own_defaults(cls: StructClass) -> None:
    """thriftpy2 lets all instances share one default map; a change of one would show in all."""
    shared = {name: value for name, value in cls.default_spec if isinstance(value, dict | list | set)}
    if not shared:
        return
    generated = cls.__init__

    def __init__(self: Struct, *args: Any, **kwargs: Any) -> None:
        generated(self, *args, **kwargs)
        for name, default in shared.items():
            if getattr(self, name) is default:
                setattr(self, name, type(default)(default))

    cls.__init__ = __init__
