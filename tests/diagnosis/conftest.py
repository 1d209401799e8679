"""The Nimbus in memory of tests/ui, with the word count on it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest


def _ui() -> Any:
    """The module of tests/ui that has it."""
    path = Path(__file__).parents[1] / "ui" / "conftest.py"
    spec = importlib.util.spec_from_file_location("ui_of_nimbus", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path: Path) -> Any:
    return _ui().Site(tmp_path)


@pytest.fixture
def topology_id(site: Any) -> str:
    found: str = site.run_word_count()
    return found
