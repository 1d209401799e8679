"""A client gives a call up after three attempts, and says which and why."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from callers import ATTEMPTS, Reader


def test_a_call_that_is_never_answered_is_a_failure_after_three_attempts() -> None:
    nowhere: Any = SimpleNamespace(seeds=["127.0.0.1:1"])
    reader = Reader(nowhere, pause_secs=0.0)
    failures = reader.stop()
    assert failures[0].startswith("getClusterInfo: NimbusUnreachableError: no leading Nimbus was found")
    assert reader.repeated == ATTEMPTS * reader.calls == ATTEMPTS * len(failures)
