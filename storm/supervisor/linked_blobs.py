"""The blobs that topologies name in `topology.blobstore.map`: fetched, linked into workers' directories, updated there.

    <supervisor dir>/blobs/<sha256>/data            a content, as it came
    <supervisor dir>/blobs/<sha256>.unpacked/data/  the same, unpacked
    <workers dir>/<worker id>/<local name>          a link to one of them

A version's directory is made whole in tmp/ and renamed into place; its bytes are what the hash says. A link is replaced
by a rename, so a worker sees the version before or the one after. A version stays until no link leads to it and no
process has a file of it open, and for a while longer, since who resolved a link may still open what it found.
`blob_versions` decides what is linked, restarted and removed.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from storm.blobstore.blob_store import version_key
from storm.config.blob_map import KEY, BlobUse, conf_uses
from storm.errors import WorkerStartError
from storm.host_paths import CONF, tmp_dir, topologies_dir
from storm.supervisor import blob_versions, process_table
from storm.supervisor.blob_download import download_verified, failure_of
from storm.supervisor.blob_versions import Version, version_of, wanted, wanted_links
from storm.supervisor.local_state import sync_file_system, write_atomically
from storm.supervisor.slot import ITS_CODE, BlobsSeen, BlobsState
from storm.supervisor.worker_launch import read_conf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from storm.clock import Clock
    from storm.ids import TopologyId
    from storm.supervisor.assignment_sync import LocalAssignment
    from storm.supervisor.blob_download import Sources
    from storm.supervisor.options import SupervisorOptions
    from storm.supervisor.slot_runner import WorkerHandle

log = logging.getLogger(__name__)

RETRY_SECS = 5.0  # after a new version could not be fetched, or linked, for workers that run with the old one
BAD_ARCHIVE_SECS = 600.0  # until one that cannot be unpacked is fetched again: its bytes never change
_DATA, _STAMP, _PACKED = "data", "stamp.json", "packed"


class _Conf(NamedTuple):
    """What a topology's conf names; `stamp` tells the file from another one. `failure`: why it cannot be read."""

    stamp: tuple[int, ...] = ()
    uses: tuple[BlobUse, ...] = ()
    failure: str = ""


class _Failure(NamedTuple):
    """`retry_at`: before that running workers do not ask for it again, and nobody where `is_lasting`."""

    text: str
    is_lasting: bool
    retry_at: float


class RunnableCode(Protocol):
    """The code of topologies, with what it runs in: `prepared_code.PreparedCode`, or a model of it."""

    def request(self, assignment: LocalAssignment) -> None: ...
    def look(self, assignment: LocalAssignment) -> BlobsSeen: ...
    def keep(self, topology_ids: frozenset[TopologyId]) -> None: ...
    def own_timeout(self, topology_id: TopologyId) -> float | None: ...
    def make_room(self) -> bool:
        """Remove what no topology here needs; whether there was anything. Any thread may call it."""


class BlobsShell(NamedTuple):
    """`run`: what takes long is done by it, in other threads; it gives a job `blob_download.Sources`. `wake` is called
    from any thread when something has come, `on_keys` when somebody waits for a key to be looked up. `is_coming`:
    whether what is fetched comes at a pace that is worth waiting for.
    """

    run: Callable[[Callable[[Sources], None]], None]
    wake: Callable[[], None]
    on_keys: Callable[[], None]
    is_coming: Callable[[], bool]


