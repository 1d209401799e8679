"""The files of blobs, on a real disk; jobs run when the test says so, in one thread."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from supervisor_models import ModelBlobs

from storm.errors import NimbusUnreachableError, WorkerStartError
from storm.ids import ExecutorId
from storm.supervisor import linked_blobs
from storm.supervisor.assignment_sync import LocalAssignment
from storm.supervisor.linked_blobs import BAD_ARCHIVE_SECS, RETRY_SECS, BlobsShell, LinkedBlobs
from storm.supervisor.options import SupervisorOptions
from storm.supervisor.slot import ITS_CODE, ITS_ENVIRONMENT, BlobsSeen, BlobsState
from storm.supervisor.slot_runner import WorkerHandle
from storm.testing.simulated_clock import SimulatedClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEEP_SECS = 30.0
READY, PENDING, FAILED = BlobsState.READY, BlobsState.PENDING, BlobsState.FAILED
WORDS = {"words.txt": {"localname": "words"}}
RESTARTING = {"words.txt": {"localname": "words", "workerRestart": True}}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Machine:
    """A supervisor's directories, what Nimbus would give, and the workers that run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.workers_dir = directory / "workers"
        self.clock = SimulatedClock()
        self.jobs: list[Callable[[Any], None]] = []
        self.nimbus: dict[str, bytes] | None = {}  # {key of a content: its bytes}; None: it is away
        self.asked: list[str] = []
        self.woken = 0
        self.looked_up = 0
        self.workers: list[WorkerHandle] = []
        self.code = ModelBlobs()
        self.is_coming = False
        self.blobs = self.started()

    def started(self) -> LinkedBlobs:
        """Another run of the supervisor."""
        options = SupervisorOptions(self.directory, self.directory, blob_keep_secs=KEEP_SECS)
        shell = BlobsShell(self.jobs.append, self._wake, self._look_up, lambda: self.is_coming)
        return LinkedBlobs(options, self.code, self.clock, shell)

    def _wake(self) -> None:
        self.woken += 1

    def _look_up(self) -> None:
        self.looked_up += 1

    def has_code(self, topology_id: str, blob_map: Any) -> LocalAssignment:
        dist = self.directory / "supervisor" / "stormdist" / topology_id
        dist.mkdir(parents=True, exist_ok=True)
        (dist / "stormconf.ser").write_text(json.dumps({"topology.blobstore.map": blob_map}))
        return LocalAssignment(topology_id, (ExecutorId(1, 1),), 1)

    def has_blob(self, key: str, data: bytes) -> None:
        """People put it there, and the supervisor hears of it."""
        if self.nimbus is not None:
            self.nimbus[f"{key}.{sha256(data)}"] = data
        self.blobs.learn({key: sha256(data)})

    def sources(self, key: str, sha256: str) -> list[Callable[[Callable[[bytes], object]], object]]:
        return [lambda write: self.download(key, write)]

    def download(self, key: str, write: Callable[[bytes], object]) -> None:
        self.asked.append(key)
        if self.nimbus is None:
            raise NimbusUnreachableError("nobody answers")
        write(self.nimbus[key][:2])
        write(self.nimbus[key][2:])

    def run_jobs(self) -> None:
        while self.jobs:
            self.jobs.pop(0)(self.sources)

    def settle(self, assignment: LocalAssignment) -> tuple[BlobsState, str]:
        """As the slots' thread does it until nothing is left to do."""
        self.blobs.request(assignment)
        self.blobs.look(assignment)
        self.run_jobs()
        return self.blobs.look(assignment)[:2]

    def launch(self, assignment: LocalAssignment, port: int = 6700) -> Path:
        """A worker; its directory."""
        directory = self.workers_dir / f"worker-{port}"
        directory.mkdir(parents=True)
        self.blobs.link(assignment, directory)
        self.workers.append(WorkerHandle(directory.name, port, assignment))
        self.blobs.keep(frozenset(worker.assignment.topology_id for worker in self.workers))
        return directory

    def tend(self, secs: float = 0.0) -> float | None:
        self.clock.advance(secs)
        self.blobs.tend(self.workers)
        self.run_jobs()
        return self.blobs.tend(self.workers)

    def versions(self) -> list[str]:
        return sorted(path.name for path in (self.directory / "supervisor" / "blobs").iterdir())

    def left_in_tmp(self) -> list[str]:
        return os.listdir(self.directory / "supervisor" / "tmp")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_topology_without_blobs_waits_for_its_code_only(machine: Machine) -> None:
    words = machine.has_code("words", {})
    machine.code.states["words"] = BlobsSeen(PENDING, "")
    assert machine.settle(words) == (PENDING, "")
    machine.code.states["words"] = BlobsSeen(FAILED, "no code")
    assert machine.settle(words) == (FAILED, "no code")
    machine.code.states["words"] = BlobsSeen(READY, "")
    assert machine.settle(words) == (READY, "")
    assert machine.code.requests == [words] * 3
    assert machine.looked_up == 0


