"""The data directory: a log of transactions, and snapshots that keep it short.

    FORMAT              says whose directory this is
    lock                held by the server that uses it
    snapshot.<zxid>     the whole database after that transaction
    log.<zxid>          the transactions from that one on

A file is a magic word and records; a record is its length, its CRC-32 and its bytes. A snapshot is one
record, a log as many as were synced. The last two snapshots are kept, and the logs that lead on from the
older one.

In a log, the first transaction of each sync is followed, in its record, by a mark and the record's place in the
file. What is before that place was on the disk already, so damage there is no torn write: the server does
not start, rather than lose what it acknowledged. Without a mark after it, damage is a torn write, and cut.
"""

from __future__ import annotations

import errno
import logging
import os
import shlex
import struct
import zlib
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from storm.dev_zookeeper.database import Database, decode_snapshot, encode_snapshot
from storm.dev_zookeeper.transactions import decode_transaction, encode_transaction
from storm.errors import AlreadyRunningError, DataDirectoryError, MalformedPacketError
from storm.file_lock import lock_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storm.dev_zookeeper.transactions import Transaction

log = logging.getLogger(__name__)

FORMAT = b"storm dev-zookeeper data, format 1\n"
LOG_MAGIC = b"SDZKLOG1"
SNAPSHOT_MAGIC = b"SDZKSNP1"
RECORD_HEADER = struct.Struct(">II")  # length, CRC-32
BATCH_MAGIC = b"SDZKSYNC"
BATCH_MARK = struct.Struct(">8sQ")  # BATCH_MAGIC, the record's offset in the file
SNAPSHOTS_KEPT = 2
LOG_SIZE_MAX_BYTES = 64 * 1024 * 1024
# Of directories: not ours to open, or on a file system that has no fsync for them, as autofs, or is read-only.
CANNOT_BE_SYNCED = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EROFS}


class SnapshotRule(NamedTuple):
    """A snapshot is due after `every_transactions`, or as many as the last one had nodes if that is more;
    or when the log is longer than `log_size_max_bytes` and than the last snapshot."""

    every_transactions: int = 10_000
    log_size_max_bytes: int = LOG_SIZE_MAX_BYTES


class TransactionLog:
    """Owns a data directory. Made by `open_transaction_log`."""

    def __init__(self, directory: Path, lock: int, path: Path, rule: SnapshotRule) -> None:
        self._directory = directory
        self._lock = lock
        self._rule = rule
        self._unsynced: list[bytes] = []  # encoded transactions
        self._file = _open_for_append(path)
        self._transactions_since_snapshot = 0
        self._last_snapshot_node_count = 0
        self._last_snapshot_size_bytes = 0

    def append(self, transaction: Transaction) -> None:
        self._unsynced.append(encode_transaction(transaction))
        self._transactions_since_snapshot += 1

    def sync(self) -> None:
        """All that was appended is on the disk when this returns. Raises `OSError`: then the log must not
        be used on, because nobody knows which part is there."""
        if self._unsynced:
            self._unsynced[0] += BATCH_MARK.pack(BATCH_MAGIC, self._file.tell())
            batch = b"".join(map(_record, self._unsynced))
            self._unsynced.clear()
            _write_all(self._file, batch)
            os.fdatasync(self._file.fileno())

    def snapshot_if_due(self, database: Database) -> None:
        """To be called after `sync`. Raises `OSError`."""
        many = max(self._rule.every_transactions, self._last_snapshot_node_count)
        long = max(self._rule.log_size_max_bytes, self._last_snapshot_size_bytes)
        if self._transactions_since_snapshot < many and self._file.tell() < long:
            return
        self._last_snapshot_size_bytes = write_snapshot(self._directory, database)
        self._file.close()
        self._file = _open_for_append(_log_path(self._directory, database.zxid + 1))
        self._last_snapshot_node_count = len(database.tree)
        self._transactions_since_snapshot = 0
        _remove_old_files(self._directory)

    def close(self) -> None:
        """Give up the directory; what was not synced is lost."""
        self._unsynced.clear()
        self._file.close()
        os.close(self._lock)


