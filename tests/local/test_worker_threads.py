from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storm.blobstore.blob_store import code_key, conf_key
from storm.blobstore.memory import MemoryBlobStore
from storm.clock import SystemClock
from storm.cluster.memory import MemoryTree
from storm.cluster.storm_cluster_state import StormClusterState
from storm.config.settings import Settings
from storm.errors import WorkerStartError
from storm.ids import ExecutorId
from storm.local.worker_threads import LocalBlobs, WorkerThreads
from storm.messaging.in_process import InProcessNetwork
from storm.supervisor.assignment_sync import LocalAssignment
from storm.supervisor.slot import BlobsSeen, BlobsState

if TYPE_CHECKING:
    from pathlib import Path

ASSIGNMENT = LocalAssignment("w-1-2", (ExecutorId(1, 1),), epoch=1)


def test_a_worker_finds_its_topology_on_disk(tmp_path: Path) -> None:
    store = MemoryBlobStore()
    store.create(code_key("w-1-2"), [b"co", b"de"])
    store.create(conf_key("w-1-2"), [b"{}"])
    blobs = LocalBlobs(store, tmp_path)
    blobs.request(ASSIGNMENT)
    assert blobs.look(ASSIGNMENT) == BlobsSeen(BlobsState.READY)
    assert (blobs.dist_dir("w-1-2") / "stormcode.ser").read_bytes() == b"code"
    assert not (blobs.dist_dir("w-1-2") / "code").exists(), "its code runs in place"


def test_a_topology_that_cannot_be_read_is_a_worker_that_cannot_start(tmp_path: Path) -> None:
    state = StormClusterState(MemoryTree().session())
    blobs = LocalBlobs(MemoryBlobStore(), tmp_path)
    workers = WorkerThreads("n", Settings.of({}, "test"), blobs, state, InProcessNetwork(), SystemClock())
    with pytest.raises(WorkerStartError, match=r"stormconf\.ser"):
        workers.launch(6700, ASSIGNMENT)
    assert workers.running() == {}
