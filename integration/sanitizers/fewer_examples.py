"""A plugin for pytest: Hypothesis draws at most STORM_TEST_EXAMPLES examples a test, whatever the test asks for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import pytest

LIMIT = int(os.environ.get("STORM_TEST_EXAMPLES", "10"))


def fewer(asked: settings) -> settings:
    return settings(
        asked,
        max_examples=min(LIMIT, asked.max_examples),
        stateful_step_count=min(20, asked.stateful_step_count),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        test: Any = getattr(item, "obj", None)
        test = getattr(test, "__func__", test)
        asked = getattr(test, "_hypothesis_internal_use_settings", None)
        if asked is not None:
            test._hypothesis_internal_use_settings = fewer(asked)
        machine: Any = getattr(item, "cls", None)  # the test case of a state machine
        if isinstance(getattr(machine, "settings", None), settings):
            machine.settings = fewer(machine.settings)