def test_what_still_comes_is_worth_waiting_for(machine: Machine) -> None:
    words = machine.has_code("words", WORDS)
    machine.has_blob("words.txt", b"one two")
    machine.is_coming = True
    machine.code.states["words"] = BlobsSeen(PENDING, "")
    assert machine.blobs.look(words) == BlobsSeen(PENDING, waits_for=ITS_CODE)
    machine.code.states["words"] = BlobsSeen(PENDING, waits_for=ITS_ENVIRONMENT)
    assert machine.blobs.look(words) == BlobsSeen(PENDING, waits_for=ITS_ENVIRONMENT)
    machine.code.states["words"] = BlobsSeen(READY)
    assert machine.blobs.look(words) == BlobsSeen(PENDING, waits_for=ITS_CODE), "its blob"
    machine.is_coming = False
    assert machine.blobs.look(words) == BlobsSeen(PENDING)
    machine.is_coming = True
    assert machine.settle(words) == (READY, "")
    assert machine.blobs.look(words).waits_for == ""


def test_a_worker_finds_its_blobs_by_their_local_names(machine: Machine) -> None:
    words = machine.has_code("words", {**WORDS, "stop.txt": None})
    assert machine.settle(words) == (PENDING, "")
    assert machine.looked_up > 0
    assert machine.blobs.keys() == {"words.txt", "stop.txt"}
    machine.has_blob("words.txt", b"one two")
    machine.has_blob("stop.txt", b"the a")
    assert machine.woken == 2
    assert machine.settle(words) == (READY, "")
    directory = machine.launch(words)
    assert (directory / "words").read_bytes() == b"one two"
    assert (directory / "stop.txt").read_bytes() == b"the a"
    assert machine.left_in_tmp() == []


def test_an_archive_is_found_unpacked(machine: Machine) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/b.txt", "deep")
    words = machine.has_code("words", {"model.zip": {"localname": "model", "uncompress": True}, "model.zip ": {}})
    machine.has_blob("model.zip", packed.getvalue())
    machine.has_blob("model.zip ", packed.getvalue())  # of the same bytes, as they came
    assert machine.settle(words) == (READY, "")
    directory = machine.launch(words)
    assert (directory / "model" / "a" / "b.txt").read_text() == "deep"
    assert (directory / "model.zip ").read_bytes() == packed.getvalue()


def test_two_topologies_share_a_content(machine: Machine) -> None:
    words, other = machine.has_code("words", WORDS), machine.has_code("other", {"words.txt": None})
    machine.has_blob("words.txt", b"one two")
    assert machine.settle(words) == machine.settle(other) == (READY, "")
    assert len(machine.asked) == 1


@pytest.mark.parametrize(
    ("blob_map", "said"),
    [
        (WORDS, "could not get its blob 'words.txt': there is none (topology.blobstore.map names it)"),
        ({"k": 7}, "could not get its blobs: topology.blobstore.map of its conf cannot be read"),
    ],
)
def test_a_blob_that_is_not_there_is_said(machine: Machine, blob_map: Any, said: str) -> None:
    words = machine.has_code("words", blob_map)
    machine.blobs.learn({"words.txt": ""})
    state, failure = machine.settle(words)
    assert state is FAILED
    assert said in failure


def test_bytes_that_are_not_those_of_the_record_are_no_version(machine: Machine) -> None:
    words = machine.has_code("words", WORDS)
    machine.has_blob("words.txt", b"one two")
    assert machine.nimbus is not None
    machine.nimbus[f"words.txt.{sha256(b'one two')}"] = b"one too"
    state, failure = machine.settle(words)
    assert (state, failure) == (
        FAILED,
        f"could not get its blob 'words.txt': blob words.txt.{sha256(b'one two')}: "
        "its 7 bytes do not have the hash that its record names",
    )
    assert (machine.versions(), machine.left_in_tmp()) == ([], [])


