from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

import pytest

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
