"""The stacks of a real process are told; in place of py-spy there is a program that says what it was told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storm.clock import SystemClock
from storm.errors import InvalidTransitionError, NotServedError, StormError
from storm.ids import ExecutorId
from storm.supervisor import profiling
from storm.supervisor.assignment_sync import LocalAssignment
from storm.supervisor.profiling import PROFILE_SECS_MAX, Profiler
from storm.supervisor.slot_runner import WorkerHandle
from storm.supervisor.worker_launch import HEAP_FILE, STACKS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = """
import sys, threading, time
from pathlib import Path
from storm.worker.stacks import answer_signal
from storm.worker import heap
from storm.clock import SystemClock
answer_signal(Path(sys.argv[2]))
heap.answer_signal(Path(sys.argv[2]).with_name(".heap"), lambda: "Heap of w1.", SystemClock())
def deep_in_a_component():
    print("ready", flush=True)
    time.sleep(600)
deep_in_a_component()
"""
NOT_A_WORKER = """
import signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.signal(signal.SIGUSR2, lambda *_: None)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def profiler(tmp_path: Path) -> Profiler:
    return Profiler(tmp_path, SystemClock())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    started: list[subprocess.Popen[str]] = []

    def start(code: str, worker_id: str) -> int:
        directory = tmp_path / worker_id
        directory.mkdir()
        (directory / STACKS_FILE).touch()
        command = [sys.executable, "-c", code, worker_id, str(directory / STACKS_FILE)]
        root = str(Path(profiling.__file__).parents[2])
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": root, "STORM_PURE": "1"}
        )
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child.pid

    yield start
    for child in started:
        child.kill()
        child.communicate()


def test_a_worker_tells_its_stacks_as_often_as_it_is_asked(profiler: Profiler, start: Any) -> None:
    pid = start(WORKER, "w1")
    for _ in range(2):
        stacks = profiler.stacks("w1", pid)
        assert "deep_in_a_component" in stacks
        assert stacks.count("in deep_in_a_component") == 1


def test_one_that_uses_the_signal_itself_is_told_so(
    profiler: Profiler, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "ANSWER_SECS", 0.1)
    with pytest.raises(StormError, match="its code may use SIGUSR1"):
        profiler.stacks("w1", start(NOT_A_WORKER, "w1"))


def test_another_process_is_not_signalled(profiler: Profiler, start: Any, tmp_path: Path) -> None:
    """One that was given the process id of a worker that has ended."""
    pid = start(WORKER, "w1")
    (tmp_path / "w2").mkdir()
    (tmp_path / "w2" / STACKS_FILE).touch()
    with pytest.raises(StormError, match="worker w2 has ended"):
        profiler.stacks("w2", pid)


def test_a_worker_tells_of_its_heap_as_often_as_it_is_asked(profiler: Profiler, start: Any, tmp_path: Path) -> None:
    pid = start(WORKER, "w1")
    (tmp_path / "w1" / HEAP_FILE).write_text("of yesterday")
    for _ in range(2):
        assert profiler.heap("w1", pid).startswith("Heap of w1.\n")


def test_one_that_uses_the_heaps_signal_itself_is_told_so(
    profiler: Profiler, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "HEAP_SECS", 0.1)
    with pytest.raises(StormError, match="its code may use SIGUSR2"):
        profiler.heap("w1", start(NOT_A_WORKER, "w1"))


