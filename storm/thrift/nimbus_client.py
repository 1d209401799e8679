"""Calls to the Nimbus that leads, whichever it is at the moment."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self

from storm.clock import Clock, SystemClock
from storm.config.addresses import joined
from storm.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    BlobStoreError,
    CoordinationError,
    NimbusUnreachableError,
    NoPermissionError,
    NotLeaderError,
    NotServedError,
    StormError,
    ThriftConnectionError,
    ThriftProtocolError,
    ThriftTimeoutError,
    TopologyNotAliveError,
    UploadNotFoundError,
)
from storm.thrift.client import ThriftClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from storm.thrift.interface import Struct

log = logging.getLogger(__name__)

UPLOAD_CHUNK_BYTES = 307_200  # Storm's and streamparse's
UPLOAD_RETRY_SECS = 120.0  # a Nimbus keeps an upload for ten minutes (nimbus.file.copy.expiration.secs)
UPLOAD_RETRY_PAUSE_SECS = 1.0
LEADER_WAIT_SECS = 30.0  # a new leader takes a ZooKeeper session (20 s by default) and a few seconds
LEADER_RETRY_SECS = 0.5
CANCEL_SECS = 1.5  # somebody waits for the end, of an interrupt it may be
ATTEMPTS_LEAST = 3  # of a call, however short the wait for a leader
SAY_WAITING_SECS = 3.0  # a change of leaders in good order is over by then
_SYSTEM_CLOCK = SystemClock()
_READING = ("get", "is", "list")  # methods whose names begin so change nothing and may be called twice
_REPEATABLE = frozenset(  # asked twice, they do no more than asked once
    {
        "activate", "deactivate", "killTopology", "killTopologyWithOpts", "rebalance", "beginFileUpload", "uploadPart",
        "finishUpload", "beginCreateBlob", "beginUpdateBlob", "updateBlobReplication", "drainHost", "undrainHost",
    }
)  # fmt: skip
_LOST = (NotLeaderError, ThriftConnectionError, CoordinationError)  # another Nimbus may do better


class Address(NamedTuple):
    """Where a Nimbus listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return joined(self.host, self.port)


