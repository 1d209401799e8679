"""Small crowds against real daemons; `integration/fuzz/run --attack idle` brings 10,000."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import campaign
import crowds
import pytest
from campaign import Plan
from surfaces import SURFACES

from storm.messaging.crowd import STRANGERS_MAX

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)

SMALL = Plan(1, secs=2.0, quiet_secs=0.2, blames=False, crowd=400)


@pytest.mark.parametrize("name", ["thrift-nimbus", "zookeeper", "zeromq", "http"])
def test_a_crowd_takes_nobodys_place(tmp_path: Path, name: str) -> None:
    """More connections than a port takes, half-sent messages, and no file descriptor left for one more."""
    surface = SURFACES[name]()
    # Half of a worker's shake hands and would stay for ever: 1.5 times as many as its two ports keep.
    plan = SMALL if name != "zeromq" else replace(SMALL, crowd=6 * STRANGERS_MAX)
    try:
        surface.start(tmp_path)
        for attack in ("idle", "slow", "endless" if name == "zeromq" else "descriptors"):
            outcome = crowds.CROWDS[attack](surface, plan)
            assert outcome.verdict == [], (attack, outcome.notes)
            assert outcome.cases > 0
        campaign.conclude(surface, outcome)
        assert outcome.verdict == [], outcome.notes
    finally:
        surface.close()
