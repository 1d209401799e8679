from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from storm import open_files

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def hard() -> Iterator[int]:
    """The hard limit; both are put back afterwards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def allowed(hard: int) -> int:
    return open_files.LIMIT_MAX if hard == resource.RLIM_INFINITY else min(hard, open_files.LIMIT_MAX)


def test_a_low_limit_is_raised_to_what_is_allowed(hard: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    assert open_files.limit() == 200
    assert open_files.raise_limit() == open_files.limit() == allowed(hard)


def test_what_was_raised_is_left_alone(hard: int) -> None:
    assert open_files.raise_limit() == open_files.raise_limit() == max(allowed(hard), open_files.limit())
