from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

import msgspec
import pytest
from state_storage_contract import Waker

from storm.cluster import paths, record_codec
from storm.cluster.memory import MemoryStorage, MemoryTree
from storm.cluster.records import (
    Assignment,
    BlobReplica,
    Drain,
    ErrorInfo,
    LogConfig,
    LoggerLevel,
    NimbusInfo,
    StormBase,
    SupervisorInfo,
    TopologyStatus,
    UserBlob,
)
from storm.cluster.storm_cluster_state import ERROR_CHARS_MAX, ERRORS_KEPT, StormClusterState
from storm.errors import BadVersionError, NodeExistsError, NoNodeError, NotLeaderError, RecordError
from storm.ids import ExecutorId, WorkerSlot

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "wc-1-1700000000"
BASE = StormBase(ID, "wc", TopologyStatus.ACTIVE, 2, {"split": 2}, 1_700_000_000)
SLOT = WorkerSlot("node-1", 6700)
ASSIGNMENT = Assignment(ID, 1, {ExecutorId(1, 2): SLOT}, {ExecutorId(1, 2): 1}, {"node-1": "h"}, {SLOT: 1})
SUPERVISOR = SupervisorInfo("node-1", "host-1", (6700, 6701), (6700,), 6628, 1_700_000_000, "0.1.0")


@pytest.fixture
def tree() -> MemoryTree:
    return MemoryTree()


@pytest.fixture
def storage(tree: MemoryTree) -> MemoryStorage:
    return tree.session()


@pytest.fixture
def state(storage: MemoryStorage) -> StormClusterState:
    made = StormClusterState(storage)
    made.prepare()
    return made


def test_preparing_again_changes_nothing(storage: MemoryStorage, state: StormClusterState) -> None:
    state.create_storm_base(BASE)
    state.prepare()
    assert state.topology_ids() == [ID]
    for path in paths.TOP_NODES:
        assert storage.get(path) is not None


def test_one_supervisors_record_comes_with_its_version(storage: MemoryStorage, state: StormClusterState) -> None:
    assert state.supervisor("node-1") is None
    for version in range(2):
        state.put_supervisor(SUPERVISOR)
        assert state.supervisor("node-1") == (SUPERVISOR, version)
    storage.put_ephemeral(paths.supervisor("node-1"), b"garbage")
    assert state.supervisor("node-1") is None
    storage.put_ephemeral(paths.supervisor("node-1"), record_codec.encode(dataclasses.replace(SUPERVISOR, node_id="x")))
    assert state.supervisor("node-1") is None


def test_an_empty_cluster_answers_nothing(storage: MemoryStorage) -> None:
    state = StormClusterState(storage)
    assert state.topology_ids() == state.assignment_ids() == state.supervisor_ids() == state.nimbuses() == []
    assert state.supervisors() == {}
    assert state.storm_base(ID) is None
    assert state.assignment(ID) is None
    assert state.log_config(ID) is None
    assert state.errors(ID, "split") == []
    assert state.last_error(ID, "split") is None
    state.remove_storm_base(ID)
    state.remove_assignment(ID)
    state.remove_errors(ID)


# Topologies


def test_a_storm_base_is_created_updated_and_removed(state: StormClusterState) -> None:
    state.create_storm_base(BASE)
    with pytest.raises(NodeExistsError):
        state.create_storm_base(BASE)
    found = state.storm_base_versioned(ID)
    assert found == (BASE, 0)
    killed = dataclasses.replace(BASE, status=TopologyStatus.KILLED)
    state.update_storm_base(killed, 0)
    assert state.storm_base(ID) == killed
    with pytest.raises(BadVersionError):
        state.update_storm_base(BASE, 0)
    state.remove_storm_base(ID)
    assert state.topology_ids() == []
    with pytest.raises(NoNodeError):
        state.update_storm_base(BASE, 1)


