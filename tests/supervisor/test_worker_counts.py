from __future__ import annotations

from storm.supervisor import worker_counts
from storm.supervisor.slot import Cause
from storm.supervisor.worker_counts import OTHERS, WorkerCounts


def shown(counts: WorkerCounts) -> dict[tuple[str, ...], float]:
    """{(what, labels' values...): value} of what is not 0."""
    return {
        (series.name.split("_")[-2], *series.labels.values()): series.value  # type: ignore[misc]
        for series in counts.series()
        if series.value
    }


def test_a_topology_that_is_submitted_anew_goes_on_counting() -> None:
    counts = WorkerCounts()
    for topology_id in ("my-words-1-17", "my-words-2-18", "other-3-19"):
        counts.launched(topology_id)
    counts.died("my-words-2-18", Cause.SILENT)
    counts.died("my-words-2-18", Cause.DIED)
    assert shown(counts) == {
        ("launches", "my-words"): 2,
        ("launches", "other"): 1,
        ("deaths", "my-words", "silent"): 1,
        ("deaths", "my-words", "died"): 1,
    }


def test_all_causes_are_there_before_anybody_has_died() -> None:
    counts = WorkerCounts()
    assert list(counts.series()) == []
    counts.know("words-1-17")
    assert [(series.labels.get("reason"), series.value) for series in counts.series()] == [
        (None, 0),
        *((cause.value, 0) for cause in Cause),
    ]


def test_what_could_not_be_launched_is_counted_too() -> None:
    counts = WorkerCounts()
    counts.died("words-1-17", Cause.NO_CODE)
    assert shown(counts) == {("deaths", "words", "no-code"): 1}


def test_names_are_bounded() -> None:
    counts = WorkerCounts()
    for number in range(worker_counts.NAMES_MAX + 10):
        counts.launched(f"words{number}-{number}-17")
    counts.died("another-1-17", Cause.DIED)
    counts.launched("words0-1-18")
    assert len({series.labels["topology"] for series in counts.series()}) == worker_counts.NAMES_MAX + 1
    found = shown(counts)
    assert (found["launches", OTHERS], found["deaths", OTHERS, "died"], found["launches", "words0"]) == (10, 1, 2)
