from __future__ import annotations

import click
import pytest

from storm.cli.topologies import list_text, parse_executors, parse_level, summary_as_dict
from storm.thrift.interface import storm_thrift


def test_executors_by_component() -> None:
    assert parse_executors(("split=4", "count=1", "a=b=2")) == {"split": 4, "count": 1, "a=b": 2}


@pytest.mark.parametrize("word", ["split", "split=", "=3", "split=0", "split=-1", "split=x"])
def test_what_is_no_executor_count_is_refused(word: str) -> None:
    with pytest.raises(click.BadParameter, match="expected COMPONENT=N with N at least 1"):
        parse_executors((word,))


@pytest.mark.parametrize(
    ("word", "parsed"),
    [
        ("ROOT=DEBUG", ("ROOT", "DEBUG", None)),
        ("app.orders=warn:30", ("app.orders", "WARN", 30)),
        ("x=TRACE", ("x", "TRACE", None)),
        ("x=OFF", ("x", "OFF", None)),
    ],
)
def test_levels(word: str, parsed: tuple[str, str, int | None]) -> None:
    assert parse_level(word) == parsed


@pytest.mark.parametrize("word", ["ROOT", "=INFO", "ROOT=LOUD", "ROOT=INFO:soon", "ROOT=INFO:"])
def test_what_is_no_level_is_refused(word: str) -> None:
    with pytest.raises(click.BadParameter, match=r"expected LOGGER=LEVEL\[:SECS\]"):
        parse_level(word)


def test_a_summary_keeps_storms_names() -> None:
    summary = storm_thrift().TopologySummary(
        id="w-1-2", name="w", num_tasks=3, num_executors=3, num_workers=1, uptime_secs=9, status="ACTIVE"
    )
    assert summary_as_dict(summary)["num_tasks"] == 3
    assert summary_as_dict(summary)["id"] == "w-1-2"


def test_the_list_marks_who_does_not_run_and_fits() -> None:
    t = storm_thrift()
    names = {"num_tasks": 3, "num_executors": 3, "num_workers": 1, "uptime_secs": 9}
    topologies = [t.TopologySummary(id=f"{s}-1-2", name=s, status=s, **names) for s in ("ACTIVE", "KILLED")]
    shown = list_text(t.ClusterSummary(supervisors=[], topologies=topologies), None)
    active, killed = shown.splitlines()[1:3]
    assert active == click.unstyle(active)
    assert "\x1b[33m" in killed
    narrow = list_text(t.ClusterSummary(supervisors=[], topologies=topologies), 40)
    assert max(len(click.unstyle(line)) for line in narrow.splitlines()) <= 40
    assert "no topologies run" in list_text(t.ClusterSummary(supervisors=[], topologies=[]), None)


def test_the_list_says_what_a_topology_lacks() -> None:
    t = storm_thrift()
    topologies = [
        t.TopologySummary(name="words", status="ACTIVE", uptime_secs=9, sched_status="Not ready: h1 builds."),
        t.TopologySummary(name="other", status="ACTIVE", uptime_secs=9),
    ]
    shown = list_text(t.ClusterSummary(supervisors=[], topologies=topologies), None)
    assert shown.splitlines()[-2:] == ["", "words: Not ready: h1 builds."]
    assert [summary_as_dict(each)["sched_status"] for each in topologies] == ["Not ready: h1 builds.", None]