def test_watches_wake_who_reads(tree: MemoryTree, state: StormClusterState) -> None:
    other = StormClusterState(tree.session())
    wakers = [Waker() for _ in range(6)]
    state.topology_ids(wakers[0])
    state.storm_base(ID, wakers[1])
    state.assignment_ids(wakers[2])
    state.assignment(ID, wakers[3])
    state.supervisors(wakers[4])
    state.log_config(ID, wakers[5])
    other.create_storm_base(BASE)
    other.put_assignment(ASSIGNMENT)
    other.put_supervisor(SUPERVISOR)
    other.put_log_config(ID, LogConfig({"ROOT": LoggerLevel("DEBUG")}))
    assert [waker.calls for waker in wakers] == [1] * 6


def test_a_topology_whose_name_has_odd_characters_is_like_any(state: StormClusterState) -> None:
    odd = dataclasses.replace(BASE, topology_id="größe 100% +~*-1-1")
    state.create_storm_base(odd)
    assert state.topology_ids() == [odd.topology_id]
    assert state.storm_base(odd.topology_id) == odd


# Assignments


def test_an_assignment_replaces_an_older_one_only(state: StormClusterState) -> None:
    state.put_assignment(ASSIGNMENT)
    newer = dataclasses.replace(ASSIGNMENT, version=2)
    state.put_assignment(newer)
    for stale in (newer, ASSIGNMENT):
        with pytest.raises(BadVersionError, match="not newer"):
            state.put_assignment(stale)
    assert state.assignment(ID) == newer
    state.remove_assignment(ID)
    assert state.assignment_ids() == []


def test_an_assignment_that_another_writes_meanwhile_wins(tree: MemoryTree, state: StormClusterState) -> None:
    other = StormClusterState(tree.session())
    raced = []

    def race(_storage: MemoryStorage, method: str, _path: str) -> None:
        if method in {"create", "set"} and not raced:
            raced.append(method)
            other.put_assignment(dataclasses.replace(ASSIGNMENT, version=5 * len(state.assignment_ids()) + 5))

    for method in ("create", "set"):
        raced.clear()
        tree.faults = race
        with pytest.raises(BadVersionError):
            state.put_assignment(dataclasses.replace(ASSIGNMENT, version=9))
        assert raced == [method]
    found = state.assignment(ID)
    assert found is not None
    assert found.version == 10


def test_an_unreadable_assignment_is_replaced(storage: MemoryStorage, state: StormClusterState) -> None:
    storage.put(paths.assignment(ID), b"garbage")
    assert state.assignment(ID) is None
    state.put_assignment(ASSIGNMENT)
    assert state.assignment(ID) == ASSIGNMENT


# Supervisors and Nimbuses


def test_a_supervisor_lives_as_long_as_its_session(tree: MemoryTree, state: StormClusterState) -> None:
    session = tree.session()
    other = StormClusterState(session)
    other.put_supervisor(SUPERVISOR)
    changed = dataclasses.replace(SUPERVISOR, used_ports=())
    other.put_supervisor(changed)
    assert state.supervisors() == {"node-1": changed}
    tree.expire(session)
    assert state.supervisor_ids() == []
    other.put_supervisor(changed)
    other.remove_supervisor("node-1")
    assert state.supervisors() == {}


def test_nimbuses_are_listed_by_address(tree: MemoryTree, state: StormClusterState) -> None:
    infos = [NimbusInfo(host, port, 1, "0.1.0") for host, port in (("b", 1), ("a", 2), ("a", 1))]
    for info in infos:
        StormClusterState(tree.session()).put_nimbus(info)
    assert state.nimbuses() == sorted(infos, key=lambda info: (info.host, info.port))


# Errors


def test_the_last_ten_errors_are_kept_newest_first(storage: MemoryStorage, state: StormClusterState) -> None:
    reported = [ErrorInfo(f"error {i}", i, "h", 6700) for i in range(ERRORS_KEPT + 3)]
    for error in reported:
        state.report_error(ID, "split", error)
    assert state.errors(ID, "split") == reported[: -ERRORS_KEPT - 1 : -1]
    assert state.last_error(ID, "split") == reported[-1]
    assert len(storage.children(paths.component_errors(ID, "split"))) == ERRORS_KEPT


