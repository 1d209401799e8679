"""Cores that are broken on purpose, to show that a check finds what it is there for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulated_cluster import simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

SEEDS_MAX = 60


@dataclass(frozen=True)
class Broken:
    """`words`: of the problem that must be found; `always`: faults that are needed for it; `first`: the seed to begin
    with, one whose schedule shows it as schedules are drawn now.
    """

    breaking: Callable[[pytest.MonkeyPatch], None]
    words: str
    always: tuple[str, ...] = ()
    first: int = 0


def named(broken: Broken) -> str:
    return "-".join((broken.breaking.__name__, *broken.always)).replace(" ", "_")


def is_found(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    broken.breaking(monkeypatch)
    runs = (simulate(seed, broken.always) for seed in range(broken.first, broken.first + SEEDS_MAX))
    assert any(broken.words in problem for run in runs for problem in run.problems)
