from __future__ import annotations

import pytest

from storm.thrift.idl import Field, Method, Type, definitions, fields, members, methods

TEXT = """
// A comment; with { braces }
namespace py storm

enum Colour {
  RED = 1,
  BLUE = 4,  // {a brace}
}

struct Empty {}

struct Many {
  1: string plain;  // not required
  2: required map<list<i64>, map<string, Empty>> nested;
  1001: optional set<binary> some;
  4: optional string text = "a b";
  5: optional i32 number = -3;
  6: optional map<string, string> map = {};
  7: optional list<i32> list = [];
}

service Painter {
  void begin();
  list<Colour> mix(1: Colour first, 2: map<string, i32> shares)
      throws (1: Wrong w, 2: Dry d);
}

exception Wrong {
  1: required string msg;
}
"""
I32, STRING = Type("i32"), Type("string")


def test_all_that_is_defined_in_order() -> None:
    found = definitions(TEXT)
    assert {name: each.kind for name, each in found.items()} == {
        "Colour": "enum",
        "Empty": "struct",
        "Many": "struct",
        "Painter": "service",
        "Wrong": "exception",
    }
    assert members(found["Colour"]) == {"RED": 1, "BLUE": 4}
    assert fields(found["Empty"]) == ()


def test_fields() -> None:
    key, item = Type("list", (Type("i64"),)), Type("map", (STRING, Type("Empty")))
    assert fields(definitions(TEXT)["Many"]) == (
        Field(1, "plain", STRING, False, None),
        Field(2, "nested", Type("map", (key, item)), True, None),
        Field(1001, "some", Type("set", (Type("binary"),)), False, None),
        Field(4, "text", STRING, False, "a b"),
        Field(5, "number", I32, False, -3),
        Field(6, "map", Type("map", (STRING, STRING)), False, {}),
        Field(7, "list", Type("list", (I32,)), False, []),
    )


def test_methods() -> None:
    shares = Type("map", (STRING, I32))
    assert methods(definitions(TEXT)["Painter"]) == {
        "begin": Method(None, (), ()),
        "mix": Method(
            Type("list", (Type("Colour"),)),
            (Field(1, "first", Type("Colour"), False, None), Field(2, "shares", shares, False, None)),
            (Field(1, "w", Type("Wrong"), False, None), Field(2, "d", Type("Dry"), False, None)),
        ),
    }


@pytest.mark.parametrize(
    "text",
    [
        "const i32 A = 1",
        "typedef i32 Number\n\nstruct A {\n}\n",
        "struct A {\n}\n\nservice B extends C {\n}\n",
        "struct A {",
        'include "shared.thrift"',
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not understood: "):
        definitions(text)


@pytest.mark.parametrize(
    "statement",
    [
        "1 string a;",
        "string a;",
        "1: a;",
        "1: list<i32> a = {1};",
        "1: string a\n  2: string b;",
        '1: string a = "x" 2;',
    ],
)
def test_a_field_that_is_not_understood_is_refused_with_its_place(statement: str) -> None:
    [struct] = definitions(f"struct Many {{\n  {statement}\n}}").values()
    with pytest.raises(ValueError, match="struct Many: not understood: "):
        fields(struct)
