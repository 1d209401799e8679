"""Run with the sources of one release. `write DIRECTORY NEWEST` leaves there one of everything that daemons, workers
and clients share, frames for a peer that reads up to NEWEST; `read DIRECTORY` prints as JSON what it finds there.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from array import array
from pathlib import Path
from typing import Any

from storm.blobstore.local_fs import LocalFsBlobStore
from storm.cluster import record_codec, records
from storm.errors import FrameError, StormError
from storm.ids import ExecutorId, WorkerSlot
from storm.messaging import batch
from storm.messaging.columns import columns
from storm.messaging.tuple_codec import decode_rows, encode_rows
from storm.supervisor import assignment_sync, worker_launch
from storm.supervisor.local_state import LocalState
from storm.thrift import binary_protocol
from storm.thrift.interface import storm_thrift
from storm.tuples import Origin, Tuple
from storm.worker.launch import read_launch

ADDED = "added_by_a_later_release"
SLOT = WorkerSlot("node-1", 6700)
SOURCE = batch.WorkerAddress(batch.topology_hash("wc-1-0"), batch.node_hash("node-1"), 6700, 3)
ORIGIN = Origin("split", "default", 7, ["word", "n"])
LOCAL = assignment_sync.LocalAssignment("wc-1-0", (ExecutorId(1, 2),), 3, (assignment_sync.BlobHash("k", "h"),))
BLOB = "wc-1-0-stormcode.ser"

RECORDS = [
    records.StormBase(
        "wc-1-0", "wc", records.TopologyStatus.REBALANCING, 2, {"split": 2}, 1_700_000_000,
        previous_status=records.TopologyStatus.ACTIVE,
        rebalance=records.RebalanceRequest(3, {"split": 4}, {"a": [1, 2.5]}),
        component_debug={"split": records.DebugOptions(True, 5.0)},
        blob_hashes={"k": "h"},
    ),
    records.Assignment(
        "wc-1-0", 3, {ExecutorId(1, 2): SLOT}, {ExecutorId(1, 2): 1_700_000_000}, {"node-1": "host-1"}, {SLOT: 3},
        {"k": "h"}, "me",
    ),
    records.SupervisorInfo("node-1", "host-1", (6700, 6701), (6700,), 6628, 1_700_000_000, "1", {"a": "b"}, {"c": 1.5}),
    records.Drain("node-1", "host-1", 1_700_000_000, 5),
    records.NimbusInfo("host-1", 6627, 1_700_000_000, "1"),
    records.ErrorInfo("boom", 1_700_000_000, "host-1", 6700),
    records.LogConfig({"ROOT": records.LoggerLevel("DEBUG", 1_700_000_060, "INFO")}),
    records.UserBlob("words.txt", 2, "h", 3, 1_700_000_000),
]  # fmt: skip


def frames(peer_newest: int) -> dict[str, bytes]:
    rows = columns([Tuple(["a", 1], ORIGIN), Tuple(["b", 2], ORIGIN, root=5, edge=6)])
    sections = [
        batch.tuple_section(1, ORIGIN, rows, encode_rows(rows.rows)),
        batch.tracking_section(2, 9, 7, array("Q", [1, 2, 3, 4])),
    ]
    hello = batch.Hello(True, 7)
    spoken = batch.Hello(True, 7, peer_newest).spoken
    return {
        "HELLO": batch.hello_frame(SOURCE, hello),
        "THROTTLE": batch.throttle_frame(SOURCE, batch.Throttle(2000, (4, 5))),
        "BATCH": batch.batch_frame(SOURCE, sections, spoken),
    }


def thrift_structs() -> list[Any]:
    t = storm_thrift()
    beat = t.SupervisorWorkerHeartbeat(storm_id="wc-1-0", executors=[t.ExecutorInfo(1, 2)], time_secs=7, port=6700)
    common = t.ComponentCommon(inputs={}, streams={}, parallelism_hint=2, json_conf="{}")
    return [
        common,
        t.SupervisorWorkerHeartbeats(supervisor_id="node-1", worker_heartbeats=[beat]),
        t.TopologySummary(
            id="wc-1-0", name="wc", num_tasks=1, num_executors=2, num_workers=3, uptime_secs=4, status="ACTIVE"
        ),
        t.StormTopology(
            spouts={}, bolts={"split": t.Bolt(t.ComponentObject(serialized_python=b"x"), common)}, state_spouts={}
        ),
    ]


def write(directory: Path, peer_newest: int) -> None:
    for kind in ("records", "frames", "thrift"):
        (directory / kind).mkdir(parents=True)
    for record in RECORDS:
        (directory / "records" / type(record).__name__).write_bytes(record_codec.encode(record))
    for name, frame in frames(peer_newest).items():
        (directory / "frames" / name).write_bytes(frame)
    for struct in thrift_structs():
        (directory / "thrift" / type(struct).__name__).write_bytes(binary_protocol.serialize(struct))
    record = worker_launch.launch_record(
        LOCAL, node_id="node-1", host="host-1", bind_host="127.0.0.1", port=6700, worker_id="w1", supervisor_port=6628,
        dist_dir="/dist", log_dir="/logs", settings={"worker.heartbeat.frequency.secs": 2},
    )  # fmt: skip
    worker_launch.write_launch_file(directory / "w1", record)
    LocalState(directory / "state.json").put("assignments", {"6700": assignment_sync.to_plain(LOCAL)})
    LocalFsBlobStore(directory / "blobs").create(BLOB, [b"code"])


def read(directory: Path) -> dict[str, str]:
    found = {}
    for file in (directory / "records").iterdir():
        kind = getattr(records, file.name)
        found[file.name] = told(lambda file=file, kind=kind: record_codec.decode(kind, file.read_bytes(), "/it"))
    for file in (directory / "frames").iterdir():
        found[file.name] = told(lambda file=file: read_frame(file.read_bytes()))
    for file in (directory / "thrift").iterdir():
        struct = getattr(storm_thrift(), file.name)
        found[file.name] = told(lambda file=file, struct=struct: binary_protocol.deserialize(struct, file.read_bytes()))
    found["launch file, for the worker"] = told(lambda: read_launch(directory / "w1" / "launch.json"))
    found["launch file, for the supervisor"] = told(
        lambda: worker_launch.read_handle(directory / "w1" / "launch.json", 1)
    )
    state = LocalState(directory / "state.json")
    found["local state"] = told(lambda: assignment_sync.from_plain(state.get("assignments")["6700"]))
    store = LocalFsBlobStore(directory / "blobs")
    found["blob"] = told(lambda: (store.meta(BLOB)[:4], b"".join(store.read(BLOB))))
    return found


def read_frame(data: bytes) -> Any:
    frame = batch.read_frame(data)
    if frame.kind is batch.FrameKind.HELLO:
        return frame.source, batch.read_hello(frame.body)[:2]
    if frame.kind is batch.FrameKind.THROTTLE:
        return frame.source, batch.read_throttle(frame.body)
    return frame.source, [
        (*section[:4], decode_rows(section.values), section.ids, section.more)
        if isinstance(section, batch.TupleSection)
        else section
        for section in batch.read_sections(frame.body)
    ]


def told(value: Any) -> str:
    """What `value()` gives, without what later releases added to it, or how it fails."""
    try:
        return repr(known(value()))
    except (StormError, FrameError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def known(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {each.name: known(getattr(value, each.name)) for each in dataclasses.fields(value) if each.name != ADDED}
    if hasattr(value, "thrift_spec"):
        return {name: known(each) for name, each in sorted(vars(value).items()) if name != ADDED}
    if isinstance(value, dict):
        return {repr(key): known(each) for key, each in value.items() if key != ADDED}
    if isinstance(value, list | tuple | frozenset):
        return [known(each) for each in value]
    return value


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        print(json.dumps(read(Path(sys.argv[2]))))