def open_transaction_log(
    directory: Path, tick_ms: int, first_zxid: int, rule: SnapshotRule | None = None
) -> tuple[TransactionLog, Database]:
    """Take the directory, made if it is missing, and restore what it holds. `first_zxid` is for an empty one.

    A log that ends in a damaged record is cut there, with a warning: that record was never acknowledged.
    What is cut off is kept beside it as `log.<zxid>.torn`.

    Raises `AlreadyRunningError` if another server has the directory, `DataDirectoryError` if it holds
    something else or is damaged, `OSError`.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_format(directory)
    lock = _take_lock(directory)
    try:
        for path in directory.glob("snapshot.*.tmp"):  # of a server that was killed as it wrote
            path.unlink()
        if not (directory / "FORMAT").exists():
            # Only now: who made the directory and was killed before this left no FORMAT.
            _sync_parents(directory)
            write_snapshot(directory, Database(tick_ms, first_zxid))
            _write_durably(directory / "FORMAT", FORMAT)
        database = _last_snapshot(directory, tick_ms)
        replayed = _replay_logs(directory, database)
        paths = _log_paths(directory)
        path = paths[-1] if paths else _log_path(directory, database.zxid + 1)
        opened = TransactionLog(directory, lock, path, rule or SnapshotRule())
        opened._transactions_since_snapshot = replayed
    except BaseException:
        os.close(lock)
        raise
    return opened, database


def write_snapshot(directory: Path, database: Database) -> int:
    """Its size in bytes. Raises `OSError`."""
    content = SNAPSHOT_MAGIC + _record(encode_snapshot(database))
    _write_durably(directory / f"snapshot.{database.zxid:016x}", content)
    return len(content)


def _check_format(directory: Path) -> None:
    names = {path.name for path in directory.iterdir()}
    if "FORMAT" in names:
        if (directory / "FORMAT").read_bytes() != FORMAT:
            raise DataDirectoryError(f"{directory} was written by another release of storm dev-zookeeper")
    elif names & {"version-2", "myid"}:
        raise DataDirectoryError(
            f"{directory} is the data directory of an Apache ZooKeeper, which this server cannot read: "
            "choose another --data-dir"
        )
    elif any(not name.startswith(("lock", "snapshot.", "FORMAT.")) for name in names):
        raise DataDirectoryError(
            f"{directory} holds other files ({', '.join(sorted(names)[:3])}): choose an empty or new --data-dir"
        )


def _take_lock(directory: Path) -> int:
    lock = lock_file(directory / "lock")
    if lock is None:
        raise AlreadyRunningError(f"another dev-zookeeper uses {directory}: stop it or choose another --data-dir")
    return lock


def _last_snapshot(directory: Path, tick_ms: int) -> Database:
    """The newest snapshot that can be read."""
    damage = "there is none"
    for path in reversed(_snapshot_paths(directory)):
        try:
            with path.open("rb") as file:
                _check_magic(file, SNAPSHOT_MAGIC)
                for record in _records(file):
                    return decode_snapshot(record, tick_ms)
            damage = f"{path.name} is empty"
        except MalformedPacketError as error:
            damage = f"{path.name}: {error}"
            log.warning("snapshot %s is damaged, trying the one before: %s", path, error)
    raise DataDirectoryError(f"{directory} has no snapshot that can be read ({damage}): restore it or remove it")


def _replay_logs(directory: Path, database: Database) -> int:
    """Apply what the logs hold beyond the snapshot; how many transactions that were."""
    replayed = 0
    paths = _log_paths(directory)
    for index, path in enumerate(paths):
        following = paths[index + 1] if index + 1 < len(paths) else None
        if following is not None and _zxid_of(following) <= database.zxid + 1:
            continue
        with path.open("rb") as file:
            good_size = 0
            try:
                _check_magic(file, LOG_MAGIC)
                good_size = file.tell()
                for record in _records(file):
                    replayed += _apply_record(database, record, path)
                    good_size = file.tell()
            except MalformedPacketError as error:
                if following is not None:
                    raise DataDirectoryError(
                        f"{path} is damaged at byte {good_size} ({error}), and {following.name} goes on after it: "
                        "restore the file, or remove the directory to start empty"
                    ) from error
                _cut(path, good_size, error)
    return replayed


def _apply_record(database: Database, record: bytes, path: Path) -> bool:
    """Whether the record was news. It is whole, so what is wrong with it now is no torn write: nothing is cut."""
    try:
        transaction = decode_transaction(record)
    except MalformedPacketError as error:
        raise DataDirectoryError(f"{path} cannot be read by this release: {error}") from error
    if transaction.zxid <= database.zxid:
        return False
    if transaction.zxid != database.zxid + 1:
        raise DataDirectoryError(
            f"{path} goes on at zxid 0x{transaction.zxid:x}, but what is before it ends at 0x{database.zxid:x}: "
            "a file is missing; restore it, or remove the directory to start empty"
        )
    database.apply(transaction)
    return True


def _cut(path: Path, good_size: int, error: MalformedPacketError) -> None:
    """What follows was never acknowledged. Raises `DataDirectoryError` where that is not so."""
    content = path.read_bytes()
    _check_torn(path, content, good_size, error)
    torn = path.with_name(path.name + ".torn")
    try:
        _write_durably(torn, content[good_size:])
        kept = f"are kept in {torn.name}"
    except OSError as refused:  # nobody was told that they were written, so a full disk shall keep nobody out
        kept = f"are not kept ({refused.strerror})"
    log.warning(
        "%s ends in a damaged record (%s); cut at byte %d, the %d bytes after it %s",
        path, error, good_size, len(content) - good_size, kept,
    )  # fmt: skip
    with path.open("r+b") as file:
        file.truncate(good_size)
        os.fsync(file.fileno())


def _check_torn(path: Path, content: bytes, good_size: int, error: MalformedPacketError) -> None:
    """Raises `DataDirectoryError` if what is damaged at `good_size` was on the disk, whole, before."""
    if good_size == 0:
        if len(content) > len(LOG_MAGIC):  # it is on the disk before the first record is written
            raise DataDirectoryError(
                f"{path} is damaged at byte 0 ({error}), and {len(content)} bytes are in it: restore the file, "
                "or move it away and lose the writes in it"
            )
        return
    following = _batch_after(content, good_size)
    if following is not None:
        raise DataDirectoryError(
            f"{path} is damaged at byte {good_size} ({error}), and acknowledged writes go on after it, at byte "
            f"{following}: restore the file, or give up all after the damage: keep a copy, then "
            f"`truncate --size={good_size} {shlex.quote(str(path))}`"
        )


def _batch_after(content: bytes, damaged_at: int) -> int | None:
    """Where the records of a later sync than the damaged one begin; None if there are none."""
    found = content.find(BATCH_MAGIC, damaged_at)
    while 0 <= found <= len(content) - BATCH_MARK.size:
        start: int = BATCH_MARK.unpack_from(content, found)[1]
        end = found + BATCH_MARK.size
        if damaged_at < start < found:
            length, crc = RECORD_HEADER.unpack_from(content, start)
            begin = start + RECORD_HEADER.size
            if length == end - begin and zlib.crc32(content[begin:end]) == crc:
                return start
        found = content.find(BATCH_MAGIC, found + 1)
    return None


def _records(file: BinaryIO) -> Iterator[bytes]:
    """The records from here to the end. Raises `MalformedPacketError` at one that is cut short or wrong."""
    size = os.fstat(file.fileno()).st_size
    while header := file.read(RECORD_HEADER.size):
        if len(header) < RECORD_HEADER.size:
            raise MalformedPacketError("a record's header is cut short")
        length, crc = RECORD_HEADER.unpack(header)
        if length == 0:  # as zeros read, where a power cut left the file's size and not its bytes
            raise MalformedPacketError("a record is empty")
        if length > size - file.tell():
            raise MalformedPacketError("a record is cut short")
        content = file.read(length)
        if zlib.crc32(content) != crc:
            raise MalformedPacketError("a record's checksum is wrong")
        yield content


def _record(content: bytes) -> bytes:
    return RECORD_HEADER.pack(len(content), zlib.crc32(content)) + content


def _check_magic(file: BinaryIO, magic: bytes) -> None:
    if file.read(len(magic)) != magic:
        raise MalformedPacketError("it does not begin as it should")


def _open_for_append(path: Path) -> BinaryIO:
    """Also what a killed server wrote and did not sync is on the disk when this returns: clients will be shown it."""
    file = open(path, "ab", buffering=0, opener=_open_private)  # noqa: SIM115 - closed by the log
    try:
        if file.tell() == 0:
            _write_all(file, LOG_MAGIC)
        os.fsync(file.fileno())
        _sync_directory(path.parent)
    except BaseException:
        file.close()
        raise
    return file


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write_all(file: BinaryIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


def _write_durably(path: Path, content: bytes) -> None:
    """The file is there whole, or not at all."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with open(temporary, "wb", opener=_open_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # a full disk shall not stay full of it
            temporary.unlink()
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_parents(directory: Path) -> None:
    """That the directory exists is on the disk when this returns, as far as this user and its parents allow."""
    for parent in directory.absolute().parents:
        try:
            _sync_directory(parent)
        except OSError as error:
            if error.errno not in CANNOT_BE_SYNCED:
                raise


def _remove_old_files(directory: Path) -> None:
    snapshots = _snapshot_paths(directory)
    for path in snapshots[:-SNAPSHOTS_KEPT]:
        with suppress(FileNotFoundError):
            path.unlink()
    needed_from = _zxid_of(snapshots[-SNAPSHOTS_KEPT:][0]) + 1
    logs = _log_paths(directory)
    for path, following in pairwise(logs):
        if _zxid_of(following) <= needed_from:
            path.unlink()


def _log_path(directory: Path, zxid: int) -> Path:
    return directory / f"log.{zxid:016x}"


def _log_paths(directory: Path) -> list[Path]:
    """Oldest first: the names are of one length, so their order is that of the zxids."""
    return sorted(directory.glob("log." + "[0-9a-f]" * 16))


def _snapshot_paths(directory: Path) -> list[Path]:
    return sorted(directory.glob("snapshot." + "[0-9a-f]" * 16))


def _zxid_of(path: Path) -> int:
    return int(path.name.rpartition(".")[2], 16)
