from __future__ import annotations

import itertools
import logging
import shutil
from typing import TYPE_CHECKING

import pytest
from unsynced_disk import Left, PowerCut, UnsyncedDisk

from storm.dev_zookeeper.database import encode_snapshot
from storm.dev_zookeeper.protocol import OPEN_ACL
from storm.dev_zookeeper.transaction_log import SnapshotRule, open_transaction_log
from storm.dev_zookeeper.transactions import CreateNode, Transaction
from storm.errors import AlreadyRunningError, DataDirectoryError

if TYPE_CHECKING:
    from pathlib import Path

    from storm.dev_zookeeper.database import Database
    from storm.dev_zookeeper.transaction_log import TransactionLog

SELDOM = SnapshotRule()
OFTEN = SnapshotRule(every_transactions=8)
VERY_OFTEN = SnapshotRule(every_transactions=3)


def opened(directory: Path, rule: SnapshotRule = SELDOM) -> tuple[TransactionLog, Database]:
    return open_transaction_log(directory, 2000, 1000, rule)


def write(journal: TransactionLog, database: Database, count: int) -> None:
    """`count` more nodes, each synced, and snapshots when they are due."""
    for _ in range(count):
        zxid = database.zxid + 1
        transaction = Transaction(zxid, 5, (CreateNode(f"/n{zxid}", b"data", OPEN_ACL, 0),))
        database.apply(transaction)
        journal.append(transaction)
        journal.sync()
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
    """Open the directory, write `count` nodes, each noted once it is synced, and close it in order."""
    journal, database = opened(directory, VERY_OFTEN)
    try:
        for _ in range(count):
            zxid = database.zxid + 1
            transaction = Transaction(zxid, 5, (CreateNode(f"/n{zxid}", b"data", OPEN_ACL, 0),))
            database.apply(transaction)
            journal.append(transaction)
            journal.sync()
            acknowledged.append(f"/n{zxid}")
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
