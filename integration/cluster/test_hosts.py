"""The hosts of a running cluster: what `storm doctor` finds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cluster_site import ClusterSite

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)]


def test_the_doctor_finds_a_healthy_cluster_and_then_what_was_broken(cluster: ClusterSite) -> None:
    found = cluster.read("doctor")
    assert [one for one in found["findings"] if one["level"] == "problem"] == []
    assert found["healthy"] is True
    texts = [one["text"] for one in found["findings"]]
    assert any("standalone-dev" in text for text in texts)
    assert any("3 supervisors, 0 of 12 slots used" in text for text in texts)
    assert any("those of 4 daemons agree" in text for text in texts)

    cluster.nimbus.stop()
    ill = json.loads(cluster.storm("doctor", "--quiet", "--json", code=1).stdout)
    [problem] = [one for one in ill["findings"] if one["level"] == "problem"]
    assert problem["area"] == "nimbus"
    assert "nothing listens there" in problem["text"]
    assert "storm nimbus" in problem["remedy"]
    assert "problem" in cluster.storm("doctor", code=1).stdout