def test_errors_are_found_by_topology_and_component(state: StormClusterState) -> None:
    error = ErrorInfo("e", 1, "h", 1)
    for topology_id, component_id in ((ID, "split"), (ID, "a/b"), (ID, "x-last-error"), ("other", "__system")):
        state.report_error(topology_id, component_id, error)
    assert state.error_topology_ids() == ["other", ID]
    assert state.error_components(ID) == ["a/b", "split", "x-last-error"]
    assert state.errors(ID, "a/b") == [error]
    state.remove_errors(ID)
    assert state.error_components(ID) == []
    assert state.error_topology_ids() == ["other"]


def test_an_error_of_any_size_and_any_characters_can_be_reported(state: StormClusterState) -> None:
    text = "start \ud800" + "x" * (2 * ERROR_CHARS_MAX) + "\ndie Größe ist falsch"
    state.report_error(ID, "split", ErrorInfo(text, 1, "h", 1, "ended"))
    error = state.last_error(ID, "split")
    assert error is not None
    assert error.text.endswith("die Größe ist falsch")
    assert "characters left out" in error.text
    assert error.reason == "ended"
    assert len(error.text) < ERROR_CHARS_MAX + 100


# Log levels


def test_log_levels_are_put_and_removed(state: StormClusterState) -> None:
    for config in (LogConfig(), LogConfig({"ROOT": LoggerLevel("DEBUG", 1_700_000_000, "INFO")})):
        state.put_log_config(ID, config)
        assert state.log_config(ID) == config
    state.remove_log_config(ID)
    assert state.log_config(ID) is None


# Bad nodes

