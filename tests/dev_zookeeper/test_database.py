from __future__ import annotations

import pytest

from storm.dev_zookeeper.database import Database, decode_snapshot, encode_snapshot, first_zxid_at
from storm.dev_zookeeper.protocol import OPEN_ACL
from storm.dev_zookeeper.sessions import Session
from storm.dev_zookeeper.transactions import (
    CloseSession,
    CreateNode,
    DeleteNode,
    OpenSession,
    SetData,
    Transaction,
)
from storm.errors import MalformedPacketError


def used_database() -> Database:
    database = Database(2000, first_zxid=100)
    database.apply(Transaction(101, 1, (OpenSession(7, b"p" * 16, 4000), OpenSession(9, b"q" * 16, 4000))))
    database.apply(Transaction(102, 2, (CreateNode("/a", None, OPEN_ACL, 0), CreateNode("/a/e", b"x", OPEN_ACL, 7))))
    database.apply(Transaction(103, 3, (SetData("/zookeeper/config", b"changed"), CloseSession(9))))
    return database


def test_a_snapshot_holds_all() -> None:
    database = used_database()

    restored = decode_snapshot(encode_snapshot(database), 2000)

    assert restored.zxid == 103
    assert restored.last_session_id == 9
    assert list(restored.sessions) == [Session(7, b"p" * 16, 4000)]
    assert dict(restored.tree.items()) == dict(database.tree.items())
    assert restored.tree.ephemeral_paths(7) == ("/a/e",)
    assert restored.tree.data_size_bytes == database.tree.data_size_bytes
    assert encode_snapshot(restored) == encode_snapshot(database)


def test_a_snapshot_cut_short_is_malformed() -> None:
    with pytest.raises(MalformedPacketError):
        decode_snapshot(encode_snapshot(used_database())[:-1], 2000)


def test_the_end_of_a_session_is_one_transaction() -> None:
    database = used_database()

    database.apply(Transaction(104, 4, (DeleteNode("/a/e"), CloseSession(7))))

    assert database.tree.get("/a/e") is None
    assert len(database.sessions) == 0
    assert database.tree.ephemerals() == {}


def test_session_ids_are_never_given_twice() -> None:
    database = used_database()

    assert database.new_session_id(wall_ms=1_800_000_000_000) == 1_800_000_000_000 << 16
    assert database.new_session_id(wall_ms=0) == 10  # a clock that stands before what was given


def test_the_first_zxid_grows_with_the_time_of_the_start_and_fits_a_long() -> None:
    assert first_zxid_at(1_800_000_000_001) - first_zxid_at(1_800_000_000_000) == 2**20
    assert first_zxid_at(4_000_000_000_000) < 2**63