class NimbusClient:
    """Finds the leading Nimbus over the seeds and calls it: `nimbus.call("killTopology", "words")`.

    It belongs to one thread. A call that was refused because its Nimbus leads no more, or that never went out,
    is made again on the new leader; one that went out unanswered is made again only if that cannot do harm.
    """

    def __init__(
        self,
        seeds: Sequence[str],
        port: int,
        timeout_secs: float,
        *,
        leader_wait_secs: float = LEADER_WAIT_SECS,
        clock: Clock = _SYSTEM_CLOCK,
    ) -> None:
        """`seeds`: hosts, each with its port where it differs from `port`: "host:port", "[::1]:port".

        `leader_wait_secs`: how long to wait for a leader while some Nimbus answers; if none does, not at all. A wait
        of more than SAY_WAITING_SECS is told in a warning. `clock` is what all waits go by.
        """
        self._seeds = [parse_address(seed, port) for seed in seeds]
        self._timeout_secs = timeout_secs
        self._leader_wait_secs = leader_wait_secs
        self.clock = clock
        self._leader: ThriftClient | None = None
        self._last_leader: Address | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call finds the leader anew."""
        if self._leader is not None:
            self._leader.close()
            self._leader = None

    def call(self, method: str, *arguments: Any) -> Any:
        """Call `method` of the leading Nimbus.

        Raises the StormError it answers, NimbusUnreachableError if no leader is found, ThriftConnectionError
        if the leader did not answer a call that it may have carried out.
        """
        until = self.clock.now() + self._leader_wait_secs
        failures, may_be_done = 0, False
        while True:
            try:
                if self._leader is None:
                    self._leader = self._find_leader()
                    self._last_leader = Address(self._leader.host, self._leader.port)
                return self._leader.call(method, *arguments)
            except NoPermissionError:
                raise  # ZooKeeper refuses the leader, and would again
            except _LOST as error:
                self.close()
                failures += 1
                if failures >= ATTEMPTS_LEAST and self.clock.now() >= until:
                    raise
                if not self._may_call_again(method, error):
                    raise
                may_be_done = may_be_done or _may_be_done(error)
            except TopologyNotAliveError:
                if may_be_done and method.startswith("kill"):
                    return None  # the first call has killed it
                raise
            if failures > 1:
                self.clock.sleep(LEADER_RETRY_SECS)

    def upload_file(self, path: Path, progress: Callable[[int, int], None] | None = None) -> str:
        """Upload a file; the location that `submitTopology` takes. `progress` is told (bytes done, in all).

        Where the link breaks it goes on from what has arrived, for UPLOAD_RETRY_SECS after the last progress; Nimbus
        compares hashes at the end. Raises UploadNotFoundError where another Nimbus leads since, which has none of it.
        Whatever is raised, Nimbus keeps nothing of it, if it can be told.
        """
        location: str = self.call("beginFileUpload")
        try:
            self._send_file(path, location, progress)
        except BaseException:
            self.cancel_upload(location)
            raise
        return location

    def cancel_upload(self, location: str) -> None:
        """Nobody wants what was uploaded (of a blob: its session); told to the last leader, once, for CANCEL_SECS.

        Where it cannot be told, Nimbus finds out after ten minutes.
        """
        if self._last_leader is None:
            return
        with contextlib.suppress(StormError), ThriftClient("Nimbus", *self._last_leader, CANCEL_SECS) as client:
            client.call("cancelBlobUpload", location)  # of packages, too

    def _send_file(self, path: Path, location: str, progress: Callable[[int, int], None] | None) -> None:
        size = path.stat().st_size
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            done, is_resumable = 0, True
            while chunk := _read_at(file, done):
                held = self.upload_part(location, done, chunk) if is_resumable else None
                is_resumable = held is not None
                if held is None:
                    self.call("uploadChunk", location, chunk)
                    held = done + len(chunk)
                done = held
                if progress is not None:
                    progress(done, size)
        if not is_resumable or not size:
            self.call("finishFileUpload", location)
            return
        try:
            self._patiently("finishUpload", location, sha256)
        except NotServedError:
            raise _begun_elsewhere() from None

    def upload_part(self, location: str, offset: int, chunk: bytes) -> int | None:
        """Send the bytes of an upload (of a blob: its session) that begin at `offset`; how many have arrived then.

        Where the link breaks it tries again for UPLOAD_RETRY_SECS. None: this Nimbus is of a release that does not know
        how to go on. Raises UploadNotFoundError where another Nimbus leads since.
        """
        try:
            return int(self._patiently("uploadPart", location, offset, chunk))
        except NotServedError:
            if offset:
                raise _begun_elsewhere() from None
            return None

    def _patiently(self, method: str, *arguments: Any) -> Any:
        """A call that may be made twice, again and again while the link is broken."""
        until = self.clock.now() + UPLOAD_RETRY_SECS
        while True:
            try:
                return self.call(method, *arguments)
            except (ThriftConnectionError, NimbusUnreachableError) as error:
                if self.clock.now() >= until:
                    raise
                log.warning("The upload is interrupted and goes on when Nimbus answers: %s", error)
                self.close()
                self.clock.sleep(UPLOAD_RETRY_PAUSE_SECS)

    def download_blob(self, key: str, write: Callable[[bytes], object]) -> Struct:
        """Give the blob's bytes to `write`, a chunk at a time; its ReadableBlobMeta (`version`, `sha256`).

        The caller checks the hash. A leader that does not have the blob (yet), or not whole, is passed over for
        another Nimbus that does. Raises BlobNotFoundError; BlobCorruptError if other than the announced number of
        bytes came.
        """
        given = 0

        def counted(chunk: bytes) -> None:
            nonlocal given
            given += len(chunk)
            write(chunk)

        try:
            return self._download_from_leader(key, counted)
        except (BlobNotFoundError, BlobCorruptError, BlobStoreError):
            if given:  # what was written cannot be taken back: the caller begins again
                raise
            for address in self._other_nimbuses():
                with self.connection(address) as client:
                    try:
                        return _download(client, key, counted)
                    except StormError as error:
                        log.debug("Nor can %s give the blob %s: %s", address, key, error)
                        if given:
                            raise
            raise

    def _download_from_leader(self, key: str, write: Callable[[bytes], object]) -> Struct:
        self.call("getLeader")  # a connection that broke is opened anew here, not in the middle
        assert self._leader is not None
        return _download(self._leader, key, write)

    def _other_nimbuses(self) -> list[Address]:
        """All that are known but the leader."""
        leader = None if self._leader is None else (self._leader.host, self._leader.port)
        found = dict.fromkeys(self._seeds)
        try:
            for info in self.call("getClusterInfo").nimbuses:
                found[Address(info.host, info.port)] = None
        except StormError as error:
            log.debug("The other Nimbuses are not known: %s", error)
        return [address for address in found if address != leader]

    def _may_call_again(self, method: str, error: StormError) -> bool:
        if not _may_be_done(error):
            return True
        if not method.startswith(_READING) and method not in _REPEATABLE:
            return False
        return not isinstance(error, ThriftTimeoutError) or len(self._seeds) > 1

    def _find_leader(self) -> ThriftClient:
        began = self.clock.now()
        until, say_at = began + self._leader_wait_secs, began + SAY_WAITING_SECS
        while True:
            said: dict[str, str] = {}
            leader, answered = self._ask_seeds(said)
            if leader is not None:
                return leader
            if not answered or self.clock.now() >= until:
                lines = "".join(f"\n  {text}" for text in said.values())
                raise NimbusUnreachableError(f"no leading Nimbus was found; asked were:{lines}")
            if self.clock.now() >= say_at:
                say_at = until
                log.warning(
                    "Waiting up to %.0f s for a Nimbus to lead: %s", self._leader_wait_secs, "; ".join(said.values())
                )
            self.clock.sleep(LEADER_RETRY_SECS)

    def _ask_seeds(self, said: dict[str, str]) -> tuple[ThriftClient | None, bool]:
        """A connection to the leader, if a seed knows one; whether any Nimbus answered; fills in `said`."""
        answered = False
        for seed in self._seeds:
            client = self.connection(seed)
            try:
                summary = client.call("getLeader")
                answered = True
                leader = Address(summary.host, summary.port)
                # By its own word too: who comes from outside may reach it by another address than it knows itself by.
                if leader == seed or summary.is_answering:
                    return client, True
                client.close()
                client = self.connection(leader)
                client.call("getLeader")
                return client, True
            except StormError as error:
                client.close()
                answered = answered or not isinstance(error, ThriftConnectionError | ThriftProtocolError)
                text = str(error)
                said[str(seed)] = text if text.startswith(client.address) else f"{client.address}: {text}"
        return None, answered

    def connection(self, address: Address) -> ThriftClient:
        """With this Nimbus, leading or not: the caller closes it."""
        return ThriftClient("Nimbus", address.host, address.port, self._timeout_secs)


def parse_address(text: str, default_port: int) -> Address:
    """`host`, `host:port` or `[IPv6]:port` as an Address. Raises NimbusUnreachableError for other text."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    if not host or (port and not port.isdecimal()):
        raise NimbusUnreachableError(f"nimbus.seeds: {text!r} is neither a host nor host:port")
    return Address(host, int(port) if port else default_port)


