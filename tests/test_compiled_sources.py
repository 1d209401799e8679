"""What keeps a module with a .pxd the same thing interpreted and compiled, as far as its text shows it.

ARCHITECTURE.md ("The compiled hot path") gives the reasons.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from storm import hot_path

if TYPE_CHECKING:
    from collections.abc import Iterator

CLASS = re.compile(r"cdef class (\w+)")
ATTRIBUTE = re.compile(r"\s+cdef (?:public |readonly )?[\w\[\]:., ]+? (\w+)$")
FUNCTION = re.compile(r"(\s*)c(?:p)?def [^()=]*?(\w+)\(")
CLOSURES = ast.GeneratorExp | ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef
BIT_OPERATORS = ast.BitAnd | ast.BitOr | ast.BitXor | ast.LShift | ast.RShift


class Types(NamedTuple):
    """What a .pxd declares: {class: its attributes}, and the names of typed functions, "Class.method" or "function"."""

    attributes: dict[str, set[str]]
    functions: set[str]


def declared(text: str) -> Types:
    attributes: dict[str, set[str]] = {}
    functions = set()
    current = ""
    for line in text.splitlines():
        if found := CLASS.match(line):
            current = found[1]
            attributes[current] = set()
        elif found := FUNCTION.match(line):
            functions.add(f"{current}.{found[2]}" if found[1] else found[2])
        elif found := ATTRIBUTE.match(line):
            attributes[current].add(found[1])
    return Types(attributes, functions)


def functions_of(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner


def attributes_of(tree: ast.Module) -> dict[str, set[str]]:
    """{class: what its __slots__ say, or where there are none what is stored on self}."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            slots = [
                statement.value
                for statement in node.body
                if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__slots__"
            ]
            found[node.name] = set(ast.literal_eval(slots[0])) if slots else set(stored_on_self(node))
    return found


def stored_on_self(node: ast.ClassDef) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store) and ast.unparse(inner.value) == "self":
            yield inner.attr


def integers_of(tree: ast.Module) -> set[str]:
    """Names that the module binds to integers."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            literals = [each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
            names = [each for each in ast.walk(node.value) if isinstance(each, ast.Name | ast.Call)]
            if literals and not names and all(type(value) is int for value in literals):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def is_negative(node: ast.expr | None) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)


def negative_indices(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            index = node.slice
            if any(map(is_negative, (index.lower, index.upper) if isinstance(index, ast.Slice) else (index,))):
                yield f"{ast.unparse(node)} counts from the end: wraparound is off"


def constants_among_bits(function: ast.AST, integers: set[str]) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, BIT_OPERATORS):
            sides = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.value]
            if any(isinstance(side, ast.Name) and side.id in integers for side in sides):
                yield f"{ast.unparse(node)} computes with a module's integer, a Python object: use a local"


def bare_shifts(function: ast.AST) -> Iterator[str]:
    """Left shifts that no `&` bounds. (word << 8) | data[i] is none: it puts bytes together, no more than there are."""
    bounded = {
        id(side)
        for node in ast.walk(function)
        if isinstance(node, ast.BinOp)
        and (
            isinstance(node.op, ast.BitAnd)
            or (isinstance(node.op, ast.BitOr) and isinstance(node.right, ast.Subscript))
        )
        for side in (node.left, node.right)
    }
    for node in ast.walk(function):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.LShift):
            yield f"{ast.unparse(node)} is bounded by 64 bits compiled only: mask it"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.LShift) and id(node) not in bounded:
            yield f"{ast.unparse(node)} is bounded by 64 bits compiled only: mask it"


def broken_laws(source: str, types: str) -> list[str]:
    tree, declarations = ast.parse(source), declared(types)
    found = []
    there = attributes_of(tree)
    for name, attributes in declarations.attributes.items():
        if there.get(name) != attributes:
            found.append(f"{name}: source and .pxd differ in {sorted(there.get(name, set()) ^ attributes)}")
    functions = dict(functions_of(tree))
    found += [f"{name} is declared, and not there" for name in sorted(declarations.functions - functions.keys())]
    for name in sorted(declarations.functions & functions.keys()):
        function = functions[name]
        if any(isinstance(node, CLOSURES) for node in ast.walk(function) if node is not function):
            found.append(f"{name} has a generator expression or a function inside: C functions cannot")
        problems = [*bare_shifts(function), *constants_among_bits(function, integers_of(tree))]
        found += [f"{name}: {problem}" for problem in problems]
    found += negative_indices(tree)
    found += ["it imports cython: interpreted it needs nothing"] * ("import cython" in source)
    return found


@pytest.mark.parametrize("module", hot_path.MODULES)
def test_both_modes_are_the_same(module: str) -> None:
    path = hot_path.PACKAGE / (module.replace(".", "/") + ".py")
    assert broken_laws(path.read_text(), path.with_suffix(".pxd").read_text()) == []


def test_something_is_declared_everywhere() -> None:
    """So that the laws above are about something."""
    for module in hot_path.MODULES:
        types = declared((hot_path.PACKAGE / (module.replace(".", "/") + ".pxd")).read_text())
        assert types.attributes or types.functions, module


TYPES = """
cdef class Ring:
    cdef readonly uint64_t mask
    cdef public list items

    @cython.locals(place=Py_ssize_t)
    cpdef Py_ssize_t add(self, uint64_t root) except -1


cdef uint64_t mixed(uint64_t word) noexcept
"""
GOOD = """
WIDTH = 7

class Ring:
    __slots__ = ("items", "mask")

    def add(self, root):
        return self.items[root & self.mask]

    def all(self):
        return sum(x for x in self.items[1:])

def mixed(word):
    mask = 0xFF
    return (word << 3) & mask
"""


def test_sources_that_keep_the_laws_pass() -> None:
    assert broken_laws(GOOD, TYPES) == []


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('("items", "mask")', '("items",)', "differ in ['mask']"),
        ('__slots__ = ("items", "mask")', "def __init__(self): self.items = []", "differ in ['mask']"),
        ("def mixed", "def other", "mixed is declared, and not there"),
        ("self.items[root & self.mask]", "self.items[-1]", "counts from the end"),
        ("self.items[root & self.mask]", "self.items[:-1]", "counts from the end"),
        ("root & self.mask", "root & WIDTH", "use a local"),
        ("self.items[root & self.mask]", "sum(x for x in self.items)", "Ring.add has a generator expression"),
        ("(word << 3) & mask", "word << 3", "mask it"),
        ("    mask = 0xFF\n", "    word <<= 2\n", "mask it"),
        ("WIDTH = 7", "import cython", "interpreted it needs nothing"),
    ],
)
def test_the_laws_find_what_they_should(before: str, after: str, words: str) -> None:
    assert before in GOOD
    assert any(words in problem for problem in broken_laws(GOOD.replace(before, after), TYPES))
