"""The whole corpus of each surface and some hundred changed cases with a fixed seed, against real daemons.

How long the neighbour waited is reported by `integration/fuzz/run` and not judged here: a machine that runs other tests
at the same time stalls it by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import campaign
import pytest
from campaign import Outcome, Plan
from corpus import load
from fuzz import SURFACES, main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)

SEED = 20_260_101
CASES = {
    "thrift-nimbus": 100,
    "thrift-supervisor": 100,
    "zookeeper": 100,
    "zeromq": 100,
    "package": 200,
    "blob-archive": 200,
    "records": 40,
    "http": 100,
}
CORPUS_FILES_LEAST = 20


@pytest.mark.parametrize("name", SURFACES)
def test_the_corpus_and_changed_cases_harm_nobody(tmp_path: Path, name: str) -> None:
    assert len(load(name)) >= CORPUS_FILES_LEAST
    surface = SURFACES[name]()
    try:
        surface.start(tmp_path)
        outcome = campaign.run(surface, Plan(SEED, CASES[name], quiet_secs=0.2, control_cases=0, blames=False))
        campaign.conclude(surface, outcome)
    finally:
        surface.close()
    assert outcome.cases >= CASES[name] + CORPUS_FILES_LEAST
    assert outcome.verdict == [], outcome.notes


def test_surfaces_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in SURFACES)
    assert main(["no-such-surface"]) == 2


def test_what_fails_a_surface() -> None:
    assert Outcome("x", "bytes").verdict == []
    assert Outcome("x", "bytes", suspects=3).verdict == []
    for bad in (
        {"deaths": ["nimbus"]},
        {"stalls": 1},
        {"failed_calls": 1},
        {"trouble": ["a wrong tuple"]},
        {"growth_bytes": 65 << 20},
    ):
        assert len(Outcome("x", "bytes", **bad).verdict) == 1  # type: ignore[arg-type]
