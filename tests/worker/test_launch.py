from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storm.cluster.records import Assignment
from storm.environment_spec import MANIFEST
from storm.errors import PackageError, WorkerStartError
from storm.ids import ExecutorId, WorkerSlot
from storm.worker.launch import Launch, log_format, module_roots, read_launch, why_replaced

RECORD: dict[str, Any] = {
    "topology_id": "wc-1-0",
    "node_id": "a",
    "host": "127.0.0.1",
    "bind_host": "127.0.0.1",
    "port": 6700,
    "worker_id": "w",
    "epoch": 3,
    "executors": [[1, 2], [5, 5]],
    "supervisor_port": 6628,
    "dist_dir": "/dist",
    "log_dir": "/logs",
    "settings": {"worker.heartbeat.frequency.secs": 2},
    "blob_hashes": {"something": "more"},
    "stacks_file": "/w/.stacks",
    "heap_file": "/w/.heap",
    "deaths": 2,
}


def launch(tmp_path: Path, **changes: Any) -> Launch:
    path = tmp_path / "launch.json"
    path.write_text(json.dumps({**RECORD, **changes}))
    return read_launch(path)


def test_the_file_is_read(tmp_path: Path) -> None:
    told = launch(tmp_path)
    assert told.slot == WorkerSlot("a", 6700)
    assert told.executors == (ExecutorId(1, 2), ExecutorId(5, 5))
    assert told.tasks() == {1, 2, 5}
    assert told.code_dir == Path("/dist/code")
    assert told.settings == {"worker.heartbeat.frequency.secs": 2}
    assert told.work_dir == tmp_path
    assert (told.stacks_file, told.heap_file) == (Path("/w/.stacks"), Path("/w/.heap"))
    assert told.deaths == 2


def test_a_supervisor_of_a_former_release_asks_for_neither_stacks_nor_heap_and_tells_no_deaths(tmp_path: Path) -> None:
    path = tmp_path / "launch.json"
    newer = {"stacks_file", "heap_file", "deaths"}
    path.write_text(json.dumps({key: value for key, value in RECORD.items() if key not in newer}))
    told = read_launch(path)
    assert (told.stacks_file, told.heap_file, told.deaths) == (None, None, 0)


@pytest.mark.parametrize(
    "changes",
    [{"port": "6700"}, {"port": True}, {"epoch": -1}, {"executors": [[1]]}, {"executors": 1}, {"host": None}],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(WorkerStartError, match=r"launch\.json"):
        launch(tmp_path, **changes)


@pytest.mark.parametrize("content", ["", "[]", "1", '{"topology_id": "wc"}', "\x00"])
def test_so_is_one_that_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "launch.json"
    path.write_text(content)
    with pytest.raises(WorkerStartError, match=r"launch\.json"):
        read_launch(path)
    with pytest.raises(WorkerStartError, match="cannot be read"):
        read_launch(tmp_path / "nothing")


def test_a_worker_stands_until_a_newer_assignment_says_otherwise(tmp_path: Path) -> None:
    told = launch(tmp_path)
    slot, other = told.slot, WorkerSlot("b", 1)
    present = Assignment("wc-1-0", 3, {ExecutorId(1, 2): slot}, {}, {"a": "a"}, {slot: 3})
    assert why_replaced(told, present) is None
    assert why_replaced(told, replace(present, version=9)) is None
    assert "epoch 9" in str(why_replaced(told, replace(present, version=9, slot_epochs={slot: 9})))
    moved = replace(present, version=4, executor_slots={ExecutorId(1, 2): other}, slot_epochs={other: 4})
    assert "no worker on port 6700" in str(why_replaced(told, moved))
    assert why_replaced(told, replace(moved, version=2)) is None


def test_modules_are_found_where_the_manifest_says(tmp_path: Path) -> None:
    told = launch(tmp_path, dist_dir=str(tmp_path))
    code = tmp_path / "code"
    assert module_roots(told) == [code], "a package that another client made"
    code.mkdir()
    for manifest, roots in (('{"source": "python/lib"}', [code, code / "python" / "lib"]), ("{}", [code])):
        (code / MANIFEST).write_text(manifest)
        assert module_roots(told) == roots
    for manifest in ('{"source": "../x"}', '{"source": "/etc"}', '{"source": 3}', "{"):
        (code / MANIFEST).write_text(manifest)
        with pytest.raises(PackageError):
            module_roots(told)
    assert module_roots(replace(told, code_dir=None)) == [], "it runs in place"
    (code / MANIFEST).unlink()
    (code / MANIFEST).mkdir()
    with pytest.raises(WorkerStartError, match=rf"{MANIFEST} cannot be read: Is a directory"):
        module_roots(told)


@pytest.mark.parametrize(
    ("conf", "settings", "form"),
    [
        ('{"topology.worker.log.format": "json"}', {}, "json"),
        ("{}", {"topology.worker.log.format": "json"}, "json"),
        ("{}", {}, "text"),
        ('{"topology.worker.log.format": "xml"}', {}, "text"),
        ("{", {}, "text"),
        (None, {}, "text"),
    ],
)
def test_the_log_has_the_topologys_format(
    tmp_path: Path, conf: str | None, settings: dict[str, Any], form: str
) -> None:
    if conf is not None:
        (tmp_path / "stormconf.ser").write_text(conf)
    assert log_format(replace(launch(tmp_path, settings=settings), dist_dir=tmp_path)) == form
