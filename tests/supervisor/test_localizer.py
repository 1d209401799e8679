from __future__ import annotations

import errno
import hashlib
import io
import shutil
import threading
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from storm.errors import BlobNotFoundError
from storm.ids import ExecutorId
from storm.supervisor import localizer
from storm.supervisor.assignment_sync import BlobHash, LocalAssignment
from storm.supervisor.localizer import Localizer
from storm.supervisor.slot import BlobsState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WAIT_SECS = 30


def package(name: str = "bolt.py") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(name, "x = 1")
    return data.getvalue()


class Store:
    """Blobs, and who asked for them; a key in `gates` waits until its gate opens. `disk_holds`: so many more bytes;
    `spare`: those of what nobody needs.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self.disk_holds, self.spare = 1 << 20, 0
        self.changed = threading.Condition()
        self.localizer = self.started()

    def started(self) -> Localizer:
        return Localizer(self.directory, lambda: self.sources, self.woken, self.make_room, threads_max=2)

    def make_room(self) -> bool:
        freed, self.spare = self.spare, 0
        self.disk_holds += freed
        return freed > 0

    def sources(self, key: str, sha256: str) -> list[Callable[[Callable[[bytes], object]], object]]:
        return [lambda write: self.download(key, write)]

    def download(self, key: str, write: Callable[[bytes], object]) -> None:
        self.asked.append(key)
        if key in self.gates:
            assert self.gates[key].wait(WAIT_SECS)
        if key not in self.blobs:
            raise BlobNotFoundError(f"no blob {key}")
        write(self.blobs[key][:3])
        if len(self.blobs[key]) > self.disk_holds:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self.blobs[key][3:])

    def woken(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def topology(self, topology_id: str, **more: bytes) -> LocalAssignment:
        """An assignment whose blobs are in the store."""
        files = {"stormcode.ser": b"code", "stormconf.ser": b"{}", "stormjar.jar": package()}
        files |= {name.replace("_", "."): data for name, data in more.items()}
        blobs = {f"{topology_id}-{name}": data for name, data in files.items()}
        self.blobs |= blobs
        hashes = tuple(sorted(BlobHash(key, hashlib.sha256(data).hexdigest()) for key, data in blobs.items()))
        return LocalAssignment(topology_id, (ExecutorId(1, 1),), 1, hashes)

    def outcome(self, assignment: LocalAssignment) -> tuple[BlobsState, str]:
        """Ask for the code and wait until it is here or cannot be."""
        self.localizer.request(assignment)
        with self.changed:
            assert self.changed.wait_for(
                lambda: self.localizer.look(assignment)[0] is not BlobsState.PENDING, WAIT_SECS
            )
        return self.localizer.look(assignment)[:2]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path)
    yield found
    found.localizer.close()


def dist(store: Store, topology_id: str = "words-1-1") -> Path:
    return store.directory / "stormdist" / topology_id


def test_code_is_fetched_checked_and_unpacked(store: Store) -> None:
    assert store.outcome(store.topology("words-1-1")) == (BlobsState.READY, "")
    assert (dist(store) / "stormcode.ser").read_bytes() == b"code"
    assert (dist(store) / "code" / "bolt.py").read_text() == "x = 1"
    assert list((store.directory / "tmp").iterdir()) == []


def test_what_was_unpacked_is_on_the_disk_before_what_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[list[str]] = []

    def sync(path: Path) -> None:
        [made] = (store.directory / "tmp").iterdir()
        assert path == made
        synced.append(sorted(str(path.relative_to(made)) for path in made.rglob("*")))

    monkeypatch.setattr(localizer, "sync_file_system", sync)
    assert store.outcome(store.topology("words-1-1")) == (BlobsState.READY, "")
    assert synced == [["code", "code/bolt.py", "stormcode.ser", "stormconf.ser", "stormjar.jar"]]
    assert (dist(store) / "blobs.json").exists()


def test_what_is_here_is_not_fetched_again_also_after_a_restart(store: Store) -> None:
    assignment = store.topology("words-1-1")
    store.outcome(assignment)
    asked = list(store.asked)
    store.localizer.request(assignment)
    assert store.localizer.look(assignment)[:2] == (BlobsState.READY, "")
    store.localizer.close()
    store.localizer = store.started()
    assert store.outcome(assignment) == (BlobsState.READY, "")
    assert store.asked == asked


@pytest.mark.parametrize("name", ["stormcode.ser", "stormjar.jar", "blobs.json", "code"])
def test_what_was_touched_or_lost_is_fetched_anew(store: Store, name: str) -> None:
    assignment = store.topology("words-1-1")
    store.outcome(assignment)
    path = dist(store) / name
    path.rename(path.with_name("elsewhere"))
    assert store.outcome(assignment) == (BlobsState.READY, "")
    assert path.exists()


def test_code_waits_for_nothing_else_that_is_fetched(store: Store) -> None:
    gate = threading.Event()
    for _ in range(9):
        store.localizer.run(lambda _: assert_open(gate))
    assert store.outcome(store.topology("words-1-1")) == (BlobsState.READY, "")
    gate.set()


def assert_open(gate: threading.Event) -> None:
    assert gate.wait(2 * WAIT_SECS)


def test_new_conf_replaces_the_old_whole(store: Store) -> None:
    store.outcome(store.topology("words-1-1"))
    changed = store.topology("words-1-1", stormconf_ser=b'{"a": 1}')
    assert store.outcome(changed) == (BlobsState.READY, "")
    assert (dist(store) / "stormconf.ser").read_bytes() == b'{"a": 1}'


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda store, a: store.blobs.pop(f"{a.topology_id}-stormconf.ser"), "no blob words-1-1-stormconf.ser"),
        (
            lambda store, a: store.blobs.update({f"{a.topology_id}-stormcode.ser": b"cut"}),
            "blob words-1-1-stormcode.ser: its 3 bytes do not have the hash",
        ),
    ],
)
def test_a_blob_that_is_missing_or_wrong_is_named_and_nothing_of_it_is_used(
    store: Store, break_it: Callable[[Store, LocalAssignment], Any], reason: str
) -> None:
    assignment = store.topology("words-1-1")
    good = dict(store.blobs)
    break_it(store, assignment)
    state, failure = store.outcome(assignment)
    assert (state, reason in failure) == (BlobsState.FAILED, True)
    assert not dist(store).exists()
    store.blobs = good
    assert store.outcome(assignment) == (BlobsState.READY, "")


def test_on_a_full_disk_code_takes_the_place_of_what_nobody_needs_and_fails_without_that(store: Store) -> None:
    store.disk_holds, store.spare = 3, 1000
    assert store.outcome(store.topology("words-1-1")) == (BlobsState.READY, "")
    store.disk_holds = 3
    state, failure = store.outcome(store.topology("other-1-1"))
    assert (state, "No space left on device" in failure) == (BlobsState.FAILED, True)
    assert list((store.directory / "tmp").iterdir()) == []
    assert store.asked.count("other-1-1-stormcode.ser") == 1, "in vain once is enough"


def test_a_bad_package_is_refused(store: Store) -> None:
    state, failure = store.outcome(store.topology("words-1-1", stormjar_jar=package("../evil.py")))
    assert (state, "'../evil.py' is not a plain path" in failure) == (BlobsState.FAILED, True)
    assert list((store.directory / "tmp").iterdir()) == []


def test_an_assignment_without_hashes_or_with_a_path_as_id_is_refused(store: Store) -> None:
    bare = replace(store.topology("words-1-1"), blob_hashes=())
    reason = "could not get its code: the assignment of words-1-1 has no hash of stormcode.ser, stormconf.ser"
    assert store.outcome(bare)[1] == reason
    assert "no topology's id" in store.outcome(store.topology("../words"))[1]


def test_a_download_that_hangs_delays_no_other_topology(store: Store) -> None:
    slow = store.topology("slow-1-1")
    gate = store.gates["slow-1-1-stormcode.ser"] = threading.Event()
    store.localizer.request(slow)
    assert store.outcome(store.topology("words-1-1")) == (BlobsState.READY, "")
    assert store.localizer.look(slow)[:2] == (BlobsState.PENDING, "")
    gate.set()
    assert store.outcome(slow) == (BlobsState.READY, "")


def test_a_directory_that_somebody_removed_is_made_again(store: Store) -> None:
    assignment = store.topology("words-1-1")
    store.outcome(assignment)
    for name in ("stormdist", "tmp"):
        shutil.rmtree(store.directory / name)
    store.localizer.keep(frozenset({"words-1-1"}))
    assert store.outcome(assignment) == (BlobsState.READY, "")


@pytest.mark.parametrize(
    ("conf", "secs"),
    [
        (b'{"topology.worker.timeout.secs": 180}', 180),
        (b'{"topology.worker.timeout.secs": null}', None),
        (b"{}", None),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_a_topologys_own_timeout_stands_in_its_conf(store: Store, conf: bytes, secs: int | None) -> None:
    assert store.localizer.own_timeout("words-1-1") is None
    store.outcome(store.topology("words-1-1", stormconf_ser=conf))
    assert store.localizer.own_timeout("words-1-1") == secs


def test_code_that_nobody_uses_is_removed(store: Store) -> None:
    store.outcome(store.topology("words-1-1"))
    store.outcome(store.topology("other-1-1"))
    store.localizer.keep(frozenset({"other-1-1"}))
    assert not dist(store).exists()
    assert dist(store, "other-1-1").exists()


def test_code_that_is_wanted_no_more_when_it_comes_is_not_kept(store: Store) -> None:
    assignment = store.topology("words-1-1")
    gate = store.gates["words-1-1-stormcode.ser"] = threading.Event()
    store.localizer.request(assignment)
    store.localizer.keep(frozenset())
    gate.set()
    store.outcome(store.topology("other-1-1"))
    store.localizer.close()
    assert not dist(store).exists()
