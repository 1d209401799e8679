from __future__ import annotations

import gc

from storm.worker.process_figures import process_figures


def test_this_process_uses_memory_and_time_and_its_collections_count() -> None:
    before = process_figures()
    gc.collect()
    after = process_figures()
    assert before.resident_bytes > 1 << 20
    assert 0 < before.cpu_secs <= after.cpu_secs
    assert len(after.collections) == 3
    assert after.collections[2] > before.collections[2]
