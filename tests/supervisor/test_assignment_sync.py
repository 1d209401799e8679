from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.cluster.records import Assignment
from storm.ids import ExecutorId, WorkerSlot
from storm.supervisor.assignment_sync import BlobHash, LocalAssignment, from_plain, local_assignments, to_plain


def assignment(topology_id: str, slots: dict[int, WorkerSlot], version: int = 1, **fields: object) -> Assignment:
    executor_slots = {ExecutorId(number, number): slot for number, slot in slots.items()}
    epochs = fields.pop("slot_epochs", dict.fromkeys(executor_slots.values(), version))
    return Assignment(topology_id, version, executor_slots, {}, {}, epochs, **fields)  # type: ignore[arg-type]


def test_a_port_gets_the_executors_that_are_assigned_to_it_here() -> None:
    one, other = WorkerSlot("here", 6700), WorkerSlot("there", 6700)
    words = assignment("words", {2: one, 1: one, 3: other}, version=7, blob_hashes={"b": "2", "a": "1"})
    assert local_assignments([words], "here", {}) == {
        6700: LocalAssignment(
            "words", (ExecutorId(1, 1), ExecutorId(2, 2)), 7, (BlobHash("a", "1"), BlobHash("b", "2"))
        )
    }


def test_the_epoch_is_the_slots_own_and_not_the_assignments_version() -> None:
    slot = WorkerSlot("here", 6700)
    words = assignment("words", {1: slot}, version=9, slot_epochs={slot: 4})
    assert local_assignments([words], "here", {})[6700].epoch == 4


def test_a_port_that_two_topologies_claim_stays_with_the_one_that_holds_it() -> None:
    slot = WorkerSlot("here", 6700)
    both = [assignment("b", {1: slot}), assignment("a", {1: slot})]
    held = LocalAssignment("b", (ExecutorId(5, 5),), 1)
    assert local_assignments(both, "here", {6700: held})[6700].topology_id == "b"
    assert local_assignments(both, "here", {})[6700].topology_id == "a"


def test_same_code_looks_at_bytes_and_not_at_executors() -> None:
    first = LocalAssignment("a", (ExecutorId(1, 1),), 1, (BlobHash("k", "1"),))
    assert first.same_code(LocalAssignment("a", (ExecutorId(2, 2),), 5, (BlobHash("k", "1"),)))
    assert not first.same_code(LocalAssignment("a", (ExecutorId(1, 1),), 1, (BlobHash("k", "2"),)))


LOCAL = st.builds(
    LocalAssignment,
    st.text(min_size=1, max_size=9),
    st.lists(st.builds(ExecutorId, st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3).map(tuple),
    st.integers(0, 99),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3).map(
        lambda hashes: tuple(sorted(BlobHash(*pair) for pair in hashes.items()))
    ),
)


@pytest.mark.slow
@given(LOCAL)
def test_what_is_written_to_a_disk_is_read_again(local: LocalAssignment) -> None:
    assert from_plain(json.loads(json.dumps(to_plain(local)))) == local


@pytest.mark.slow
@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each))
)
def test_anything_else_is_refused(plain: object) -> None:
    with pytest.raises(ValueError, match="not a local assignment"):
        from_plain(plain)  # type: ignore[arg-type]
