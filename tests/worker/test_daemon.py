"""The worker process's beginning; the whole of it runs in `integration/worker`."""

from __future__ import annotations

from pathlib import Path

import pytest

from storm.cluster.records import Assignment, KnownTopology, TopologyStatus
from storm.errors import CoordinationError, NoPermissionError
from storm.ids import ExecutorId, WorkerSlot
from storm.worker.daemon import ZOOKEEPER_WAIT_SECS, heap_title, open_storage
from storm.worker.launch import Launch

SLOT = WorkerSlot("a", 6700)
TOLD = Launch("wc-1-0", "a", "h", "h", 6700, "w", 1, (ExecutorId(1, 1),), 1, Path("/d"), Path("/l"))
KNOWN = Launch(
    "wc-1-0", "a", "h", "h", 6700, "w", 1, (ExecutorId(1, 1),), 1, Path("/d"), Path("/l"),
    known=KnownTopology(
        Assignment("wc-1-0", 3, {ExecutorId(1, 1): SLOT}, {}, {"a": "h"}, {SLOT: 1}), TopologyStatus.ACTIVE
    ),
)  # fmt: skip


class Storage:
    """A ZooKeeper that answers with this error. `waited_secs`: how long it was waited for."""

    def __init__(self, error: CoordinationError) -> None:
        self.error = error
        self.waited_secs: list[float | None] = []

    def open(self, wait_secs: float | None, stopped: object) -> None:
        self.waited_secs.append(wait_secs)
        raise self.error


def never() -> bool:
    return False


def test_zookeeper_is_waited_for_where_nothing_is_known_of_the_topology() -> None:
    storage = Storage(CoordinationError("away"))
    with pytest.raises(CoordinationError):
        open_storage(storage, TOLD, never)  # type: ignore[arg-type]
    assert storage.waited_secs == [None]


def test_where_the_supervisor_knew_it_the_worker_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage(CoordinationError("away"))
    open_storage(storage, KNOWN, never)  # type: ignore[arg-type]
    assert storage.waited_secs == [ZOOKEEPER_WAIT_SECS]
    assert "Going by assignment 3, as the supervisor knew it: away" in caplog.text


def test_but_not_where_zookeeper_refuses_it_or_it_is_told_to_end() -> None:
    with pytest.raises(NoPermissionError):
        open_storage(Storage(NoPermissionError("no")), KNOWN, never)  # type: ignore[arg-type]
    with pytest.raises(CoordinationError):
        open_storage(Storage(CoordinationError("away")), KNOWN, lambda: True)  # type: ignore[arg-type]


def test_a_heap_is_told_by_worker_topology_and_time() -> None:
    assert heap_title(TOLD).startswith("Heap of worker h:6700 of wc-1-0, 20")
