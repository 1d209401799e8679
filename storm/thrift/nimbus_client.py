"""Calls to the Nimbus that leads, whichever it is at the moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from storm.clock import Clock, SystemClock
from storm.errors import (
    BlobCorruptError,
    NimbusUnreachableError,
    NotLeaderError,
    StormError,
    ThriftConnectionError,
    ThriftProtocolError,
    ThriftTimeoutError,
)
from storm.thrift.client import ThriftClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from storm.thrift.interface import Struct

UPLOAD_CHUNK_BYTES = 307_200  # Storm's and streamparse's
CALL_ATTEMPTS = 3  # a call is made again when the Nimbus that got it does not lead any more
LEADER_RETRY_SECS = 0.5
_SYSTEM_CLOCK = SystemClock()
_READING = ("get", "is", "list")  # methods whose names begin so change nothing and may be called twice


class Address(NamedTuple):
    """Where a Nimbus listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class NimbusClient:
    """Finds the leading Nimbus over the seeds and calls it: `nimbus.call("killTopology", "words")`.

    It belongs to one thread. A call that was refused because its Nimbus leads no more, or that never went out,
    is made again on the new leader; one that went out unanswered is made again only if it changes nothing.
    """

    def __init__(
        self,
        seeds: Sequence[str],
        port: int,
        timeout_secs: float,
        *,
        leader_wait_secs: float = 10.0,
        clock: Clock = _SYSTEM_CLOCK,
    ) -> None:
        """`seeds`: hosts, each with its port where it differs from `port`: "host:port", "[::1]:port".

        `leader_wait_secs`: how long to wait for a leader while some Nimbus answers; if none does, not at all.
        """
        self._seeds = [parse_address(seed, port) for seed in seeds]
        self._timeout_secs = timeout_secs
        self._leader_wait_secs = leader_wait_secs
        self._clock = clock
        self._leader: ThriftClient | None = None

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
        for attempt in range(1, CALL_ATTEMPTS + 1):
            if self._leader is None:
                self._leader = self._find_leader()
            try:
                return self._leader.call(method, *arguments)
            except (NotLeaderError, ThriftConnectionError) as error:
                self.close()
                if attempt == CALL_ATTEMPTS or not _may_call_again(method, error):
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def upload_file(self, path: Path, progress: Callable[[int, int], None] | None = None) -> str:
        """Upload a file; the location that `submitTopology` takes. `progress` is told (bytes done, in all)."""
        size = path.stat().st_size
        location: str = self.call("beginFileUpload")
        done = 0
        with path.open("rb") as file:
            while chunk := file.read(UPLOAD_CHUNK_BYTES):
                self.call("uploadChunk", location, chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, size)
        self.call("finishFileUpload", location)
        return location

    def download_blob(self, key: str, write: Callable[[bytes], object]) -> Struct:
        """Give the blob's bytes to `write`, a chunk at a time; its ReadableBlobMeta (`version`, `sha256`).

        The caller checks the hash. Raises BlobNotFoundError; BlobCorruptError if other than the announced
        number of bytes came.
        """
        meta = self.call("getBlobMeta", key)
        download = self.call("beginBlobDownload", key)
        received = 0
        while chunk := self.call("downloadBlobChunk", download.session):
            write(chunk)
            received += len(chunk)
        if download.data_size is not None and received != download.data_size:
            raise BlobCorruptError(f"blob {key}: {received} bytes came of {download.data_size}")
        return meta

    def _find_leader(self) -> ThriftClient:
        until = self._clock.now() + self._leader_wait_secs
        while True:
            said: dict[str, str] = {}
            leader, answered = self._ask_seeds(said)
            if leader is not None:
                return leader
            if not answered or self._clock.now() >= until:
                lines = "".join(f"\n  {text}" for text in said.values())
                raise NimbusUnreachableError(f"no leading Nimbus was found; asked were:{lines}")
            self._clock.sleep(LEADER_RETRY_SECS)

    def _ask_seeds(self, said: dict[str, str]) -> tuple[ThriftClient | None, bool]:
        """A connection to the leader, if a seed knows one; whether any Nimbus answered; fills in `said`."""
        answered = False
        for seed in self._seeds:
            client = self._client(seed)
            try:
                summary = client.call("getLeader")
                answered = True
                leader = Address(summary.host, summary.port)
                if leader == seed:
                    return client, True
                client.close()
                client = self._client(leader)
                client.call("getLeader")
                return client, True
            except StormError as error:
                client.close()
                answered = answered or not isinstance(error, ThriftConnectionError | ThriftProtocolError)
                text = str(error)
                said[str(seed)] = text if text.startswith(client.address) else f"{client.address}: {text}"
        return None, answered

    def _client(self, address: Address) -> ThriftClient:
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


def _may_call_again(method: str, error: StormError) -> bool:
    if isinstance(error, NotLeaderError):
        return True
    assert isinstance(error, ThriftConnectionError)
    if not error.sent:
        return True
    return method.startswith(_READING) and not isinstance(error, ThriftTimeoutError)
