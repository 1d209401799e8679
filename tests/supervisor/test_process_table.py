from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from storm.supervisor import process_table

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NO_PID = 1 << 22  # above what the kernel gives


def test_the_own_process_is_described() -> None:
    me = os.getpid()
    assert "python" in " ".join(process_table.command_line(me))
    assert process_table.resident_bytes(me) > 1 << 20
    assert me not in process_table.own_pids()
    assert process_table.leads_session(me) == (os.getsid(0) == me)


def test_a_process_that_is_not_there_says_nothing() -> None:
    assert process_table.command_line(NO_PID) == []
    assert process_table.resident_bytes(NO_PID) == 0
    assert not process_table.environment_has(NO_PID, "A=1")
    assert not process_table.leads_session(NO_PID)
    assert process_table.open_if(NO_PID, lambda _: True) is None


def test_a_process_is_held_only_if_it_is_the_right_one() -> None:
    me = os.getpid()
    assert process_table.open_if(me, lambda _: False) is None
    pidfd = process_table.open_if(me, lambda pid: pid == me)
    assert pidfd is not None
    assert not process_table.has_exited(pidfd)
    process_table.send(pidfd, signal.SIGCONT)
    os.close(pidfd)


def test_nobody_is_killed_for_a_variable_that_nobody_has() -> None:
    assert process_table.kill_all_with_environment("STORM_WORKER_ID=00000000-none-of-this-name") == 0


def test_who_listens_on_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert (process_table.port_holder(port) or "").startswith(f"process {os.getpid()} (")
    assert process_table.port_holder(port) is None


def test_a_port_that_is_only_connected_to_is_nobodys() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        assert process_table.port_holder(client.getsockname()[1]) is None


def test_the_kernels_kills_for_want_of_memory_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_table, "PROC", tmp_path)
    assert process_table.memory_kills() is None
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill 3\nnr_last 1\n")
    assert process_table.memory_kills() == 3
    (tmp_path / "vmstat").write_text("nr_free_pages 5\n")
    assert process_table.memory_kills() is None


ADOPTER = """
import ctypes, os, subprocess, time
from storm.supervisor import process_table
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER: orphans come here
own = subprocess.Popen(["true"])
reading, writing = os.pipe()  # the orphan ends when nobody holds the other end: its shell, which would reap it, is gone
orphan = int(subprocess.run(
    ["sh", "-c", f"cat <&{reading} >/dev/null & echo $!"], stdout=subprocess.PIPE, pass_fds=[reading]
).stdout)
os.close(writing)
def state(pid):
    return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
while (state(own.pid), state(orphan)) != ("Z", "Z"):
    time.sleep(0.01)
assert process_table.reap_orphans({own.pid}) == [orphan]
assert not os.path.exists(f"/proc/{orphan}")
assert own.wait() == 0
"""


def test_orphans_that_are_handed_to_this_process_are_reaped_and_its_own_children_left() -> None:
    subprocess.run([sys.executable, "-c", ADOPTER], check=True, timeout=60)


def test_who_uses_a_directory_is_seen(tmp_path: Path) -> None:
    used, beside = tmp_path / "used", tmp_path / "used-not"
    (used / "deep").mkdir(parents=True)
    beside.mkdir()
    (used / "file").write_text("x" * 5000)
    (tmp_path / "link").symlink_to(used)
    holds = {
        "opens a file": "file = open(sys.argv[1] + '/file')",
        "maps a file": "with open(sys.argv[1] + '/file', 'rb') as file:\n"
        "    held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)",
        "works in it": "os.chdir(sys.argv[1] + '/deep')",
        "has opened it": "held = os.open(sys.argv[1], os.O_RDONLY)",
    }
    for what, code in holds.items():
        process = subprocess.Popen(
            [sys.executable, "-c", f"import mmap, os, sys\n{code}\nprint()\ninput()", str(used)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        assert process_table.use(used), what
        assert process_table.use(tmp_path / "link"), what
        assert not process_table.use(beside), what
        process.communicate(b"\n")
        assert not process_table.use(used), what


def test_which_signals_a_process_has_handlers_for_is_seen() -> None:
    before = signal.signal(signal.SIGUSR2, lambda number, frame: None)
    try:
        assert process_table.catches(os.getpid(), signal.SIGUSR2)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        assert not process_table.catches(os.getpid(), signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert not process_table.catches(NO_PID, signal.SIGUSR2)