class LinkedBlobs:
    """Implements `slot_runner.Blobs`: the code that `code` brings, and then the blobs that its conf names.

    The thread of the slots calls it, but for `keys` and `learn`.
    """

    def __init__(self, options: SupervisorOptions, code: RunnableCode, clock: Clock, shell: BlobsShell) -> None:
        """Raises OSError."""
        self._code = code
        self._run, self._wake, self._on_keys, self._is_coming = shell
        self._workers_dir = options.workers_dir
        self._dist_dir = topologies_dir(options.supervisor_dir)
        self._dir = options.supervisor_dir / "blobs"
        self._tmp_dir = tmp_dir(options.supervisor_dir)
        self._clock = clock
        self._keep_secs = options.blob_keep_secs
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._confs: dict[TopologyId, _Conf] = {}
        self._contents: dict[str, str] = {}
        self._fetching: set[Version] = set()
        self._failures: dict[Version, _Failure] = {}
        self._told: dict[Version, str] = {}  # the failure that was logged last
        self._links: dict[str, dict[str, Version]] = {}  # {worker id: its links}
        self._swap_at: dict[tuple[str, str], float] = {}  # {(worker id, local name): when a swap that failed is due}
        self._unneeded_since: dict[Version, float] = {}
        self._dir.mkdir(parents=True, exist_ok=True)
        self._here = set(_whole_versions(self._dir))

    # slot_runner.Blobs

    def request(self, assignment: LocalAssignment) -> None:
        """Bring code and blobs of the assignment here, or begin again where that failed."""
        self._code.request(assignment)
        with self._lock:
            for version in wanted_links(self._conf(assignment.topology_id).uses, self._contents).values():
                failure = self._failures.get(version)
                if failure is not None and not (failure.is_lasting and self._clock.now() < failure.retry_at):
                    del self._failures[version]

    def look(self, assignment: LocalAssignment) -> BlobsSeen:
        """Whether all of it is here, and why not if that failed."""
        seen = self._look(assignment)
        is_coming = seen.state is BlobsState.PENDING and not seen.waits_for and self._is_coming()
        return seen._replace(waits_for=ITS_CODE) if is_coming else seen

    def _look(self, assignment: LocalAssignment) -> BlobsSeen:
        code = self._code.look(assignment)
        if code.state is not BlobsState.READY:
            return code
        with self._lock:
            conf = self._conf(assignment.topology_id)
            if conf.failure:
                return BlobsSeen(BlobsState.FAILED, conf.failure)
            looks = [self._look_at(use) for use in conf.uses]
            is_unknown = any(use.key not in self._contents for use in conf.uses)
        if is_unknown:
            self._on_keys()
        for wanted_state in (BlobsState.FAILED, BlobsState.PENDING):
            for state, failure in looks:
                if state is wanted_state:
                    return BlobsSeen(state, failure)
        return BlobsSeen(BlobsState.READY)

    def keep(self, topology_ids: frozenset[TopologyId]) -> None:
        """Remove the code of all other topologies; `tend` removes what was theirs only."""
        self._code.keep(topology_ids)
        with self._lock:
            self._confs = {topology_id: self._conf(topology_id) for topology_id in topology_ids}
            named = {use.key for conf in self._confs.values() for use in conf.uses}
            self._contents = {key: sha256 for key, sha256 in self._contents.items() if key in named}
            is_unknown = not named <= self._contents.keys()
        if is_unknown:
            self._on_keys()

    def own_timeout(self, topology_id: TopologyId) -> float | None:
        """How many seconds a topology, whose code is here, lets its workers be silent; None: as the limits say."""
        return self._code.own_timeout(topology_id)

    # For workers

    def link(self, assignment: LocalAssignment, directory: Path) -> None:
        """Let the worker that is launched in `directory` find its topology's blobs. Raises WorkerStartError."""
        with self._lock:
            links = wanted_links(self._conf(assignment.topology_id).uses, self._contents)
            for name, version in links.items():
                place = self._place(version)
                if not place.exists():
                    self._here.discard(version)
                    raise WorkerStartError(f"its blob {name!r} is not in {place} any more")
                try:
                    _point(directory / name, place)
                except OSError as error:
                    raise WorkerStartError(f"its blob {name!r} cannot be linked ({error})") from error
            self._links[directory.name] = links

    def wants_restart(self, worker: WorkerHandle) -> bool:
        """Whether it runs with an old version of a blob that restarts workers, and the new one is here."""
        with self._lock:
            uses = self._conf(worker.assignment.topology_id).uses
            links = self._links.get(worker.worker_id, {})
            return blob_versions.wants_restart(uses, self._contents, self._here, links)

    def tend(self, workers: Iterable[WorkerHandle]) -> float | None:
        """Update what `workers`, all that run, find, and remove what nobody needs; when to call again at the latest."""
        with self._lock:
            running = {worker.worker_id: worker.assignment.topology_id for worker in workers}
            self._links = {worker_id: self._links_of(worker_id) for worker_id in running}
            uses: set[BlobUse] = set()
            for worker_id, topology_id in running.items():
                conf, links = self._conf(topology_id), self._links[worker_id]
                swaps = blob_versions.to_swap(conf.uses, self._contents, self._here, links)
                for name, version in swaps.items():
                    self._swap(worker_id, name, version)
                uses.update(conf.uses)
            self._swap_at = {link: at for link, at in self._swap_at.items() if link[0] in running}
            retries = [self._fetch_again(use) for use in uses]
            self._tidy()
            due = [*self._swap_at.values(), *(since + self._keep_secs for since in self._unneeded_since.values())]
            return min([*due, *(retry_at for retry_at in retries if retry_at is not None)], default=None)

    # For whoever reads the cluster's state

    def keys(self) -> frozenset[str]:
        """The keys of the blobs that topologies here name."""
        with self._lock:
            return frozenset(use.key for conf in self._confs.values() for use in conf.uses)

    def learn(self, contents: Mapping[str, str]) -> dict[str, str]:
        """{key: the SHA-256 of what the blob has now; empty: there is no such blob}; the same as it is held here.

        Nimbus deletes no blob that a topology names. One that is gone all the same was lost with ZooKeeper's data: what
        is known of it stands.
        """
        with self._lock:
            known = {key: sha256 or self._contents.get(key, "") for key, sha256 in contents.items()}
            is_news = not known.items() <= self._contents.items()
            self._contents.update(known)
        if is_news:
            self._wake()
        return known

    # The lock is held in what follows, but in jobs

    def _place(self, version: Version) -> Path:
        return self._dir / version.name / _DATA

    def _conf(self, topology_id: TopologyId) -> _Conf:
        """What the topology's conf on the disk names now; nothing where it is not here yet."""
        file = self._dist_dir / topology_id / CONF
        try:
            found = file.stat()
        except OSError:
            return _Conf()
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        known = self._confs.get(topology_id)
        if known is None or known.stamp != stamp:
            known = self._confs[topology_id] = _read_conf(file)._replace(stamp=stamp)
        return known

    def _look_at(self, use: BlobUse) -> tuple[BlobsState, str]:
        version = wanted(use, self._contents)
        if version is None:
            if use.key not in self._contents:
                return BlobsState.PENDING, ""
            return BlobsState.FAILED, f"could not get its blob {use.key!r}: there is none ({KEY} names it)"
        if version in self._here:
            return BlobsState.READY, ""
        if version in self._failures:
            return BlobsState.FAILED, self._failures[version].text
        self._fetch(use.key, version)
        return BlobsState.PENDING, ""

    def _fetch_again(self, use: BlobUse) -> float | None:
        """Of a blob whose workers run: its new version, or another try at that; when that is due."""
        version = wanted(use, self._contents)
        if version is None or version in self._here:
            return None
        failure = self._failures.get(version)
        if failure is not None and self._clock.now() < failure.retry_at:
            return failure.retry_at
        self._fetch(use.key, version)
        return None

    def _fetch(self, key: str, version: Version) -> None:
        if version not in self._fetching:
            self._failures.pop(version, None)
            self._fetching.add(version)
            self._run(lambda download: self._make(key, version, download))

    def _links_of(self, worker_id: str) -> dict[str, Version]:
        """As this run of the supervisor made them, or a former one."""
        known = self._links.get(worker_id)
        if known is not None:
            return known
        found = {}
        try:
            for entry in os.scandir(self._workers_dir / worker_id):
                if entry.is_symlink():
                    version = version_of(os.path.basename(os.path.dirname(os.readlink(entry.path))))
                    if version is not None:
                        found[entry.name] = version
        except OSError as error:
            log.warning("the blobs of worker %s cannot be told: %s", worker_id, error)
        return found

    def _swap(self, worker_id: str, name: str, version: Version) -> None:
        link, now = (worker_id, name), self._clock.now()
        if now < self._swap_at.get(link, now):
            return
        try:
            _point(self._workers_dir / worker_id / name, self._place(version))
        except OSError as error:
            if link not in self._swap_at:
                log.error("the blob %s of worker %s cannot be updated: %s", name, worker_id, error)
            self._swap_at[link] = now + RETRY_SECS
        else:
            log.info("worker %s finds a new version of its blob %s", worker_id, name)
            self._swap_at.pop(link, None)
            self._links[worker_id][name] = version

    def _wanted(self) -> list[dict[str, Version]]:
        return [wanted_links(conf.uses, self._contents) for conf in self._confs.values()]

    def _unneeded(self) -> set[Version]:
        return blob_versions.unneeded(self._here, [*self._wanted(), *self._links.values()], self._fetching)

    def _tidy(self) -> None:
        now = self._clock.now()
        versions = {version for links in self._wanted() for version in links.values()}
        for kept in (self._failures, self._told):
            for version in kept.keys() - versions:
                del kept[version]
        found = self._unneeded()
        self._unneeded_since = {version: self._unneeded_since.get(version, now) for version in found}
        for version, since in self._unneeded_since.items():
            if now - since >= self._keep_secs:
                self._unneeded_since[version] = now  # when it is used still, it is looked at again so much later
                self._run(self._remover(version))

    # Jobs

    def _make(self, key: str, version: Version, sources: Sources) -> None:
        """Bring a version here; its outcome is noted afterwards, whatever happens."""
        made = self._tmp_dir / f"blob.{version.name}.{next(self._numbers)}"

        def fetch() -> None:
            shutil.rmtree(made, ignore_errors=True)
            _fill(made, key, version, sources)
            shutil.rmtree(self._dir / version.name, ignore_errors=True)  # where somebody damaged it
            self._dir.mkdir(parents=True, exist_ok=True)
            os.replace(made, self._dir / version.name)

        failure = failure_of(fetch, f"its blob {key!r}", self._code.make_room)
        shutil.rmtree(made, ignore_errors=True)
        is_news = False
        with self._lock:
            self._fetching.discard(version)
            if failure is None:
                self._here.add(version)
            else:
                is_news = self._told.get(version) != failure.text
                self._told[version] = failure.text
                wait_secs = BAD_ARCHIVE_SECS if failure.is_lasting else RETRY_SECS
                self._failures[version] = _Failure(*failure, self._clock.now() + wait_secs)
        if failure is not None and is_news:
            log.warning("this supervisor %s", failure.text)
        self._wake()

    def _remover(self, version: Version) -> Callable[[Any], None]:
        """Removes a version that nobody needs, unless a process uses it, or it is needed after all."""

        def remove(_: Any) -> None:
            place = self._dir / version.name
            if process_table.use(place):
                return
            aside = self._tmp_dir / f"blob.{version.name}.{next(self._numbers)}"
            with self._lock:
                if version not in self._unneeded():  # since the slots' thread looked
                    return
                try:
                    os.replace(place, aside)
                except FileNotFoundError:
                    pass
                except OSError as error:
                    log.error("%s cannot be removed: %s", place, error)
                    return
                self._here.discard(version)
                self._unneeded_since.pop(version, None)
            shutil.rmtree(aside, ignore_errors=True)

        return remove