@pytest.fixture
def py_spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Writes its arguments where it was told to write the profile."""
    program = tmp_path / "bin" / "py-spy-stand-in"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        "open(sys.argv[sys.argv.index('--output') + 1], 'w').write(json.dumps(sys.argv[1:]))\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr(profiling, "PY_SPY", program.name)
    return program


def test_py_spy_is_told_what_to_look_at(profiler: Profiler, py_spy: Path) -> None:
    words = json.loads(profiler.profile("w1", 4711, 7, "flamegraph", str))
    told = dict(zip(words[1:-2:2], words[2:-2:2], strict=True))
    assert words[0] == "record"
    assert (told["--pid"], told["--duration"], told["--format"]) == ("4711", "7", "flamegraph")
    assert "--nonblocking" in words
    assert profiler.children() == set()


def test_what_py_spy_says_is_told(profiler: Profiler, py_spy: Path) -> None:
    py_spy.write_text("#!/bin/sh\necho 'Error: Permission Denied\nStack backtrace:\n0: x' >&2\nexit 1\n")
    with pytest.raises(StormError, match=r"Error: Permission Denied$"):
        profiler.profile("w1", 4711, 7, "raw", str)


def test_without_py_spy_it_is_said_how_to_get_it(profiler: Profiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "PY_SPY", "py-spy-that-is-not-installed")
    with pytest.raises(NotServedError, match="-m pip install py-spy"):
        profiler.profile("w1", 4711, 7, "raw", str)
    with pytest.raises(NotServedError, match="-m pip install py-spy"):
        profiler.start("w1", 4711, 60, str)


@pytest.mark.parametrize(("secs", "form"), [(0, "raw"), (PROFILE_SECS_MAX + 1, "raw"), (1, "exe"), (1, "")])
def test_what_makes_no_sense_is_refused(profiler: Profiler, py_spy: Path, secs: int, form: str) -> None:
    with pytest.raises(StormError, match="a profile is of 1 to"):
        profiler.profile("w1", 4711, secs, form, str)


def test_one_worker_at_a_time_and_none_when_the_supervisor_ends(
    profiler: Profiler, py_spy: Path, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    py_spy.write_text(f"#!{sys.executable}\nimport time\nopen({str(started)!r}, 'w').close()\ntime.sleep(600)\n")
    said: list[str] = []

    def first() -> None:
        with pytest.raises(StormError) as refused:
            profiler.profile("w1", 4711, 300, "raw", str)
        said.append(str(refused.value))

    thread = threading.Thread(target=first)
    thread.start()
    while not started.exists():
        thread.join(0.01)
    with pytest.raises(InvalidTransitionError, match="being profiled already"):
        profiler.profile("w2", 4712, 1, "raw", str)
    assert len(profiler.children()) == 1
    profiler.close()
    thread.join(60)
    assert said
    assert said[0].startswith("py-spy made no profile")


def test_nothing_begins_when_the_supervisor_ends(profiler: Profiler, py_spy: Path) -> None:
    """For a call that waited for a thread meanwhile: py-spy would go on for minutes after the supervisor."""
    profiler.close()
    with pytest.raises(StormError, match="the supervisor is about to end"):
        profiler.profile("w1", 4711, 1, "raw", str)


def test_a_worker_that_hangs_keeps_callers_for_a_bounded_time(
    tmp_path: Path, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers = threading.Event(), threading.Event()

    class HeldClock(SystemClock):
        def sleep(self, secs: float) -> None:
            asked.set()
            answers.wait(60)

    profiler, pid = Profiler(tmp_path, HeldClock()), start(WORKER, "w1")
    first = threading.Thread(target=profiler.stacks, args=("w1", pid))
    first.start()
    try:
        assert asked.wait(60)
        monkeypatch.setattr(profiling, "ANSWER_SECS", 0.0)
        with pytest.raises(StormError, match="ask again in a moment"):
            profiler.stacks("w1", pid)
    finally:
        monkeypatch.undo()
        answers.set()
        first.join(60)


RECORDER = """#!{python}
# Writes a picture when it is told to end, as py-spy does, or when its time is over.
import signal, sys, time
told = []
signal.signal(signal.SIGINT, lambda *_: told.append(1))
until = time.monotonic() + float(sys.argv[sys.argv.index("--duration") + 1])
open({began!r}, "a").write("x")
while not told and time.monotonic() < until:
    time.sleep(0.01)
