"""A topology's code and the environment that it runs in, as one thing that a slot waits for.

What a topology needs is in the manifest of its package, which `localizer` has checked against the assignment's hash. A
topology that asks for nothing runs on the supervisor's own Python, and waits for its code alone.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

from storm.environment_spec import MANIFEST, MANIFEST_BYTES_MAX, NOT_BUILT, WHEELS, EnvironmentSpec, read_manifest
from storm.errors import PackageError, WorkerStartError
from storm.supervisor.environments import EnvironmentSeen, EnvironmentState
from storm.supervisor.slot import ITS_ENVIRONMENT, BlobsSeen, BlobsState

if TYPE_CHECKING:
    from pathlib import Path

    from storm.ids import TopologyId
    from storm.supervisor.assignment_sync import LocalAssignment

WRONG_PYTHON_RETRY_SECS = 60.0  # this host gets no other Python while its supervisor runs


class Code(Protocol):
    """The code of topologies: `localizer.Localizer`, or a model of it."""

    def request(self, assignment: LocalAssignment) -> None: ...
    def look(self, assignment: LocalAssignment) -> BlobsSeen: ...
    def keep(self, topology_ids: frozenset[TopologyId]) -> None: ...
    def own_timeout(self, topology_id: TopologyId) -> float | None: ...
    def code_dir(self, topology_id: TopologyId) -> Path:
        """Where its package is unpacked, once its code is ready."""


class Environments(Protocol):
    """Environments by their keys: `environment_store.EnvironmentStore`, or a model of it."""

    def want(self, spec: EnvironmentSpec, wheels_dir: Path) -> None: ...
    def look(self, key: str) -> EnvironmentSeen: ...
    def use(self, keys: frozenset[str]) -> None: ...
    def make_room(self) -> bool: ...
    def python(self, key: str) -> Path: ...


class _Needs(NamedTuple):
    key: str
    spec: EnvironmentSpec


class PreparedCode:
    """Implements `linked_blobs.RunnableCode`. `python_version` is this host's, "3.11"."""

    def __init__(self, code: Code, environments: Environments, python_version: str) -> None:
        self._code = code
        self._environments = environments
        self._python_version = python_version
        # None: it runs on the supervisor's Python. A lock may have megabytes, and slots look often.
        self._known: dict[TopologyId, _Needs | None] = {}

    def request(self, assignment: LocalAssignment) -> None:
        """Bring code and environment here, or begin again where that failed."""
        self._code.request(assignment)
        if self._code.look(assignment).state is BlobsState.READY:
            self._want(assignment.topology_id)

    def look(self, assignment: LocalAssignment) -> BlobsSeen:
        """Whether both are here, and why not if that failed."""
        code = self._code.look(assignment)
        if code.state is not BlobsState.READY:
            return code
        try:
            needs = self._needs(assignment.topology_id)
        except PackageError as error:
            return _unbuilt(str(error))
        if needs is None:
            return code
        if needs.spec.python != self._python_version:
            why = f"it is packed for Python {needs.spec.python}, and this host has {self._python_version}"
            return _unbuilt(why, retry_secs=WRONG_PYTHON_RETRY_SECS)
        seen = self._environments.look(needs.key)
        if seen.state is not EnvironmentState.FAILED:  # also one that is there: who left it may have been its only user
            self._want(assignment.topology_id)
            seen = self._environments.look(needs.key)
        return _as_blobs(seen)

    def keep(self, topology_ids: frozenset[TopologyId]) -> None:
        """Remove the code of all other topologies, and in time the environments that only they used."""
        for topology_id in topology_ids:
            if self._code.code_dir(topology_id).is_dir():  # as a former supervisor left it, with its workers
                with contextlib.suppress(PackageError):
                    self._needs(topology_id)
        self._known = {topology_id: needs for topology_id, needs in self._known.items() if topology_id in topology_ids}
        self._code.keep(topology_ids)
        self._environments.use(frozenset(needs.key for needs in self._known.values() if needs is not None))
        for topology_id in self._known:  # after an upgrade of Storm: before its next worker waits for it
            self._want(topology_id)

    def own_timeout(self, topology_id: TopologyId) -> float | None:
        """How many seconds a topology, whose code is here, lets its workers be silent; None: its conf does not say."""
        return self._code.own_timeout(topology_id)

    def make_room(self) -> bool:
        """Remove environments that no topology here needs, and what building kept; whether there was anything."""
        return self._environments.make_room()

    def python(self, topology_id: TopologyId) -> Path | None:
        """The Python of its environment; None: it runs on the supervisor's. Raises WorkerStartError."""
        try:
            needs = self._needs(topology_id)
        except PackageError as error:
            raise WorkerStartError(str(error)) from error
        return None if needs is None else self._environments.python(needs.key)

    def _want(self, topology_id: TopologyId) -> None:
        with contextlib.suppress(PackageError):  # told when a slot looks
            needs = self._needs(topology_id)
            if needs is not None and needs.spec.python == self._python_version:
                self._environments.want(needs.spec, self._code.code_dir(topology_id) / WHEELS)

    def _needs(self, topology_id: TopologyId) -> _Needs | None:
        """What its package says, which is the same for all its life. Raises PackageError."""
        if topology_id not in self._known:
            spec = _read(self._code.code_dir(topology_id) / MANIFEST)
            self._known[topology_id] = None if spec is None else _Needs(spec.key, spec)
        return self._known[topology_id]


def _read(file: Path) -> EnvironmentSpec | None:
    try:
        with file.open("rb") as opened:
            data = opened.read(MANIFEST_BYTES_MAX + 1)
    except FileNotFoundError:  # a package that another client made
        return None
    except OSError as error:
        raise PackageError(f"{file} cannot be read: {error.strerror}") from None
    if len(data) > MANIFEST_BYTES_MAX:
        raise PackageError(f"its manifest has more than {MANIFEST_BYTES_MAX:,} bytes")
    return read_manifest(data)


def _as_blobs(seen: EnvironmentSeen) -> BlobsSeen:
    match seen.state:
        case EnvironmentState.READY:
            return BlobsSeen(BlobsState.READY)
        case EnvironmentState.FAILED:
            return _unbuilt(seen.reason, seen.last_lines, seen.retry_secs)
        case _:
            return BlobsSeen(BlobsState.PENDING, waits_for=ITS_ENVIRONMENT)


def _unbuilt(why: str, last_lines: str = "", retry_secs: float = 0.0) -> BlobsSeen:
    return BlobsSeen(BlobsState.FAILED, f"{NOT_BUILT}: {why}", last_lines, retry_secs, lacks_environment=True)
