from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unsynced_disk import Left, PowerCut, UnsyncedDisk

from storm.supervisor.local_state import LocalState, MemoryState, sync_file_system, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from storm.supervisor.local_state import DurableMap


@pytest.fixture(params=["disk", "memory"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> DurableMap:
    return LocalState(tmp_path / "state.json") if request.param == "disk" else MemoryState()


def test_one_file_system_is_forced_to_disk_and_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    sync_file_system(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_file_system(tmp_path / "nowhere")


def test_a_map_gives_what_was_put(state: DurableMap) -> None:
    assert state.get("ports") is None
    state.put("ports", {"6700": [1, 2]})
    state.put("other", None)
    assert state.get("ports") == {"6700": [1, 2]}


def test_the_next_process_reads_it(tmp_path: Path) -> None:
    LocalState(tmp_path / "a" / "state.json").put("x", 1)
    assert LocalState(tmp_path / "a" / "state.json").get("x") == 1
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["state.json"]


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 200), byte=st.none() | st.integers(0, 255))
def test_a_damaged_file_is_named_set_aside_and_forgotten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: int, byte: int | None
) -> None:
    path = tmp_path / "state.json"
    path.unlink(missing_ok=True)
    LocalState(path).put("x", "y" * 50)
    good = path.read_bytes()
    cut %= len(good)
    bad = good[:cut] if byte is None else good[:cut] + bytes([byte]) + good[cut + 1 :]
    path.write_bytes(bad)
    caplog.clear()
    if bad == good:
        assert LocalState(path).get("x") == "y" * 50
        return
    assert LocalState(path).get("x") is None
    assert f"{path} is damaged" in caplog.text
    assert (tmp_path / "state.json.corrupt").read_bytes() == bad
    assert LocalState(path).get("x") is None


def test_a_disk_that_refuses_is_said_and_memory_has_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("not a directory")
    state = LocalState(tmp_path / "file" / "state.json")
    state.put("x", 1)
    assert state.get("x") == 1
    assert "cannot be written" in caplog.text


def test_what_a_disk_refused_is_on_it_once_it_takes_writes_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a directory")
    path = in_the_way / "state.json"
    state = LocalState(path)
    for value in (1, 2, 2):
        state.put("x", value)
    assert caplog.text.count("cannot be written") == 1
    in_the_way.unlink()
    state.put("x", 2)
    assert LocalState(path).get("x") == 2
    written = path.stat().st_mtime_ns
    state.put("x", 2)
    assert path.stat().st_mtime_ns == written


def test_a_write_that_fails_leaves_the_old_bytes_and_nothing_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomically(path, b"old")

    def failing(source: Path, target: Path) -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new", rename=failing)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state"]


def test_what_a_killed_writer_left_is_gone_after_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "state"
    (tmp_path / "state.tmp").write_bytes(b"half")
    write_atomically(path, b"new")
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.parametrize("left", list(Left))
def test_a_cut_at_any_moment_leaves_the_old_value_or_the_new_one(tmp_path: Path, left: Left) -> None:
    for step in itertools.count():
        root = tmp_path / f"disk{step}"
        root.mkdir()
        durable = 0
        with pytest.MonkeyPatch.context() as monkeypatch:
            disk = UnsyncedDisk(root, monkeypatch, step)
            state = LocalState(root / "state.json")
            try:
                for value in range(1, 4):
                    state.put("x", value)
                    durable = value
            except PowerCut:
                pass
            else:
                disk.stop()
                break
        disk.leave(left, tmp_path / f"left{step}")
        disk.stop()
        found = LocalState(tmp_path / f"left{step}" / "state.json").get("x")
        assert found in ({durable, durable + 1} if durable else {None, 1})
        assert not (tmp_path / f"left{step}" / "state.json.corrupt").exists()
    assert step >= 9
