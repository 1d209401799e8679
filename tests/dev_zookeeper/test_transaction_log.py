from __future__ import annotations

import errno
import itertools
import logging
import os
import shutil
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unsynced_disk import Left, PowerCut, UnsyncedDisk

from storm.dev_zookeeper.database import encode_snapshot
from storm.dev_zookeeper.protocol import OPEN_ACL
from storm.dev_zookeeper.transaction_log import BATCH_MARK, RECORD_HEADER, SnapshotRule, open_transaction_log
from storm.dev_zookeeper.transactions import CreateNode, Transaction, encode_transaction
from storm.errors import AlreadyRunningError, DataDirectoryError

if TYPE_CHECKING:
    from storm.dev_zookeeper.database import Database
    from storm.dev_zookeeper.transaction_log import TransactionLog

SELDOM = SnapshotRule()
OFTEN = SnapshotRule(every_transactions=8)
VERY_OFTEN = SnapshotRule(every_transactions=3)


def opened(directory: Path, rule: SnapshotRule = SELDOM) -> tuple[TransactionLog, Database]:
    return open_transaction_log(directory, 2000, 1000, rule)


def write_batch(journal: TransactionLog, database: Database, count: int, data: bytes = b"data") -> list[str]:
    """`count` more nodes with one sync; their paths."""
    paths = [f"/n{zxid}" for zxid in range(database.zxid + 1, database.zxid + 1 + count)]
    for path in paths:
        transaction = Transaction(database.zxid + 1, 5, (CreateNode(path, data, OPEN_ACL, 0),))
        database.apply(transaction)
        journal.append(transaction)
    journal.sync()
    return paths


def write(journal: TransactionLog, database: Database, count: int) -> None:
    """`count` more nodes, each synced, and snapshots when they are due."""
    for _ in range(count):
        write_batch(journal, database, 1)
        journal.snapshot_if_due(database)


