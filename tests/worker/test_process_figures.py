from __future__ import annotations

import gc

import pytest

from storm.worker.process_figures import ProcessFigures, process_figures, usage


def test_this_process_uses_memory_and_time_and_its_collections_count() -> None:
    before = process_figures()
    gc.collect()
    after = process_figures()
    assert before.resident_bytes > 1 << 20
    assert 0 < before.cpu_secs <= after.cpu_secs
    assert len(after.collections) == 3
    assert after.collections[2] > before.collections[2]


@pytest.mark.parametrize(
    ("before_secs", "secs", "expected"),
    [(2.0, 10.0, (3.5, 15.0)), (None, 10.0, (3.5, None)), (2.0, 0.0, (3.5, None)), (3.5, 10.0, (3.5, 0.0))],
)
def test_the_cpu_share_is_that_since_the_look_before(
    before_secs: float | None, secs: float, expected: tuple[float, float | None]
) -> None:
    before = None if before_secs is None else ProcessFigures(0, before_secs, ())
    assert usage(before, ProcessFigures(7 << 19, 3.5, ()), secs) == expected


def test_memory_that_the_kernel_does_not_tell_is_not_known() -> None:
    assert usage(None, ProcessFigures(0, 1.0, ()), 1.0).memory_mb is None