GARBAGE = (
    b"", b"\x00", b"garbage", record_codec.encode(ErrorInfo("e", 1, "h", 1))[:-1],
    record_codec.encode(LogConfig()).replace(b"LogConfig\x01", b"LogConfig\x02"), b"\x91" * 10_000,
)  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_node_that_cannot_be_read_harms_itself_only(
    storage: MemoryStorage, state: StormClusterState, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    state.create_storm_base(BASE)
    state.put_assignment(ASSIGNMENT)
    state.put_supervisor(SUPERVISOR)
    state.report_error(ID, "split", ErrorInfo("fine", 1, "h", 1))
    bad = [
        paths.storm("bad"), paths.assignment("bad"), paths.supervisor("bad"), paths.log_config("bad"),
        paths.nimbus("bad", 1), paths.last_error(ID, "bad"), paths.component_errors(ID, "split") + "/e0000000099",
    ]  # fmt: skip
    for path in bad:
        storage.put(path, garbage)
    for _ in range(3):
        assert state.topology_ids() == state.assignment_ids() == ["bad", ID]
        assert state.storm_base("bad") is state.assignment("bad") is state.log_config("bad") is None
        assert state.storm_base_versioned("bad") is None
        assert state.storm_base(ID) == BASE
        assert state.assignment(ID) == ASSIGNMENT
        assert state.supervisor_ids() == ["bad", "node-1"]
        assert state.supervisors() == {"node-1": SUPERVISOR}
        assert state.nimbuses() == []
        assert state.last_error(ID, "bad") is None
        assert [error.text for error in state.errors(ID, "split")] == ["fine"]
    logged = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(logged) == len(bad)
    for path in bad:
        assert sum(path in line for line in logged) == 1


def test_a_record_under_anothers_name_is_not_taken(storage: MemoryStorage, state: StormClusterState) -> None:
    storage.put(paths.storm("other"), record_codec.encode(BASE))
    storage.put(paths.assignment("other"), record_codec.encode(ASSIGNMENT))
    storage.put(paths.supervisor("other"), record_codec.encode(SUPERVISOR))
    assert state.storm_base("other") is None
    assert state.assignment("other") is None
    assert state.supervisors() == {}


def test_a_node_that_goes_between_list_and_read_is_absent(tree: MemoryTree, state: StormClusterState) -> None:
    other = StormClusterState(tree.session())
    state.put_supervisor(SUPERVISOR)

    def vanish(_storage: MemoryStorage, method: str, _path: str) -> None:
        if method == "get":
            tree.faults = None
            other.remove_supervisor("node-1")

    tree.faults = vanish
    assert state.supervisors() == {}


def test_a_record_that_is_too_large_is_refused_before_it_is_written(state: StormClusterState) -> None:
    large = dataclasses.replace(BASE, component_executors={"x" * 100 + str(i): 1 for i in range(10_000)})
    with pytest.raises(RecordError, match="fewer executors"):
        state.create_storm_base(large)
    assert state.topology_ids() == []


# Blobs, and the cluster itself


def test_who_holds_a_blob_is_known_by_content_and_as_long_as_it_lives(tree: MemoryTree) -> None:
    leader, other = tree.session(), tree.session()
    first, second = StormClusterState(leader), StormClusterState(other)
    assert first.blob_keys() == first.blob_replicas("a b.jar") == []
    first.put_blob_replica("a b.jar", BlobReplica("nimbus-1:6627", "aa"))
    second.put_blob_replica("a b.jar", BlobReplica("::1:6627", "bb"))
    assert first.blob_keys() == ["a b.jar"]
    assert set(second.blob_replicas("a b.jar")) == {
        BlobReplica("nimbus-1:6627", "aa"),
        BlobReplica("::1:6627", "bb"),
    }
    second.remove_blob_replica("a b.jar", BlobReplica("::1:6627", "bb"))
    assert first.blob_replicas("a b.jar") == [BlobReplica("nimbus-1:6627", "aa")]
    leader.close()
    assert second.blob_keys() == ["a b.jar"]
    assert second.blob_replicas("a b.jar") == []
    second.remove_blob("a b.jar")
    assert second.blob_keys() == []


def test_watches_tell_of_new_blobs_and_of_new_holders(storage: MemoryStorage, state: StormClusterState) -> None:
    keys, replicas = Waker(), Waker()
    state.blob_keys(keys)
    state.blob_replicas("k", replicas)
    state.put_blob_replica("k", BlobReplica("a:1", "aa"))
    assert (keys.calls, replicas.calls) == (1, 1)
    state.blob_replicas("k", replicas)
    state.put_blob_replica("k", BlobReplica("b:1", "aa"))
    assert replicas.calls == 2


def test_the_blobs_of_people_are_read_by_key(storage: MemoryStorage, state: StormClusterState) -> None:
    assert (state.user_blob_keys(), state.user_blob("a b.txt")) == ([], None)
    watch = Waker()
    assert state.user_blob("words.txt", watch) is None
    for blob in (USER_BLOB, dataclasses.replace(USER_BLOB, key="a b.txt")):
        state.put_user_blob(blob)
        assert state.user_blob(blob.key) == blob
    assert (state.user_blob_keys(), watch.calls) == (["a b.txt", "words.txt"], 1)
    storage.put(paths.user_blob("words.txt"), b"nonsense")
    assert (state.user_blob_keys(), state.user_blob("words.txt")) == (["a b.txt", "words.txt"], None)
    state.remove_user_blob("words.txt")
    assert state.user_blob_keys() == ["a b.txt"]


def test_the_turn_is_that_of_one_until_it_is_given_or_its_session_ends(
    tree: MemoryTree, state: StormClusterState
) -> None:
    session = tree.session()
    other, waker = StormClusterState(session), Waker()
    assert other.restart_turn(ID) is None
    assert other.take_restart_turn(ID, "other")
    assert not state.take_restart_turn(ID, "me")
    assert state.restart_turn(ID, waker) == "other"
    other.give_restart_turn(ID)
    assert waker.calls == 1
    assert other.take_restart_turn(ID, "other")
    tree.expire(session)
    assert state.take_restart_turn(ID, "me")
    assert state.restart_turn(ID) == "me"


def test_a_cluster_is_named_once(state: StormClusterState) -> None:
    assert state.cluster_id() is None
    state.create_cluster_id("nimbus-1:6627-17")
    with pytest.raises(NodeExistsError):
        state.create_cluster_id("another")
    assert state.cluster_id() == "nimbus-1:6627-17"


# Fences


ERROR = ErrorInfo("e", 1, "h", 1)
NIMBUS = NimbusInfo("nimbus-1", 6627, 1, "0.1.0")
REPLICA = BlobReplica("nimbus-1:6627", "aa")
USER_BLOB = UserBlob("words.txt", 1, "aa", 3, 1_700_000_000)

#: Every method of a StormClusterState, with a call of it, by who may write with it. One that is new belongs here.
LEADERS_WRITES: dict[str, Callable[[StormClusterState], object]] = {
    "create_storm_base": lambda state: state.create_storm_base(dataclasses.replace(BASE, topology_id="new")),
    "update_storm_base": lambda state: state.update_storm_base(dataclasses.replace(BASE, num_workers=9), 0),
    "remove_storm_base": lambda state: state.remove_storm_base(ID),
    "rewrite_other_versions": lambda state: state.rewrite_other_versions(),
    "put_assignment": lambda state: state.put_assignment(dataclasses.replace(ASSIGNMENT, version=2)),
    "remove_assignment": lambda state: state.remove_assignment(ID),
    "put_drain": lambda state: state.put_drain(Drain("node-2", "h", 1)),
    "remove_drain": lambda state: state.remove_drain("node-1"),
    "put_log_config": lambda state: state.put_log_config(ID, LogConfig()),
    "remove_log_config": lambda state: state.remove_log_config(ID),
    "remove_errors": lambda state: state.remove_errors(ID),
    "remove_blob": lambda state: state.remove_blob("k"),
    "put_user_blob": lambda state: state.put_user_blob(dataclasses.replace(USER_BLOB, version=2)),
    "remove_user_blob": lambda state: state.remove_user_blob("words.txt"),
    "create_cluster_id": lambda state: state.create_cluster_id("c"),
}
OWN_WRITES: dict[str, Callable[[StormClusterState], object]] = {
    "prepare": lambda state: state.prepare(),
    "put_supervisor": lambda state: state.put_supervisor(SUPERVISOR),
    "remove_supervisor": lambda state: state.remove_supervisor("node-1"),
    "report_error": lambda state: state.report_error(ID, "split", ERROR),
    "put_nimbus": lambda state: state.put_nimbus(NIMBUS),
    "put_blob_replica": lambda state: state.put_blob_replica("k", REPLICA),
    "take_restart_turn": lambda state: state.take_restart_turn(ID, "me"),
    "give_restart_turn": lambda state: state.give_restart_turn(ID),
    "remove_blob_replica": lambda state: state.remove_blob_replica("k", REPLICA),
}
READS: dict[str, Callable[[StormClusterState], object]] = {
    "topology_ids": lambda state: state.topology_ids(),
    "storm_base": lambda state: state.storm_base(ID),
    "storm_base_versioned": lambda state: state.storm_base_versioned(ID),
    "assignment_ids": lambda state: state.assignment_ids(),
    "assignment": lambda state: state.assignment(ID),
    "supervisor": lambda state: state.supervisor("node-1"),
    "supervisor_ids": lambda state: state.supervisor_ids(),
    "supervisors": lambda state: state.supervisors(),
    "drains": lambda state: state.drains(),
    "errors": lambda state: state.errors(ID, "split"),
    "last_error": lambda state: state.last_error(ID, "split"),
    "error_components": lambda state: state.error_components(ID),
    "error_topology_ids": lambda state: state.error_topology_ids(),
    "log_config": lambda state: state.log_config(ID),
    "nimbuses": lambda state: state.nimbuses(),
    "blob_keys": lambda state: state.blob_keys(),
    "user_blob_keys": lambda state: state.user_blob_keys(),
    "user_blob": lambda state: state.user_blob("words.txt"),
    "blob_replicas": lambda state: state.blob_replicas("k"),
    "restart_turn": lambda state: state.restart_turn(ID),
    "cluster_id": lambda state: state.cluster_id(),
}


FENCE = "/leader-lock/a-candidate"


@pytest.fixture
def leading(storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch) -> StormClusterState:
    """The state as a leader sees it, with one of everything; its fence is `FENCE`.

    Its release reads version 2 of an Assignment too, and there is one.
    """
    form = record_codec.FORMATS[Assignment]
    monkeypatch.setitem(record_codec.FORMATS, Assignment, form._replace(also_read={2: lambda fields: fields}))
    storage.create(FENCE, b"")
    state = StormClusterState(storage, fence=lambda: FENCE)
    state.create_storm_base(BASE)
    state.put_assignment(ASSIGNMENT)
    state.put_drain(Drain("node-1", "h", 1))
    state.report_error(ID, "split", ERROR)
    state.put_blob_replica("k", REPLICA)
    state.put_user_blob(USER_BLOB)
    write_as_the_next_release(storage, paths.assignment("of-another-release"), replace_id(ASSIGNMENT))
    return state


def replace_id(assignment: Assignment) -> Assignment:
    return dataclasses.replace(assignment, topology_id="of-another-release")


def write_as_the_next_release(storage: MemoryStorage, path: str, record: Assignment) -> None:
    """The record as a release writes it that reads the present version and writes another, which is read here too."""
    kind = record_codec.FORMATS[Assignment].kind
    storage.create(path, msgspec.msgpack.encode((kind, 2, record)))


def test_a_leader_writes_what_another_release_wrote_in_its_own_version(
    storage: MemoryStorage, leading: StormClusterState
) -> None:
    there = [paths.storm(ID), paths.assignment(ID), paths.assignment("of-another-release")]
    before = [storage.get(path) for path in there]
    leading.rewrite_other_versions()
    after = [storage.get(path) for path in there]
    assert after[:2] == before[:2]
    assert after[2] is not None
    assert after[2].data == record_codec.encode(replace_id(ASSIGNMENT))


def test_every_method_is_a_leaders_write_a_write_of_ones_own_or_a_read() -> None:
    public = {name for name, member in vars(StormClusterState).items() if callable(member) and name[0] != "_"}
    assert public == LEADERS_WRITES.keys() | OWN_WRITES.keys() | READS.keys()


@pytest.mark.parametrize("method", LEADERS_WRITES)
def test_a_leader_whose_term_is_over_changes_nothing(
    tree: MemoryTree, storage: MemoryStorage, leading: StormClusterState, method: str
) -> None:
    storage.delete(FENCE)
    before = {path: (node.data, node.version) for path, node in tree._nodes.items()}
    with pytest.raises(BadVersionError):
        LEADERS_WRITES[method](leading)
    assert {path: (node.data, node.version) for path, node in tree._nodes.items()} == before


@pytest.mark.parametrize("method", LEADERS_WRITES)
def test_a_leader_writes_within_its_term(tree: MemoryTree, leading: StormClusterState, method: str) -> None:
    before = {path: (node.data, node.version) for path, node in tree._nodes.items()}
    LEADERS_WRITES[method](leading)
    after = {path: (node.data, node.version) for path, node in tree._nodes.items()}
    assert after != before or method == "remove_log_config"


@pytest.mark.parametrize("method", READS)
def test_reads_write_nothing(tree: MemoryTree, leading: StormClusterState, method: str) -> None:
    asked: list[str] = []
    tree.faults = lambda storage, operation, path: asked.append(operation)
    READS[method](leading)
    assert set(asked) <= {"get", "children"}


@pytest.mark.parametrize("method", OWN_WRITES)
def test_what_is_ones_own_needs_no_term(storage: MemoryStorage, leading: StormClusterState, method: str) -> None:
    storage.delete(FENCE)
    OWN_WRITES[method](leading)


def test_who_does_not_lead_reads_and_reports_but_does_not_write(storage: MemoryStorage) -> None:
    def not_leading() -> str:
        raise NotLeaderError("not now")

    state = StormClusterState(storage, fence=not_leading)
    state.prepare()
    state.put_supervisor(SUPERVISOR)
    state.report_error(ID, "split", ErrorInfo("e", 1, "h", 1))
    assert state.topology_ids() == []
    with pytest.raises(NotLeaderError):
        state.create_storm_base(BASE)
