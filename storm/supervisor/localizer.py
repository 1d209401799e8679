"""The code of topologies on this machine: fetched from Nimbus, checked, unpacked, removed when no slot uses it.

    <supervisor dir>/stormdist/<topology id>/   stormcode.ser, stormconf.ser, stormjar.jar, code/ and blobs.json
    <supervisor dir>/tmp/                       what is being made or removed; wiped at each start

A topology's directory is made whole in tmp/ and renamed into place, so there is never half of one. blobs.json
says what it holds (hash, size and time of each file), so a restart trusts it without reading it all again.
A few threads fetch; a topology whose download fails or hangs holds one of them and delays no other slot. As many others
do what `run` is given, so that code never waits for that.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from storm.errors import PackageError
from storm.host_paths import CONF, PACKAGE, TOPOLOGY, code_dir, is_topology_id, tmp_dir, topologies_dir
from storm.supervisor.blob_download import download_verified, failure_of
from storm.supervisor.local_state import sync_file_system, write_atomically
from storm.supervisor.package_extraction import extract
from storm.supervisor.slot import BlobsSeen, BlobsState
from storm.supervisor.worker_launch import read_conf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storm.ids import TopologyId
    from storm.supervisor.assignment_sync import LocalAssignment
    from storm.supervisor.blob_download import Sources

log = logging.getLogger(__name__)

BLOB_MAX_BYTES = 1 << 30
_REQUIRED = frozenset({TOPOLOGY, CONF})
_MANIFEST = "blobs.json"

Hashes = dict[str, str]  # {file name: sha256 in hex}


@dataclass(slots=True)
class _Wanted:
    """What a topology's directory should hold, and how that goes."""

    hashes: Hashes
    state: BlobsState = BlobsState.PENDING
    failure: str = ""


class Localizer:
    """Implements `prepared_code.Code` on a disk. `request`, `look` and `keep` never wait for a download.

    Each thread makes its own `blob_download.Sources` by `open_sources`. `wake` is called from any thread when a
    download has ended, `make_room` where one finds the disk full: it removes what nobody needs, and says whether there
    was anything.
    """

    def __init__(
        self,
        supervisor_dir: Path,
        open_sources: Callable[[], Sources],
        wake: Callable[[], None],
        make_room: Callable[[], bool],
        threads_max: int = 5,
    ) -> None:
        """Raises OSError if the directory cannot be made or written."""
        self._dist_dir = topologies_dir(supervisor_dir)
        self._tmp_dir = tmp_dir(supervisor_dir)
        self._wake = wake
        self._make_room = make_room
        self._threads = _Threads(open_sources, threads_max)
        self._other_threads = _Threads(open_sources, threads_max)
        self._lock = threading.Lock()
        self._wanted: dict[TopologyId, _Wanted] = {}
        self._numbers = itertools.count()
        shutil.rmtree(self._tmp_dir, ignore_errors=True)
        self._tmp_dir.mkdir(parents=True, exist_ok=True)
        self._dist_dir.mkdir(parents=True, exist_ok=True)

    def request(self, assignment: LocalAssignment) -> None:
        """Bring the assignment's code here, or begin again where that failed."""
        topology_id = assignment.topology_id
        try:
            hashes = _file_hashes(assignment)
        except PackageError as error:
            with self._lock:
                self._wanted[topology_id] = _Wanted({}, BlobsState.FAILED, f"could not get its code: {error}")
            return
        with self._lock:
            present = self._wanted.get(topology_id)
            if present and present.hashes == hashes and present.state is BlobsState.PENDING:
                return
            wanted = self._wanted[topology_id] = _Wanted(hashes)
            if _holds(self._dist_dir / topology_id, hashes):
                wanted.state = BlobsState.READY
                return
        self._threads.run(lambda sources: self._fetch(topology_id, wanted, sources))

    def look(self, assignment: LocalAssignment) -> BlobsSeen:
        """Whether it is here, and why not if that failed."""
        with self._lock:
            wanted = self._wanted.get(assignment.topology_id)
            if wanted is None:
                return BlobsSeen(BlobsState.PENDING)
            if wanted.state is BlobsState.FAILED or wanted.hashes == _known_hashes(assignment):
                return BlobsSeen(wanted.state, wanted.failure)
            return BlobsSeen(BlobsState.FAILED, "could not get its code: a newer one took its place meanwhile")

    def code_dir(self, topology_id: TopologyId) -> Path:
        """Where a topology's package is unpacked."""
        return code_dir(self._dist_dir / topology_id)

    def own_timeout(self, topology_id: TopologyId) -> int | None:
        """How many seconds a topology, whose code is here, lets its workers be silent; None: its conf does not say."""
        try:
            found = read_conf(self._dist_dir / topology_id / CONF).get("topology.worker.timeout.secs")
        except (OSError, ValueError, AttributeError):  # its next worker does not start, and tells why
            return None
        return found if isinstance(found, int) else None

    def keep(self, topology_ids: frozenset[TopologyId]) -> None:
        """Remove the code of all other topologies."""
        with self._lock:
            for topology_id in self._wanted.keys() - topology_ids:
                del self._wanted[topology_id]
            doomed = [self._aside(path.name) for path in self._dist_dir.glob("*") if path.name not in topology_ids]
        for path in filter(None, doomed):
            self._threads.run(_remover(path))

    def run(self, job: Callable[[Sources], None]) -> None:
        """Have a thread that fetches no code call `job` with its sources. Any thread may call it; what `job` raises
        ends its thread.
        """
        self._other_threads.run(job)

    def close(self) -> None:
        """Begin no further download; one that is under way ends with the process."""
        self._threads.close()
        self._other_threads.close()

    def _fetch(self, topology_id: TopologyId, wanted: _Wanted, sources: Sources) -> None:
        """Make the topology's directory; its outcome is in `wanted` afterwards, whatever happens."""
        made = self._tmp_dir / f"{topology_id}.{next(self._numbers)}"

        def fetch() -> None:
            shutil.rmtree(made, ignore_errors=True)
            if self._is_current(topology_id, wanted):
                self._make(topology_id, wanted, made, sources)
                self._install(topology_id, wanted, made)

        failure = failure_of(fetch, "its code", self._make_room)
        shutil.rmtree(made, ignore_errors=True)
        with self._lock:
            wanted.state = BlobsState.READY if failure is None else BlobsState.FAILED
            wanted.failure = "" if failure is None else failure.text
        self._wake()

    def _make(self, topology_id: TopologyId, wanted: _Wanted, made: Path, sources: Sources) -> None:
        made.mkdir(parents=True)  # also where somebody removed all of the supervisor's directory meanwhile
        for name, sha256 in wanted.hashes.items():
            download_verified(sources, f"{topology_id}-{name}", made / name, sha256, BLOB_MAX_BYTES)
        if PACKAGE in wanted.hashes:
            extract(made / PACKAGE, code_dir(made))
        else:
            code_dir(made).mkdir()
        sync_file_system(made)  # what says that it is whole must not outlive it in a power cut
        manifest = {name: [sha256, *_stamp(made / name)] for name, sha256 in wanted.hashes.items()}
        write_atomically(made / _MANIFEST, json.dumps(manifest).encode())

    def _install(self, topology_id: TopologyId, wanted: _Wanted, made: Path) -> None:
        doomed = None
        with self._lock:
            if self._wanted.get(topology_id) is wanted:
                doomed = self._aside(topology_id)
                self._dist_dir.mkdir(parents=True, exist_ok=True)
                os.replace(made, self._dist_dir / topology_id)
        if doomed is not None:
            shutil.rmtree(doomed, ignore_errors=True)

    def _is_current(self, topology_id: TopologyId, wanted: _Wanted) -> bool:
        with self._lock:
            return self._wanted.get(topology_id) is wanted

    def _aside(self, name: str) -> Path | None:
        """Move a topology's directory into tmp/, which is one rename; where to, None if there is none."""
        aside = self._tmp_dir / f"{name}.{next(self._numbers)}.old"
        try:
            os.replace(self._dist_dir / name, aside)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("%s cannot be removed: %s", self._dist_dir / name, error)
            return None
        return aside


