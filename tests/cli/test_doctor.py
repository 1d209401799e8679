from __future__ import annotations

import click

from storm.cli.doctor import described
from storm.hosts.checks import Finding, Level


def test_findings_stand_below_their_area_and_remedies_below_them() -> None:
    text = described(
        [
            Finding("zookeeper", Level.OK, "z1:2181 leader"),
            Finding("zookeeper", Level.PROBLEM, "z2:2181 does not answer", "start it"),
            Finding("disks", Level.NOTE, "nearly full", "make room"),
        ]
    )
    assert click.unstyle(text).splitlines() == [
        "zookeeper",
        "  ok       z1:2181 leader",
        "  problem  z2:2181 does not answer",
        "           to do: start it",
        "disks",
        "  note     nearly full",
        "           to do: make room",
    ]