def test_what_is_no_archive_is_said_and_another_version_is_taken(machine: Machine) -> None:
    words = machine.has_code("words", {"words.txt": {"uncompress": True}})
    machine.has_blob("words.txt", b"one two")
    state, failure = machine.settle(words)
    assert state is FAILED
    assert "words.txt cannot be unpacked: it is no zip and no tar archive" in failure
    assert (machine.versions(), machine.left_in_tmp()) == ([], [])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", "")
    machine.has_blob("words.txt", packed.getvalue())
    assert machine.settle(words) == (READY, "")


def test_a_download_that_failed_is_begun_again_by_the_slot(machine: Machine) -> None:
    words = machine.has_code("words", WORDS)
    machine.has_blob("words.txt", b"one two")
    there, machine.nimbus = machine.nimbus, None
    assert machine.settle(words) == (FAILED, "could not get its blob 'words.txt': nobody answers")
    assert machine.blobs.look(words)[0] is FAILED
    machine.nimbus = there
    assert machine.settle(words) == (READY, "")


def test_a_disk_that_is_full_leaves_nothing_and_recovers(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    words = machine.has_code("words", WORDS)
    machine.has_blob("words.txt", b"one two")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        state, failure = machine.settle(words)
        assert state is FAILED
        assert "No space left on device" in failure
        assert (machine.versions(), machine.left_in_tmp()) == ([], [])
    assert machine.settle(words) == (READY, "")


def test_on_a_full_disk_a_blob_takes_the_place_of_what_nobody_needs(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = machine.has_code("words", WORDS)
    machine.has_blob("words.txt", b"one two")
    unneeded = machine.directory / "unneeded"
    unneeded.touch()

    def full(descriptor: int) -> None:
        if unneeded.exists():
            raise OSError(28, "No space left on device")

    def make_room() -> bool:
        unneeded.unlink()
        return True

    machine.code.make_room = make_room
    monkeypatch.setattr(os, "fsync", full)
    assert machine.settle(words) == (READY, "")
    assert (len(machine.asked), machine.left_in_tmp()) == (2, [])


def test_a_bad_archive_is_fetched_again_after_a_while_only(machine: Machine) -> None:
    words = machine.has_code("words", {"words.txt": {"uncompress": True}})
    machine.has_blob("words.txt", b"one two")
    for _ in range(3):
        state, failure = machine.settle(words)
        assert (state, "cannot be unpacked" in failure, len(machine.asked)) == (FAILED, True, 1)
    machine.clock.advance(BAD_ARCHIVE_SECS)
    machine.settle(words)
    assert len(machine.asked) == 2


@pytest.mark.parametrize("key", ["data", "stamp.json", "packed"])
def test_a_key_may_be_a_name_of_our_own(machine: Machine, key: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", "b")
    words = machine.has_code("words", {key: {"localname": "archive", "uncompress": True}})
    plain = machine.has_code("plain", {key: {"localname": "words"}})
    machine.has_blob(key, packed.getvalue())
    assert machine.settle(words) == machine.settle(plain) == (READY, "")
    assert (machine.launch(words) / "archive" / "a").read_text() == "b"
    assert (machine.launch(plain, 6701) / "words").read_bytes() == packed.getvalue()
    machine.blobs = machine.started()
    machine.has_blob(key, packed.getvalue())
    assert machine.settle(words) == machine.settle(plain) == (READY, "")
    assert len(machine.asked) == 2


def test_what_was_unpacked_is_on_the_disk_before_what_says_so(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", "b")
    words = machine.has_code("words", {"words.txt": {"uncompress": True}})
    machine.has_blob("words.txt", packed.getvalue())
    synced: list[list[str]] = []

    def sync(path: Path) -> None:
        [made] = (machine.directory / "supervisor" / "tmp").iterdir()
        assert path == made
        synced.append(sorted(str(path.relative_to(made)) for path in made.rglob("*")))

    monkeypatch.setattr(linked_blobs, "sync_file_system", sync)
    assert machine.settle(words) == (READY, "")
    assert synced == [["data", "data/a"]]


# Updates


def running(machine: Machine, blob_map: Any = WORDS) -> tuple[LocalAssignment, Path]:
    words = machine.has_code("words", blob_map)
    machine.has_blob("words.txt", b"one two")
    assert machine.settle(words) == (READY, "")
    directory = machine.launch(words)
    assert machine.tend() is None
    return words, directory


def test_a_worker_that_runs_finds_the_new_version(machine: Machine) -> None:
    words, directory = running(machine)
    with (directory / "words").open() as opened:
        machine.has_blob("words.txt", b"three")
        machine.tend()
        assert (directory / "words").read_bytes() == b"three"
        assert opened.read() == "one two"
    assert not machine.blobs.wants_restart(machine.workers[0])
    assert machine.blobs.look(words)[:2] == (READY, "")
    assert sorted(path.name for path in directory.iterdir()) == ["words"]


def test_until_the_new_version_is_here_the_old_one_is_found(machine: Machine) -> None:
    _, directory = running(machine)
    there, machine.nimbus = machine.nimbus, None
    machine.blobs.learn({"words.txt": sha256(b"three")})
    due = machine.tend()
    assert (directory / "words").read_bytes() == b"one two"
    assert due == machine.clock.now() + RETRY_SECS
    asked = len(machine.asked)
    machine.tend(RETRY_SECS / 2)
    assert len(machine.asked) == asked
    machine.nimbus = there
    machine.has_blob("words.txt", b"three")
    machine.tend(RETRY_SECS / 2)
    assert (directory / "words").read_bytes() == b"three"


def test_a_blob_that_restarts_workers_is_left_to_the_next_one(machine: Machine) -> None:
    words, directory = running(machine, RESTARTING)
    machine.has_blob("words.txt", b"three")
    assert not machine.blobs.wants_restart(machine.workers[0])
    machine.tend()
    assert (directory / "words").read_bytes() == b"one two"
    assert machine.blobs.wants_restart(machine.workers[0])
    machine.workers.clear()
    later = machine.launch(words, 6701)
    assert (later / "words").read_bytes() == b"three"
    assert not machine.blobs.wants_restart(machine.workers[0])


def test_a_new_version_that_is_no_archive_is_not_fetched_over_and_over(machine: Machine) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", "b")
    words = machine.has_code("words", {"words.txt": {"uncompress": True}})
    machine.has_blob("words.txt", packed.getvalue())
    assert machine.settle(words) == (READY, "")
    directory = machine.launch(words)
    machine.has_blob("words.txt", b"no archive")
    assert machine.tend() == machine.clock.now() + BAD_ARCHIVE_SECS
    machine.tend(RETRY_SECS)
    assert len(machine.asked) == 2
    assert (directory / "words.txt" / "a").read_text() == "b"


def test_a_link_that_could_not_be_replaced_is_tried_again(machine: Machine) -> None:
    _, directory = running(machine)
    [old] = machine.versions()
    (directory / "words").unlink()
    (directory / "words").mkdir()
    machine.has_blob("words.txt", b"three")
    assert machine.tend() == machine.clock.now() + RETRY_SECS
    machine.tend(KEEP_SECS)
    assert old in machine.versions(), "for all that is known the worker has a link to it"
    (directory / "words").rmdir()
    machine.tend(RETRY_SECS)
    assert (directory / "words").read_bytes() == b"three"
    machine.tend()
    machine.tend(KEEP_SECS)
    assert old not in machine.versions()


def test_a_record_that_zookeeper_lost_changes_nothing(machine: Machine) -> None:
    words, _ = running(machine)
    assert machine.blobs.learn({"words.txt": ""}) == {"words.txt": sha256(b"one two")}
    assert machine.settle(words) == (READY, "")
    assert (machine.launch(words, 6701) / "words").read_bytes() == b"one two"


def test_the_next_run_of_the_supervisor_goes_on_with_what_is_there(machine: Machine) -> None:
    words, directory = running(machine, RESTARTING)
    machine.has_code("words", {**RESTARTING, "stop.txt": None})
    asked = len(machine.asked)
    machine.blobs = machine.started()
    machine.blobs.keep(frozenset({"words"}))
    machine.tend()
    machine.blobs.learn({"words.txt": sha256(b"one two"), "stop.txt": ""})
    assert not machine.blobs.wants_restart(machine.workers[0])
    assert machine.blobs.look(words)[0] is FAILED  # of the other blob
    assert len(machine.asked) == asked
    machine.has_blob("stop.txt", b"the")
    machine.has_blob("words.txt", b"three")
    machine.tend()
    assert (directory / "stop.txt").read_bytes() == b"the"  # a name that was added since it was launched
    assert (directory / "words").read_bytes() == b"one two"
    assert machine.blobs.wants_restart(machine.workers[0])


def test_a_version_that_was_damaged_is_fetched_again(machine: Machine) -> None:
    words, _ = running(machine)
    [name] = machine.versions()
    data = machine.directory / "supervisor" / "blobs" / name / "data"
    data.chmod(0o600)
    data.write_bytes(b"one 2")
    machine.blobs = machine.started()
    machine.has_blob("words.txt", b"one two")
    assert machine.settle(words) == (READY, "")
    assert data.read_bytes() == b"one two"


def test_a_version_that_somebody_removed_fails_one_launch(machine: Machine) -> None:
    words, _ = running(machine)
    [name] = machine.versions()
    (machine.directory / "supervisor" / "blobs" / name / "data").unlink()
    (machine.workers_dir / "worker-6701").mkdir()
    with pytest.raises(WorkerStartError, match="its blob 'words' is not in"):
        machine.blobs.link(words, machine.workers_dir / "worker-6701")
    assert machine.settle(words) == (READY, "")
    machine.blobs.link(words, machine.workers_dir / "worker-6701")


# Removal


def test_an_old_version_goes_when_nobody_has_used_it_for_a_while(machine: Machine) -> None:
    _, directory = running(machine)
    [old] = machine.versions()
    machine.has_blob("words.txt", b"three")
    assert machine.tend() == machine.clock.now() + KEEP_SECS
    assert len(machine.versions()) == 2
    machine.tend(KEEP_SECS - 1)
    assert old in machine.versions()
    machine.tend(1)
    assert old not in machine.versions()
    assert (directory / "words").read_bytes() == b"three"
    assert machine.left_in_tmp() == []
    assert machine.tend() is None


def test_a_version_stays_while_a_worker_has_a_link_to_it(machine: Machine) -> None:
    _, directory = running(machine, RESTARTING)
    [old] = machine.versions()
    machine.has_blob("words.txt", b"three")
    machine.tend()
    machine.tend(KEEP_SECS)
    assert old in machine.versions()
    assert (directory / "words").read_bytes() == b"one two"
    machine.workers.clear()
    machine.tend()
    machine.tend(KEEP_SECS)
    assert old not in machine.versions()


def test_a_version_stays_while_a_process_has_it_open(machine: Machine) -> None:
    _, directory = running(machine)
    [old] = machine.versions()
    reader = subprocess.Popen(
        [sys.executable, "-c", "file = open('words'); print(); input()"],
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert reader.stdout is not None
    reader.stdout.readline()
    machine.has_blob("words.txt", b"three")
    machine.tend()
    machine.tend(KEEP_SECS)
    assert old in machine.versions()
    reader.communicate(b"\n")
    machine.tend(KEEP_SECS)
    assert old not in machine.versions()


def test_a_version_that_is_wanted_again_stays(machine: Machine) -> None:
    running(machine)
    [old] = machine.versions()
    machine.has_blob("words.txt", b"three")
    machine.tend()
    machine.clock.advance(KEEP_SECS)
    machine.blobs.tend(machine.workers)
    machine.has_blob("words.txt", b"one two")  # before the removal that was just begun
    machine.tend()
    assert old in machine.versions()
    assert (machine.workers_dir / "worker-6700" / "words").read_bytes() == b"one two"


def test_a_version_that_a_worker_is_launched_with_stays(machine: Machine) -> None:
    words, _ = running(machine)
    [old] = machine.versions()
    machine.has_blob("words.txt", b"three")
    machine.tend()
    machine.clock.advance(KEEP_SECS)
    machine.blobs.tend(machine.workers)  # begins the removal
    machine.has_blob("words.txt", b"one two")
    directory = machine.launch(words, 6701)
    machine.run_jobs()
    assert (directory / "words").read_bytes() == b"one two"
    assert old in machine.versions()


def test_the_blobs_of_a_topology_that_is_gone_go(machine: Machine) -> None:
    running(machine)
    machine.workers.clear()
    machine.blobs.keep(frozenset())
    assert machine.blobs.keys() == frozenset()
    machine.tend()
    machine.tend(KEEP_SECS)
    assert machine.versions() == []
