"""The cluster's state as records: typed reads and writes over a `StateStorage`.

A node whose bytes cannot be read is logged once and then treated as absent, so that one bad node harms one
object and no daemon. It still counts in the list of ids: whoever would *remove* something because a record
is None must ask whether its id is gone from the list too.

The leader's writes (storm bases, assignments, drains, log configs, people's blobs, the cluster's id, removals) go
through the `fence` that its election gives, so that one that lost leadership without noticing changes nothing.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from storm.cluster import paths, record_codec
from storm.cluster.records import (
    Assignment,
    BlobReplica,
    Drain,
    ErrorInfo,
    LogConfig,
    NimbusInfo,
    StormBase,
    SupervisorInfo,
    UserBlob,
)
from storm.errors import BadVersionError, NodeExistsError, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.cluster.storage import StateStorage, Versioned, Watch
    from storm.ids import ComponentId, NodeId, TopologyId

logger = logging.getLogger(__name__)

ERRORS_KEPT = 10  # per component, as in Storm
ERROR_CHARS_MAX = 32_768  # a longer text keeps its end, where a traceback names the error
UNREADABLE_NOTED_MAX = 1_000  # nodes of which it is remembered that they were logged

R = TypeVar("R", StormBase, Assignment, SupervisorInfo, Drain, NimbusInfo, ErrorInfo, LogConfig, UserBlob)


class StormClusterState:
    """What daemons share. Every method may raise CoordinationError; watches only wake (see `storage.Watch`).

    `fence` is asked for the leader's fence at each of its writes; it may raise NotLeaderError. None: no fence.
    """

    def __init__(self, storage: StateStorage, fence: Callable[[], str] | None = None) -> None:
        self._storage = storage
        self._fence = fence
        self._unreadable: dict[str, bytes] = {}  # path -> digest of the bytes that were logged

    def prepare(self) -> None:
        """Create the top nodes where they are missing."""
        for path in paths.TOP_NODES:
            try:
                self._storage.create(path, b"")
            except NodeExistsError:
                continue

    # Topologies

    def topology_ids(self, watch: Watch | None = None) -> list[TopologyId]:
        """Every topology's id, sorted; also of those whose record cannot be read."""
        return self._names(paths.STORMS, watch)

    def storm_base(self, topology_id: TopologyId, watch: Watch | None = None) -> StormBase | None:
        """None: no such topology, or its record cannot be read."""
        found = self._storm_base(topology_id, watch)
        return None if found is None else found[0]

    def storm_base_versioned(self, topology_id: TopologyId) -> tuple[StormBase, int] | None:
        """The record and the version that `update_storm_base` wants."""
        return self._storm_base(topology_id, None)

    def create_storm_base(self, base: StormBase) -> None:
        """Raises NodeExistsError, RecordError (too large), NotLeaderError, BadVersionError (the fence)."""
        self._leading().create(paths.storm(base.topology_id), record_codec.encode(base))

    def update_storm_base(self, base: StormBase, version: int) -> None:
        """Replace the record that was read with `version`.

        Raises BadVersionError, NoNodeError, RecordError, NotLeaderError.
        """
        self._leading().set(paths.storm(base.topology_id), record_codec.encode(base), version)

    def remove_storm_base(self, topology_id: TopologyId) -> None:
        self._leading().delete(paths.storm(topology_id))

    def rewrite_other_versions(self) -> None:
        """Write the records that stay in this release's version where a leader of another one wrote them.

        So that a release that neighbours this one reads them, even if they never change. Raises NotLeaderError.
        """
        for topology_id in self.topology_ids():
            self._rewrite(StormBase, paths.storm(topology_id))
        for topology_id in self.assignment_ids():
            self._rewrite(Assignment, paths.assignment(topology_id))
        for key in self.user_blob_keys():
            self._rewrite(UserBlob, paths.user_blob(key))

    # Assignments

    def assignment_ids(self, watch: Watch | None = None) -> list[TopologyId]:
        """The ids of topologies with an assignment, sorted; also of those whose record cannot be read."""
        return self._names(paths.ASSIGNMENTS, watch)

    def assignment(self, topology_id: TopologyId, watch: Watch | None = None) -> Assignment | None:
        """None: not assigned, or its record cannot be read."""
        path = paths.assignment(topology_id)
        found = self._decoded(Assignment, path, self._storage.get(path, watch))
        return self._own(path, found, topology_id, found.topology_id) if found is not None else None

    def put_assignment(self, assignment: Assignment) -> None:
        """Write it, if its version is higher than that of the one there; an unreadable one is replaced.

        Raises BadVersionError, RecordError, NotLeaderError.
        """
        path = paths.assignment(assignment.topology_id)
        data = record_codec.encode(assignment)
        storage = self._leading()
        there = self._storage.get(path)
        if there is None:
            try:
                storage.create(path, data)
            except NodeExistsError as e:
                raise BadVersionError(f"{path} was written by another Nimbus in this moment.") from e
            return
        present = self._decoded(Assignment, path, there)
        if present is not None and present.version >= assignment.version:
            raise BadVersionError(
                f"{path} has assignment {present.version}; {assignment.version} is not newer and was not written."
            )
        storage.set(path, data, there.version)

    def remove_assignment(self, topology_id: TopologyId) -> None:
        self._leading().delete(paths.assignment(topology_id))

    # Supervisors

    def supervisor_ids(self, watch: Watch | None = None) -> list[NodeId]:
        return self._names(paths.SUPERVISORS, watch)

    def supervisors(self, watch: Watch | None = None) -> dict[NodeId, SupervisorInfo]:
        """The live supervisors. The watch fires when one comes or goes, not when one changes."""
        found = {}
        for node_id in self.supervisor_ids(watch):
            path = paths.supervisor(node_id)
            info = self._decoded(SupervisorInfo, path, self._storage.get(path))
            if info is not None and (info := self._own(path, info, node_id, info.node_id)) is not None:
                found[node_id] = info
        return found

    def supervisor(self, node_id: NodeId) -> tuple[SupervisorInfo, int] | None:
        """The record of a live supervisor, and its version; None: there is none, or it cannot be read."""
        path = paths.supervisor(node_id)
        there = self._storage.get(path)
        info = self._decoded(SupervisorInfo, path, there)
        if there is None or info is None:
            return None
        return None if self._own(path, info, node_id, info.node_id) is None else (info, there.version)

    def put_supervisor(self, info: SupervisorInfo) -> None:
        """Say that this supervisor lives, until the session ends."""
        self._storage.put_ephemeral(paths.supervisor(info.node_id), record_codec.encode(info))

    def remove_supervisor(self, node_id: NodeId) -> None:
        self._storage.delete(paths.supervisor(node_id))

    # Drained supervisors

    def drains(self) -> dict[NodeId, Drain]:
        """The supervisors that are drained, whether or not they live."""
        found = {}
        for node_id in self._names(paths.DRAINS, None):
            path = paths.drain(node_id)
            drain = self._decoded(Drain, path, self._storage.get(path))
            if drain is not None and (drain := self._own(path, drain, node_id, drain.node_id)) is not None:
                found[node_id] = drain
        return found

    def put_drain(self, drain: Drain) -> None:
        """Raises NotLeaderError, BadVersionError (the fence)."""
        self._leading().put(paths.drain(drain.node_id), record_codec.encode(drain))

    def remove_drain(self, node_id: NodeId) -> None:
        self._leading().delete(paths.drain(node_id))

    def restart_turn(self, topology_id: TopologyId, watch: Watch | None = None) -> str | None:
        """Who may start workers of the topology again that run well; None: nobody has the turn."""
        there = self._storage.get(paths.restart_turn(topology_id), watch)
        return None if there is None else there.data.decode(errors="replace")

    def take_restart_turn(self, topology_id: TopologyId, holder: str) -> bool:
        """Take the turn, until it is given or the session ends; False: somebody else has it."""
        try:
            self._storage.create(paths.restart_turn(topology_id), holder.encode(), ephemeral=True)
        except NodeExistsError:
            return False
        return True

    def give_restart_turn(self, topology_id: TopologyId) -> None:
        """Let the next one have it."""
        self._storage.delete(paths.restart_turn(topology_id))

    # Errors

    def report_error(self, topology_id: TopologyId, component_id: ComponentId, error: ErrorInfo) -> None:
        """Add an error to the component's last ten."""
        data = record_codec.encode(_storable(error))
        # The last error is written first: a component is known to have errors by it.
        self._storage.put(paths.last_error(topology_id, component_id), data)
        directory = paths.component_errors(topology_id, component_id)
        self._storage.create(f"{directory}/e", data, sequential=True)
        for node in self._error_nodes(directory)[ERRORS_KEPT:]:
            self._storage.delete(f"{directory}/{node}")

    def errors(self, topology_id: TopologyId, component_id: ComponentId) -> list[ErrorInfo]:
        """The component's last errors, newest first."""
        directory = paths.component_errors(topology_id, component_id)
        nodes = [f"{directory}/{node}" for node in self._error_nodes(directory)]
        read = (self._decoded(ErrorInfo, path, self._storage.get(path)) for path in nodes)
        return [error for error in read if error is not None]

    def last_error(self, topology_id: TopologyId, component_id: ComponentId) -> ErrorInfo | None:
        path = paths.last_error(topology_id, component_id)
        return self._decoded(ErrorInfo, path, self._storage.get(path))

    def error_components(self, topology_id: TopologyId) -> list[ComponentId]:
        """The components that reported errors, sorted."""
        return paths.components_with_errors(self._storage.children(paths.topology_errors(topology_id)))

    def remove_errors(self, topology_id: TopologyId) -> None:
        self._leading().delete(paths.topology_errors(topology_id), recursive=True)

    def error_topology_ids(self) -> list[TopologyId]:
        """The topologies that have errors, also ones that are gone."""
        return self._names(paths.ERRORS, None)

    # Log levels

    def log_config(self, topology_id: TopologyId, watch: Watch | None = None) -> LogConfig | None:
        path = paths.log_config(topology_id)
        return self._decoded(LogConfig, path, self._storage.get(path, watch))

    def put_log_config(self, topology_id: TopologyId, config: LogConfig) -> None:
        self._leading().put(paths.log_config(topology_id), record_codec.encode(config))

    def remove_log_config(self, topology_id: TopologyId) -> None:
        self._leading().delete(paths.log_config(topology_id))

    # Nimbuses

    def put_nimbus(self, info: NimbusInfo) -> None:
        """Say that this Nimbus lives, until the session ends."""
        self._storage.put_ephemeral(paths.nimbus(info.host, info.port), record_codec.encode(info))

    def nimbuses(self) -> list[NimbusInfo]:
        """The live Nimbuses by host and port. Which one leads, the election knows: `is_leader` is False here."""
        nodes = [f"{paths.NIMBUSES}/{node}" for node in self._storage.children(paths.NIMBUSES)]
        read = (self._decoded(NimbusInfo, path, self._storage.get(path)) for path in nodes)
        return sorted((info for info in read if info is not None), key=lambda info: (info.host, info.port))

    # Blobs

    def blob_keys(self, watch: Watch | None = None) -> list[str]:
        """The keys of blobs that some Nimbus has announced, sorted; also where no live one holds them now."""
        return self._names(paths.BLOBSTORE, watch)

    def blob_replicas(self, key: str, watch: Watch | None = None) -> list[BlobReplica]:
        """Which live Nimbuses hold the blob, and with which content."""
        return [BlobReplica(*paths.replica_of(node)) for node in self._storage.children(paths.blob(key), watch)]

    def put_blob_replica(self, key: str, replica: BlobReplica) -> None:
        """Say that this Nimbus holds the blob, until the session ends."""
        self._storage.put_ephemeral(paths.blob_replica(key, *replica), b"")

    def remove_blob_replica(self, key: str, replica: BlobReplica) -> None:
        self._storage.delete(paths.blob_replica(key, *replica))

    def remove_blob(self, key: str) -> None:
        """Nobody needs the blob any more."""
        self._leading().delete(paths.blob(key), recursive=True)

    def user_blob_keys(self) -> list[str]:
        """The keys of the blobs that people made, sorted; also of those whose record cannot be read."""
        return self._names(paths.USER_BLOBS, None)

    def user_blob(self, key: str, watch: Watch | None = None) -> UserBlob | None:
        """None: people made no such blob, or its record cannot be read."""
        path = paths.user_blob(key)
        found = self._decoded(UserBlob, path, self._storage.get(path, watch))
        return self._own(path, found, key, found.key) if found is not None else None

    def put_user_blob(self, blob: UserBlob) -> None:
        """Raises NotLeaderError, BadVersionError (the fence)."""
        self._leading().put(paths.user_blob(blob.key), record_codec.encode(blob))

    def remove_user_blob(self, key: str) -> None:
        """Raises NotLeaderError, BadVersionError (the fence)."""
        self._leading().delete(paths.user_blob(key))

    # The cluster itself

    def cluster_id(self) -> str | None:
        """What the first leader called this cluster; None: there was none yet, or ZooKeeper's data was lost."""
        there = self._storage.get(paths.CLUSTER_ID)
        return None if there is None else there.data.decode(errors="replace")

    def create_cluster_id(self, cluster_id: str) -> None:
        """Raises NodeExistsError, NotLeaderError, BadVersionError (the fence)."""
        self._leading().create(paths.CLUSTER_ID, cluster_id.encode())

    def _storm_base(self, topology_id: TopologyId, watch: Watch | None) -> tuple[StormBase, int] | None:
        path = paths.storm(topology_id)
        there = self._storage.get(path, watch)
        base = self._decoded(StormBase, path, there)
        if there is None or base is None:
            return None
        return None if self._own(path, base, topology_id, base.topology_id) is None else (base, there.version)

    def _names(self, path: str, watch: Watch | None) -> list[str]:
        return sorted(paths.name_of(node) for node in self._storage.children(path, watch))

    def _error_nodes(self, directory: str) -> list[str]:
        """Names of its error nodes, newest first."""
        numbered = [(paths.sequence_number(node), node) for node in self._storage.children(directory)]
        return [node for _, node in sorted(((n, node) for n, node in numbered if n is not None), reverse=True)]

    def _leading(self) -> StateStorage:
        return self._storage if self._fence is None else self._storage.fenced(self._fence())

    def _own(self, path: str, record: R, wanted_id: str, found_id: str) -> R | None:
        if wanted_id == found_id:
            self._unreadable.pop(path, None)
            return record
        self._note_unreadable(path, found_id.encode(errors="replace"), f"{path} holds the record of {found_id!r}.")
        return None

    def _rewrite(self, record_type: type[R], path: str) -> None:
        there = self._storage.get(path)
        record = self._decoded(record_type, path, there)
        if there is not None and record is not None and not record_codec.is_as_written(record_type, there.data):
            self._leading().set(path, record_codec.encode(record), there.version)

    def _decoded(self, record_type: type[R], path: str, there: Versioned | None) -> R | None:
        if there is None:
            return None
        try:
            return record_codec.decode(record_type, there.data, path)
        except RecordError as e:
            self._note_unreadable(path, hashlib.sha256(there.data).digest(), str(e))
            return None

    def _note_unreadable(self, path: str, digest: bytes, why: str) -> None:
        if self._unreadable.get(path) == digest:
            return
        if len(self._unreadable) >= UNREADABLE_NOTED_MAX:
            self._unreadable.clear()
        self._unreadable[path] = digest
        logger.error("%s It is treated as absent.", why)


def _storable(error: ErrorInfo) -> ErrorInfo:
    """The same error with a text that fits a node and is valid Unicode."""
    text = error.text.encode("utf-8", "backslashreplace").decode()
    if len(text) > ERROR_CHARS_MAX:
        text = f"({len(text) - ERROR_CHARS_MAX:,} characters left out) ...{text[-ERROR_CHARS_MAX:]}"
    return replace(error, text=text)
