from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storm.client.uv_lock import refuse_outdated
from storm.errors import PackageError


def check(asked: str, *locked: dict[str, str]) -> None:
    mine: dict[str, Any] = {"name": "my-project", "metadata": {"requires-dist": list(locked)}}
    other = {"name": "other", "metadata": {"requires-dist": [{"name": "tints"}]}}
    project = {"name": "My_Project", "dependencies": [asked]}
    refuse_outdated(Path("uv.lock"), {"package": [other, mine, {"name": "tints"}]}, project)


@pytest.mark.parametrize(
    ("asked", "locked"),
    [
        ("tints", {"name": "colours"}),  # what another package needs may go with that
        ("tints", {"name": "tints", "marker": "extra == 'more'"}),
        ("Tints[big] >= 2", {"name": "tints", "specifier": ">=1"}),
        ("tints", {"name": "tints", "specifier": ">=1", "index": "https://x"}),
        ("tints==2.0", {"name": "tints"}),
    ],
)
def test_what_the_lock_does_not_know_of_is_refused(asked: str, locked: dict[str, str]) -> None:
    with pytest.raises(PackageError, match=r"uv\.lock does not know of .*ints.* for now: run `uv lock`"):
        check(asked, locked)


@pytest.mark.parametrize(
    ("asked", "locked"),
    [
        ("Tints (< 3, >= 1.0)", {"name": "tints", "specifier": ">=1.0,<3"}),
        ("tints[big]==1.*", {"name": "tints", "specifier": "==1.*", "extras": "big"}),
        ("tints >= 1.0-beta", {"name": "tints", "specifier": ">=1.0b0"}),
        ("tints==2024.01", {"name": "tints", "specifier": "==2024.1"}),
        ("tints>=1", {"name": "tints", "git": "https://x"}),
        ("tints @ https://x/tints.whl", {"name": "tints", "url": "https://x/tints.whl"}),
        ("tints; python_version < '3'", {"name": "colours"}),
        ("my.project[all]", {"name": "colours"}),
        ("Storm_Cluster", {"name": "colours"}),
    ],
)
def test_what_uv_may_have_written_otherwise_is_let_pass(asked: str, locked: dict[str, str]) -> None:
    check(asked, locked)


def test_each_time_that_a_project_is_named_counts() -> None:
    check("tints<3", {"name": "tints", "specifier": ">=1"}, {"name": "tints", "specifier": "<3"})


def test_a_lock_of_an_early_uv_is_not_compared_and_one_that_nothing_was_asked_of_is() -> None:
    mine: dict[str, Any] = {"name": "my-project", "dependencies": [{"name": "colours"}]}
    project = {"name": "My_Project", "dependencies": ["tints>=1"]}
    refuse_outdated(Path("uv.lock"), {"package": [mine]}, project)
    for asked_nothing in ({"name": "my-project"}, {**mine, "dependencies": []}):
        with pytest.raises(PackageError, match="does not know of 'tints>=1'"):
            refuse_outdated(Path("uv.lock"), {"package": [asked_nothing]}, project)


@pytest.mark.parametrize("lock", [{}, {"package": 3}, {"package": [3, {"name": "x", "metadata": 3}]}])
def test_a_lock_that_says_nothing_knows_of_nothing(lock: dict[str, Any]) -> None:
    refuse_outdated(Path("uv.lock"), lock, {"name": "x"})
    refuse_outdated(Path("uv.lock"), lock, {"dependencies": "of another kind"})
    with pytest.raises(PackageError, match="does not know of 'tints'"):
        refuse_outdated(Path("uv.lock"), lock, {"name": "x", "dependencies": ["tints"]})