open(sys.argv[sys.argv.index("--output") + 1], "w").write("picture")
"""


class Kept:
    """What a recording has kept."""

    def __init__(self) -> None:
        self.data: list[bytes] = []

    def __call__(self, data: bytes) -> str:
        self.data.append(data)
        return f"picture-{len(self.data)}"


@pytest.fixture
def recorder(py_spy: Path, tmp_path: Path) -> Path:
    """In place of py-spy; a file that has a letter for each time that it began."""
    began = tmp_path / "began"
    py_spy.write_text(RECORDER.format(python=sys.executable, began=str(began)))
    return began


def wait_begun(recorder: Path, times: int) -> None:
    """Until so many have begun, each of which will hear that it should end."""
    while not recorder.exists() or len(recorder.read_text()) < times:
        os.sched_yield()


def test_a_recording_gives_parts_until_it_is_stopped(profiler: Profiler, recorder: Path) -> None:
    kept = Kept()
    profiler.start("w1", 4711, 600, kept)
    wait_begun(recorder, 1)
    assert profiler.dump("w1") == "picture-1"
    wait_begun(recorder, 2)
    assert profiler.stop("w1") == "picture-2"
    assert kept.data == [b"picture"] * 2
    assert profiler.children() == set()
    assert profiler.stop("w1") == "picture-2"  # it has ended: that is its last one
    profiler.start("w2", 4712, 600, kept)
    wait_begun(recorder, 3)
    assert profiler.stop("w2") == "picture-3"


def test_a_recording_is_told_of_until_somebody_ends_it(profiler: Profiler, recorder: Path) -> None:
    running = {
        port: WorkerHandle(worker_id, port, LocalAssignment("words-1-1", (ExecutorId(1, 1),), 1))
        for port, worker_id in ((6700, "w1"), (6701, "w2"))
    }
    assert profiler.recordings(running) == ()
    profiler.start("w1", 4711, 600, Kept())
    [found] = profiler.recordings(running)
    assert (found.port, found.topology_id) == (6700, "words-1-1")
    assert 0 <= SystemClock().wall_secs() + 600 - found.until_wall_secs < 60
    assert profiler.recordings({6701: running[6701]}) == ()
    wait_begun(recorder, 1)
    profiler.dump("w1")
    assert profiler.recordings(running) == (found,)
    wait_begun(recorder, 2)
    profiler.stop("w1")
    assert profiler.recordings(running) == ()


def test_a_profile_that_somebody_waits_for_is_told_of_and_can_be_stopped(profiler: Profiler, recorder: Path) -> None:
    kept, got = Kept(), []
    waits = threading.Thread(target=lambda: got.append(profiler.profile("w1", 4711, 300, "raw", kept)), daemon=True)
    waits.start()
    wait_begun(recorder, 1)
    running = {6700: WorkerHandle("w1", 6700, LocalAssignment("words-1-1", (ExecutorId(1, 1),), 1))}
    assert [(one.port, one.topology_id) for one in profiler.recordings(running)] == [(6700, "words-1-1")]
    with pytest.raises(InvalidTransitionError, match="somebody waits for this profile"):
        profiler.dump("w1")
    with pytest.raises(InvalidTransitionError, match="not being profiled"):
        profiler.stop("w2")
    assert profiler.stop("w1") == "picture-1"
    waits.join(60)
    assert got == kept.data == [b"picture"]
    assert profiler.recordings(running) == ()
    assert profiler.stop("w1") == profiler.dump("w1") == "picture-1"


def test_a_profile_that_cannot_be_kept_is_given_to_its_caller(
    profiler: Profiler, py_spy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def full(data: bytes) -> str:
        raise StormError("no room")

    assert b"4711" in profiler.profile("w1", 4711, 1, "raw", full)
    assert "no room" in caplog.text
    with pytest.raises(StormError, match="no room"):
        profiler.stop("w1")


def test_a_recording_ends_with_its_time(profiler: Profiler, recorder: Path) -> None:
    ended = threading.Event()

    def keep(data: bytes) -> str:
        ended.set()
        return "picture"

    profiler.start("w1", 4711, 1, keep)
    assert ended.wait(60)
    while any(thread.name == "profile" for thread in threading.enumerate()):
        os.sched_yield()
    assert profiler.recordings({6700: WorkerHandle("w1", 6700, LocalAssignment("words-1-1", (), 1))}) == ()
    assert profiler.stop("w1") == "picture"


def test_one_recording_at_a_time_and_only_that_can_be_stopped(profiler: Profiler, recorder: Path) -> None:
    with pytest.raises(InvalidTransitionError, match="not being profiled"):
        profiler.stop("w1")
    profiler.start("w1", 4711, 600, Kept())
    for refused in (lambda: profiler.start("w2", 4712, 600, Kept()), lambda: profiler.dump("w2")):
        with pytest.raises(InvalidTransitionError, match="being profiled"):
            refused()
    wait_begun(recorder, 1)
    assert profiler.stop("w1") == "picture-1"


def test_what_py_spy_refuses_at_once_is_told_at_the_start(profiler: Profiler, py_spy: Path) -> None:
    py_spy.write_text("#!/bin/sh\necho 'Error: Permission Denied' >&2\nexit 1\n")
    with pytest.raises(StormError, match="Permission Denied"):
        profiler.start("w1", 4711, 600, Kept())
    with pytest.raises(StormError, match="Permission Denied"):
        profiler.stop("w1")


def test_a_dump_that_cannot_be_kept_is_told(profiler: Profiler, recorder: Path) -> None:
    def full(data: bytes) -> str:
        raise StormError("no room")

    profiler.start("w1", 4711, 600, full)
    wait_begun(recorder, 1)
    with pytest.raises(StormError, match="no room"):
        profiler.stop("w1")


def test_what_a_killed_supervisor_left_is_ended(profiler: Profiler, recorder: Path, tmp_path: Path) -> None:
    profiler.start("w1", 4711, 600, Kept())
    wait_begun(recorder, 1)
    Profiler(tmp_path, SystemClock()).end_remains()
    with pytest.raises(StormError, match="made no profile"):
        profiler.stop("w1")