def names(directory: Path, prefix: str) -> list[str]:
    return sorted(path.name for path in directory.glob(f"{prefix}.*"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "data"


@pytest.mark.parametrize("rule", [SELDOM, OFTEN])
def test_what_was_synced_is_there_after_a_restart(directory: Path, rule: SnapshotRule) -> None:
    journal, database = opened(directory, rule)
    for _ in range(4):
        write(journal, database, 9)
        journal.close()
        before = encode_snapshot(database)

        journal, database = opened(directory, rule)
        assert encode_snapshot(database) == before
    journal.close()


def test_what_was_not_synced_is_lost(directory: Path) -> None:
    journal, database = opened(directory)
    write(journal, database, 1)
    journal.append(Transaction(database.zxid + 1, 5, (CreateNode("/unsynced", b"", OPEN_ACL, 0),)))
    journal.close()

    journal, database = opened(directory)
    assert database.zxid == 1001
    assert database.tree.get("/unsynced") is None
    journal.close()


def test_an_empty_directory_starts_where_it_is_told(directory: Path) -> None:
    journal, database = opened(directory)
    journal.close()

    assert database.zxid == 1000
    reopened, database = open_transaction_log(directory, 2000, 5000)
    assert database.zxid == 1000
    reopened.close()


@pytest.mark.parametrize("cut", [1, 9, 30])
def test_a_torn_record_is_cut_off_with_a_warning_and_kept(
    directory: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    journal, database = opened(directory)
    write(journal, database, 3)
    journal.close()
    (log,) = directory.glob("log.*")
    log.write_bytes(log.read_bytes()[:-cut])

    with caplog.at_level(logging.WARNING):
        journal, database = opened(directory)

    assert "cut at byte" in caplog.text
    assert database.zxid == 1002
    assert len((directory / f"{log.name}.torn").read_bytes()) > 0
    write(journal, database, 1)
    journal.close()
    journal, database = opened(directory)
    assert database.zxid == 1003
    journal.close()


def test_a_record_with_a_wrong_checksum_ends_the_log(directory: Path) -> None:
    journal, database = opened(directory)
    write(journal, database, 3)
    journal.close()
    (log,) = directory.glob("log.*")
    content = bytearray(log.read_bytes())
    content[-1] ^= 1
    log.write_bytes(content)

    journal, database = opened(directory)
    assert database.zxid == 1002
    journal.close()


def test_a_log_that_was_only_begun_is_begun_again(directory: Path) -> None:
    journal, _ = opened(directory)
    journal.close()
    (log,) = directory.glob("log.*")
    log.write_bytes(b"SDZ")

    journal, database = opened(directory)
    write(journal, database, 1)
    journal.close()
    journal, database = opened(directory)
    assert database.zxid == 1001
    journal.close()


def test_the_last_two_snapshots_are_kept_and_the_logs_after_them(directory: Path) -> None:
    journal, database = opened(directory, OFTEN)
    write(journal, database, 100)
    journal.close()

    assert len(names(directory, "snapshot")) == 2
    assert len(names(directory, "log")) == 2


def test_a_long_log_makes_a_snapshot_due(directory: Path) -> None:
    journal, database = opened(directory, SnapshotRule(log_size_max_bytes=100))
    write(journal, database, 3)
    journal.close()

    assert len(names(directory, "snapshot")) > 1


def test_a_damaged_snapshot_is_replaced_by_the_one_before_and_its_logs(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal, database = opened(directory, OFTEN)
    write(journal, database, 30)
    journal.close()
    newest = directory / names(directory, "snapshot")[-1]
    newest.write_bytes(newest.read_bytes()[:-1])

    journal, restored = opened(directory, OFTEN)

    assert "damaged" in caplog.text
    assert encode_snapshot(restored) == encode_snapshot(database)
    journal.close()


def test_without_a_readable_snapshot_it_refuses(directory: Path) -> None:
    journal, _ = opened(directory)
    journal.close()
    (snapshot,) = directory.glob("snapshot.*")
    snapshot.write_bytes(b"")

    with pytest.raises(DataDirectoryError, match="no snapshot that can be read"):
        opened(directory)


def test_damage_before_the_last_log_is_refused(directory: Path) -> None:
    journal, database = opened(directory, OFTEN)
    write(journal, database, 30)
    journal.close()
    logs, snapshots = names(directory, "log"), names(directory, "snapshot")
    (directory / snapshots[-1]).unlink()
    (directory / logs[0]).write_bytes((directory / logs[0]).read_bytes()[:-1])

    with pytest.raises(DataDirectoryError, match="damaged at byte"):
        opened(directory)


def test_a_missing_log_is_refused(directory: Path) -> None:
    journal, database = opened(directory, OFTEN)
    write(journal, database, 30)
    journal.close()
    (directory / names(directory, "snapshot")[-1]).unlink()
    (directory / names(directory, "log")[0]).unlink()

    with pytest.raises(DataDirectoryError, match="a file is missing"):
        opened(directory)


def test_one_server_has_the_directory(directory: Path) -> None:
    journal, _ = opened(directory)
    with pytest.raises(AlreadyRunningError, match="another dev-zookeeper uses"):
        opened(directory)
    journal.close()

    again, _ = opened(directory)
    again.close()


@pytest.mark.parametrize(
    ("name", "message"), [("version-2", "Apache"), ("myid", "Apache"), ("photo.jpg", "other files")]
)
def test_directories_of_others_are_left_alone(directory: Path, name: str, message: str) -> None:
    directory.mkdir(parents=True)
    (directory / name).touch()

    with pytest.raises(DataDirectoryError, match=message):
        opened(directory)
    assert [path.name for path in directory.iterdir()] == [name]


def test_a_start_that_was_interrupted_is_done_again(directory: Path) -> None:
    journal, _ = opened(directory)
    journal.close()
    (directory / "FORMAT").unlink()
    for log in directory.glob("log.*"):
        log.unlink()
    shutil.copy(next(directory.glob("snapshot.*")), directory / "FORMAT.tmp")

    journal, database = opened(directory)
    assert database.zxid == 1000
    journal.close()


def test_the_files_are_private(directory: Path) -> None:
    journal, _ = opened(directory)
    journal.close()

    assert directory.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in directory.iterdir())


def test_another_format_is_refused(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "FORMAT").write_text("storm dev-zookeeper data, format 2\n")

    with pytest.raises(DataDirectoryError, match="another release"):
        opened(directory)


def acknowledge(directory: Path, count: int, acknowledged: list[str]) -> None:
    """Open the directory, write `count` pairs of nodes, each noted once it is synced, and close it in order."""
    journal, database = opened(directory, VERY_OFTEN)
    try:
        for _ in range(count):
            acknowledged += write_batch(journal, database, 2)
            journal.snapshot_if_due(database)
    finally:
        journal.close()


def missing(directory: Path, paths: list[str]) -> list[str]:
    """Those of the nodes that are not there, after a start."""
    journal, database = opened(directory, VERY_OFTEN)
    journal.close()
    return [path for path in paths if database.tree.get(path) is None]


@pytest.mark.slow
@pytest.mark.parametrize("left", list(Left))
def test_a_power_cut_at_any_moment_loses_no_acknowledged_write(tmp_path: Path, left: Left) -> None:
    for step in itertools.count():
        root = tmp_path / f"disk{step}"
        root.mkdir()
        acknowledged: list[str] = []
        with pytest.MonkeyPatch.context() as monkeypatch:
            disk = UnsyncedDisk(root, monkeypatch, step)
            try:
                acknowledge(root / "deep" / "data", 7, acknowledged)
                acknowledge(root / "deep" / "data", 4, acknowledged)
            except PowerCut:
                pass
            else:
                disk.stop()
                break
        found = tmp_path / f"left{step}"
        disk.leave(left, found)
        disk.stop()
        assert missing(found / "deep" / "data", acknowledged) == [], f"cut before step {step}"
        acknowledge(found / "deep" / "data", 4, acknowledged)
        assert missing(found / "deep" / "data", acknowledged) == [], f"cut before step {step}, and then restarted"
    assert step > 40


@pytest.mark.slow
def test_what_a_killed_and_restarted_server_shows_or_acknowledges_outlives_a_power_cut(tmp_path: Path) -> None:
    """A kill leaves bytes in the machine's memory that the next server reads: they must not be lost later."""
    for step in itertools.count():
        root = tmp_path / f"disk{step}"
        root.mkdir()
        seen: list[str] = []
        with pytest.MonkeyPatch.context() as monkeypatch:
            disk = UnsyncedDisk(root, monkeypatch, step)
            try:
                acknowledge(root / "data", 7, seen)
            except PowerCut:
                disk.run_on()
            else:
                disk.stop()
                break
            journal, database = opened(root / "data", VERY_OFTEN)
            journal.close()
            seen = [path for path, _ in database.tree.items() if path.startswith("/n")]
            acknowledge(root / "data", 1, seen)
        found = tmp_path / f"left{step}"
        disk.leave(Left.NOTHING, found)
        disk.stop()
        assert missing(found / "data", seen) == [], f"killed before step {step}"
    assert step > 20


def test_a_torn_record_is_cut_off_also_where_there_is_no_room_to_keep_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal, database = opened(directory)
    write(journal, database, 3)
    journal.close()
    (log,) = directory.glob("log.*")
    log.write_bytes(log.read_bytes()[:-1])
    (directory / f"{log.name}.torn.tmp").mkdir()  # so that it cannot be written

    journal, database = opened(directory)
    assert database.zxid == 1002
    assert "are not kept" in caplog.text
    write(journal, database, 1)
    journal.close()


def damage(log: Path, at: int) -> bytes:
    """Flip a bit; the content with it."""
    content = bytearray(log.read_bytes())
    content[at] ^= 1
    log.write_bytes(content)
    return bytes(content)


def test_zeros_at_the_end_are_a_torn_write(directory: Path) -> None:
    """A power cut can leave the size of a file without its bytes."""
    journal, database = opened(directory)
    write(journal, database, 3)
    journal.close()
    (log,) = directory.glob("log.*")
    log.write_bytes(log.read_bytes() + bytes(100))

    journal, database = opened(directory)
    assert database.zxid == 1003
    write(journal, database, 1)
    journal.close()
    journal, database = opened(directory)
    assert database.zxid == 1004
    journal.close()


@pytest.mark.parametrize("place", [0, 4, 30])  # in the length, in the checksum, in the record
def test_damage_before_acknowledged_writes_is_refused_and_nothing_is_cut(directory: Path, place: int) -> None:
    journal, database = opened(directory)
    write_batch(journal, database, 2)
    (log,) = directory.glob("log.*")
    second = log.stat().st_size
    write_batch(journal, database, 2)
    third = log.stat().st_size
    write_batch(journal, database, 2)
    journal.close()
    damaged = damage(log, second + place)

    told = f"{log} is damaged at byte {second} .* go on after it, at byte {third}.* `truncate --size={second} {log}`"
    with pytest.raises(DataDirectoryError, match=told):
        opened(directory)
    assert log.read_bytes() == damaged

    os.truncate(log, second)
    journal, database = opened(directory)
    assert database.zxid == 1002
    journal.close()


def test_damage_before_writes_of_the_same_sync_is_a_torn_write(directory: Path) -> None:
    """A disk may write the end of what it was given before the beginning."""
    journal, database = opened(directory)
    write(journal, database, 1)
    (log,) = directory.glob("log.*")
    size = log.stat().st_size
    write_batch(journal, database, 3)
    journal.close()
    damage(log, size + 10)

    journal, database = opened(directory)
    assert database.zxid == 1001
    journal.close()


def test_data_that_looks_like_a_mark_is_none(directory: Path) -> None:
    journal, database = opened(directory)
    (log,) = directory.glob("log.*")
    size = log.stat().st_size
    for offset in (0, size, size + 20, 10**6, 2**64 - 1):
        write_batch(journal, database, 1, BATCH_MARK.pack(b"SDZKSYNC", offset) + b"SDZKSYNC")
    last = log.stat().st_size
    write_batch(journal, database, 2, BATCH_MARK.pack(b"SDZKSYNC", last + 20) + b"SDZKSYNC")
    journal.close()
    damage(log, last + 10)

    journal, database = opened(directory)
    assert database.zxid == 1005
    journal.close()


def test_a_log_without_marks_is_read_too(directory: Path) -> None:
    """As the former release wrote it."""
    journal, database = opened(directory)
    journal.close()
    (log,) = directory.glob("log.*")
    transactions = [Transaction(zxid, 5, (CreateNode(f"/n{zxid}", b"", OPEN_ACL, 0),)) for zxid in (1001, 1002)]
    contents = [encode_transaction(transaction) for transaction in transactions]
    records = [RECORD_HEADER.pack(len(content), zlib.crc32(content)) + content for content in contents]
    log.write_bytes(log.read_bytes() + b"".join(records) + b"\x01")

    journal, database = opened(directory)
    assert database.zxid == 1002
    write(journal, database, 1)
    journal.close()
    journal, database = opened(directory)
    assert database.zxid == 1003
    journal.close()


def test_a_log_that_does_not_begin_as_one_is_refused(directory: Path) -> None:
    journal, database = opened(directory)
    write(journal, database, 3)
    journal.close()
    (log,) = directory.glob("log.*")
    damaged = damage(log, 3)

    with pytest.raises(DataDirectoryError, match=f"{log} is damaged at byte 0 .* move it away"):
        opened(directory)
    assert log.read_bytes() == damaged

    log.rename(directory.parent / log.name)
    journal, database = opened(directory)
    assert database.zxid == 1000
    journal.close()


def test_a_snapshot_that_failed_leaves_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, database = opened(directory, OFTEN)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space left"):
            write(journal, database, 8)
    journal.close()

    assert len(names(directory, "snapshot")) == 1
    journal, database = opened(directory, OFTEN)
    assert database.zxid == 1008
    journal.close()


def test_what_a_killed_server_left_of_a_snapshot_is_removed(directory: Path) -> None:
    journal, _ = opened(directory)
    journal.close()
    (directory / "snapshot.00000000000003e9.tmp").write_bytes(b"SDZ")

    journal, _ = opened(directory)
    assert names(directory, "snapshot") == ["snapshot.00000000000003e8"]
    journal.close()


def refuse_to_sync(monkeypatch: pytest.MonkeyPatch, directory: Path, code: int) -> None:
    fsync = os.fsync

    def refusing(descriptor: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")) == directory:
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EACCES])
def test_directories_above_need_not_have_fsync(directory: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Those of autofs have none."""
    refuse_to_sync(monkeypatch, directory.parent.parent, code)

    journal, _ = opened(directory)
    journal.close()


def test_directories_above_are_synced_while_the_directory_is_new(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        refuse_to_sync(patch, directory.parent, errno.EIO)
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output error"):
                opened(directory)
    opened(directory)[0].close()

    refuse_to_sync(monkeypatch, directory.parent, errno.EIO)
    opened(directory)[0].close()
