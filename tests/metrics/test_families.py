from __future__ import annotations

from storm.metrics.families import COUNTER, LOGVIEWER, NIMBUS, SUPERVISOR, WORKER, WORKER_LABELS, shown_names


def test_the_names_of_samples_are_those_of_their_family() -> None:
    names = shown_names(WORKER)
    assert {"storm_worker_peers", "storm_bolt_execute_seconds_sum", "storm_metric_seconds_bucket"} <= names
    assert "storm_metric_seconds" not in names


def test_names_are_as_prometheus_wants_them() -> None:
    for name, family in {**NIMBUS, **SUPERVISOR, **LOGVIEWER}.items():
        assert name.endswith("_total") == (family.kind == COUNTER), name
        assert family.help.endswith("."), name


def test_what_workers_measure_says_which_worker() -> None:
    assert all(family.labels[:2] == WORKER_LABELS for family in WORKER.values())
