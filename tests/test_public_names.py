"""What a user imports from `storm` itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import storm


def hinted() -> dict[str, str]:
    """{name: module} of what `storm/__init__.py` tells type checkers."""
    tree = ast.parse(Path(storm.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: node.module or "" for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def test_type_checkers_and_the_interpreter_are_told_the_same() -> None:
    assert hinted() == storm._MODULES
    assert sorted(storm._MODULES) == storm.__all__


@pytest.mark.parametrize("name", storm.__all__)
def test_every_name_can_be_imported(name: str) -> None:
    assert getattr(storm, name).__name__ == name
    assert name in dir(storm)


def test_other_names_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sprout'"):
        storm.Sprout  # noqa: B018