class _Threads:
    """At most `threads_max` of them, each with sources of its own; they do what comes in its order."""

    def __init__(self, open_sources: Callable[[], Sources], threads_max: int) -> None:
        self._open_sources = open_sources
        self._threads_max = threads_max
        self._threads: list[threading.Thread] = []
        self._queue: SimpleQueue[Callable[[Sources], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False

    def run(self, job: Callable[[Sources], None]) -> None:
        self._queue.put(job)
        with self._lock:
            if len(self._threads) < self._threads_max and not self._closed:
                thread = threading.Thread(target=self._work, name="localizer", daemon=True)
                self._threads.append(thread)
                thread.start()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for _ in self._threads:
                self._queue.put(None)

    def _work(self) -> None:
        sources = self._open_sources()
        while (job := self._queue.get()) is not None:
            job(sources)


def _remover(path: Path) -> Callable[[object], None]:
    return lambda _: shutil.rmtree(path, ignore_errors=True)


def _known_hashes(assignment: LocalAssignment) -> Hashes:
    prefix = f"{assignment.topology_id}-"
    named = {
        blob.key.removeprefix(prefix): blob.sha256 for blob in assignment.blob_hashes if blob.key.startswith(prefix)
    }
    return {name: named[name] for name in (TOPOLOGY, CONF, PACKAGE) if name in named}


def _file_hashes(assignment: LocalAssignment) -> Hashes:
    """{file: hash} of an assignment. Raises PackageError if it does not say what is needed."""
    if not is_topology_id(assignment.topology_id):
        raise PackageError(f"{assignment.topology_id[:200]!r} is no topology's id")
    hashes = _known_hashes(assignment)
    missing = sorted(_REQUIRED - hashes.keys())
    if missing:
        raise PackageError(f"the assignment of {assignment.topology_id} has no hash of {', '.join(missing)}")
    return hashes


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _holds(directory: Path, hashes: Hashes) -> bool:
    """Whether the directory was made of these blobs and its files were not touched since."""
    try:
        manifest = json.loads((directory / _MANIFEST).read_bytes())
        wanted = {name: [sha256, *_stamp(directory / name)] for name, sha256 in hashes.items()}
    except (OSError, ValueError):
        return False
    return bool(manifest == wanted) and code_dir(directory).is_dir()