def _read_at(file: BinaryIO, offset: int) -> bytes:
    file.seek(offset)
    return file.read(UPLOAD_CHUNK_BYTES)


def blob_chunks(client: ThriftClient, key: str) -> Iterator[bytes]:
    """The bytes of a blob, from the Nimbus that this client calls, leading or not.

    Raises BlobNotFoundError; BlobCorruptError if other than the announced number of bytes came.
    """
    download = client.call("beginBlobDownload", key)
    received = 0
    while chunk := client.call("downloadBlobChunk", download.session):
        received += len(chunk)
        yield chunk
    if download.data_size is not None and received != download.data_size:
        raise BlobCorruptError(f"blob {key}: {received} bytes came of {download.data_size}")


def _download(client: ThriftClient, key: str, write: Callable[[bytes], object]) -> Struct:
    meta = client.call("getBlobMeta", key)
    for chunk in blob_chunks(client, key):
        write(chunk)
    return meta


def _begun_elsewhere() -> UploadNotFoundError:
    return UploadNotFoundError(
        "Another Nimbus leads since the upload began, of a release that has nothing of it: begin another."
    )


def _may_be_done(error: StormError) -> bool:
    """Whether the call that failed so may have been carried out."""
    return isinstance(error, CoordinationError) or (isinstance(error, ThriftConnectionError) and error.sent)