def _fill(made: Path, key: str, version: Version, sources: Sources) -> None:
    """Make the directory of a version. Raises StormError, OSError."""
    packed = made / _PACKED / key  # by its own name, for errors
    packed.parent.mkdir(parents=True)
    download_verified(sources, version_key(key, version.sha256), packed, version.sha256)
    if version.is_unpacked:
        from storm.supervisor.blob_unpacking import unpack  # it brings `tarfile`; few blobs are archives

        unpack(packed, made / _DATA)
        shutil.rmtree(packed.parent)
        sync_file_system(made)  # the stamp must not outlive what it stands for in a power cut
    else:
        packed.chmod(0o444)
        packed.rename(made / _DATA)
        packed.parent.rmdir()
    write_atomically(made / _STAMP, json.dumps(_stamp(made / _DATA)).encode())


def _read_conf(file: Path) -> _Conf:
    try:
        return _Conf(uses=conf_uses(read_conf(file)))
    except (OSError, ValueError, AttributeError) as error:
        return _Conf(failure=f"could not get its blobs: {KEY} of its conf cannot be read ({error})")


def _point(link: Path, target: Path) -> None:
    """Let `link` lead to `target`, from one moment to the next."""
    beside = link.with_name(f".{link.name}.new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    os.replace(beside, link)


def _stamp(data: Path) -> list[int]:
    """Of a file: its size and time; a directory's tells nothing of what is in it."""
    found = data.stat()
    return [] if data.is_dir() else [found.st_size, found.st_mtime_ns]


def _whole_versions(directory: Path) -> Iterable[Version]:
    """Those that a former run of the supervisor left, as it made them; what is not whole is removed."""
    for path in directory.iterdir():
        version = version_of(path.name)
        try:
            is_whole = version is not None and json.loads((path / _STAMP).read_bytes()) == _stamp(path / _DATA)
        except (OSError, ValueError):
            is_whole = False
        if version is not None and is_whole:
            yield version
        else:
            shutil.rmtree(path, ignore_errors=True)
