"""Calls that wait for other Nimbuses, and those that must be answered meanwhile."""

from __future__ import annotations

import json
import queue
import threading
from typing import TYPE_CHECKING, Any

from storm.errors import CoordinationError, StormError
from storm.thrift import convert
from storm.thrift.client import ThriftClient
from storm.topology.structure import ComponentSpec, PythonObject, StormTopology, StreamInfo

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 8
WORDS = StormTopology(
    {"words": ComponentSpec(PythonObject(b"spout"), {}, {"default": StreamInfo(("word",))}, 1)}, {}
)  # fmt: skip
FOR_EVER = {"topology.min.replication.count": 99, "topology.max.replication.wait.time.sec": -1}


def test_submissions_that_wait_for_ever_leave_threads_for_all_other_calls(site: Any, wait: Callable[..., Any]) -> None:
    nimbus = site.start_nimbus(**{"nimbus.thrift.threads": THREADS})
    nimbus.wait_leading()
    refusals: queue.SimpleQueue[StormError] = queue.SimpleQueue()

    def submit(name: str) -> None:
        with ThriftClient("Nimbus", "127.0.0.1", nimbus.port, 60.0) as client:
            try:
                client.call("submitTopology", name, "", json.dumps(FOR_EVER), convert.topology_to_thrift(WORDS))
            except StormError as error:
                refusals.put(error)

    submitters = [threading.Thread(target=submit, args=(f"wc-{number}",), daemon=True) for number in range(THREADS)]
    for each in submitters:
        each.start()
    for _ in range(THREADS - THREADS // 4):
        refused = refusals.get(timeout=30)
        assert isinstance(refused, CoordinationError), refused
        assert "is not on 99 Nimbuses yet" in str(refused)
    with nimbus.client() as client:
        assert client.call("getClusterInfo").topologies == []
        location = client.call("beginFileUpload")
        client.call("uploadChunk", location, b"x")
    nimbus.end()
    for _ in range(THREADS // 4):  # who waited is told that this Nimbus stops
        assert "Nimbuses yet" not in str(refusals.get(timeout=30))
