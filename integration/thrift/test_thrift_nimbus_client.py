"""Finding the leader over the seeds, following it when it changes, and moving files."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import socket
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from tcp_proxy import TcpProxy, Truncation

from storm.client.blobs import create_blob
from storm.clock import SystemClock
from storm.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    CoordinationError,
    NimbusUnreachableError,
    NoPermissionError,
    NotLeaderError,
    StormError,
    ThriftConnectionError,
    TopologyNotAliveError,
    UploadNotFoundError,
)
from storm.nimbus.file_transfers import Uploads
from storm.testing.simulated_clock import SimulatedClock
from storm.thrift.interface import storm_thrift
from storm.thrift.nimbus_client import UPLOAD_CHUNK_BYTES, Address, NimbusClient, parse_address
from storm.thrift.server import ThriftServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_SECS = 20.0
BLOB = bytes(range(256)) * 1000


class Cluster:
    """Which Nimbus leads; None while there is none."""

    leader: ThriftServer | None = None
    leaders_host = "127.0.0.1"  # as it is told
    refusals = 0  # of the leader, which is not ready yet


class Nimbus:
    """One Nimbus of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.server = ThriftServer("Nimbus", self, host="127.0.0.1", port=0)
        self.activated: list[str] = []
        self.uploads: dict[str, list[bytes]] = {}
        self.announced_bytes = len(BLOB)
        self.has_blob = True
        self.killed: list[str] = []
        self.lose_answers = 0
        self.parts: list[bytes] = []
        self.cancelled: list[str] = []

    def getLeader(self) -> Any:
        leader = self.cluster.leader
        if leader is None:
            raise StormError("no Nimbus leads at the moment")
        return storm_thrift().NimbusSummary(
            host=self.cluster.leaders_host, port=leader.port, uptime_secs=1, isLeader=True, version="0",
            is_answering=leader is self.server,
        )  # fmt: skip

    def activate(self, name: str) -> None:
        if self.cluster.leader is not self.server or self.cluster.refusals > 0:
            self.cluster.refusals -= 1
            raise NotLeaderError("another Nimbus leads")
        self.activated.append(name)
        if name == "unknown":
            raise TopologyNotAliveError("no topology 'unknown'")
        if name == "forbidden":
            raise NoPermissionError("ZooKeeper gives no permission to write /storms/forbidden")

    def setLogConfig(self, name: str, config: Any) -> None:
        self.server.stop()

    def killTopology(self, name: str) -> None:
        if name in self.killed:
            raise TopologyNotAliveError(f"no topology {name!r}")
        self.killed.append(name)
        if self.lose_answers:
            self.lose_answers -= 1
            raise CoordinationError("ZooKeeper did not answer")

    def beginFileUpload(self) -> str:
        self.uploads["place"] = []
        return "place"

    def uploadChunk(self, location: str, chunk: bytes) -> None:
        self.uploads[location].append(chunk)

    def finishFileUpload(self, location: str) -> None:
        self.uploads[location].append(b"finished")

    def cancelBlobUpload(self, session: str) -> None:
        self.cancelled.append(session)
        if session not in self.uploads:
            raise UploadNotFoundError(session)

    def getBlobMeta(self, key: str) -> Any:
        if key != "known" or not self.has_blob:
            raise BlobNotFoundError(f"no blob {key!r}")
        t = storm_thrift()
        return t.ReadableBlobMeta(settable=t.SettableBlobMeta(acl=[]), version=3, sha256="ab")

    def beginBlobDownload(self, key: str) -> Any:
        self.parts = [BLOB[:100_000], BLOB[100_000:], b""]
        return storm_thrift().BeginDownloadResult(version=3, session="s", data_size=self.announced_bytes)

    def downloadBlobChunk(self, session: str) -> bytes:
        return self.parts.pop(0)


@pytest.fixture
def nimbuses() -> Iterator[list[Nimbus]]:
    """Two of them; the second leads."""
    cluster = Cluster()
    found = [Nimbus(cluster), Nimbus(cluster)]
    with contextlib.ExitStack() as stack:
        for nimbus in found:
            nimbus.server.start()
            stack.callback(nimbus.server.stop)
        cluster.leader = found[1].server
        yield found


def client_of(nimbuses: list[Nimbus], **options: float) -> NimbusClient:
    seeds = [f"127.0.0.1:{nimbus.server.port}" for nimbus in nimbuses]
    return NimbusClient(seeds, 6627, TIMEOUT_SECS, **options)


def test_the_leader_is_found_and_followed(nimbuses: list[Nimbus]) -> None:
    first, second = nimbuses
    with client_of([first]) as client:
        client.call("activate", "a")
        first.cluster.leader = first.server
        client.call("activate", "b")
    assert (second.activated, first.activated) == (["a"], ["b"])


def test_a_seed_that_is_down_is_passed_over(nimbuses: list[Nimbus]) -> None:
    nimbuses[0].server.stop()
    with client_of(nimbuses) as client:
        client.call("activate", "a")
    assert nimbuses[1].activated == ["a"]


def test_a_leader_that_calls_itself_otherwise_is_used_as_the_seed_that_it_is(nimbuses: list[Nimbus]) -> None:
    nimbuses[0].cluster.leaders_host = "nimbus-2.invalid"
    with client_of(nimbuses) as client:
        client.call("activate", "a")
    assert nimbuses[1].activated == ["a"]


def test_errors_of_the_leader_come_out(nimbuses: list[Nimbus]) -> None:
    with client_of(nimbuses) as client, pytest.raises(TopologyNotAliveError, match="no topology 'unknown'"):
        client.call("activate", "unknown")


def test_each_address_and_what_it_said_is_listed(nimbuses: list[Nimbus]) -> None:
    first, second = nimbuses
    first.cluster.leader = None
    second.server.stop()
    with (
        client_of(nimbuses, leader_wait_secs=0) as client,
        pytest.raises(NimbusUnreachableError) as caught,
    ):
        client.call("getLeader")
    assert str(caught.value).splitlines()[1:] == [
        f"  127.0.0.1:{first.server.port}: no Nimbus leads at the moment",
        f"  127.0.0.1:{second.server.port}: nothing listens there",
    ]


def test_no_wait_where_nothing_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = NimbusClient(["127.0.0.1"], port, TIMEOUT_SECS, leader_wait_secs=1e9)
    with pytest.raises(NimbusUnreachableError, match="nothing listens there"):
        client.call("getLeader")


def test_a_call_that_may_have_been_carried_out_is_not_repeated(nimbuses: list[Nimbus]) -> None:
    with client_of(nimbuses) as client, pytest.raises(ThriftConnectionError) as caught:
        client.call("setLogConfig", "a", storm_thrift().LogConfig(named_logger_level={}))
    assert caught.value.sent


def test_a_leader_that_is_not_ready_yet_is_asked_again(nimbuses: list[Nimbus]) -> None:
    nimbuses[0].cluster.refusals = 4
    with client_of(nimbuses) as client:
        client.call("activate", "a")
    assert nimbuses[1].activated == ["a"]


def test_nimbuses_that_refuse_for_ever_are_not_asked_for_ever(nimbuses: list[Nimbus]) -> None:
    nimbuses[0].cluster.refusals = 10**9
    with client_of(nimbuses, leader_wait_secs=1) as client, pytest.raises(NotLeaderError):
        client.call("activate", "a")


def test_what_zookeeper_does_not_permit_is_not_asked_for_again(nimbuses: list[Nimbus]) -> None:
    with client_of(nimbuses) as client, pytest.raises(NoPermissionError, match="/storms/forbidden"):
        client.call("activate", "forbidden")
    assert nimbuses[1].activated == ["forbidden"]


def test_a_kill_whose_answer_was_lost_is_repeated_and_done_once(nimbuses: list[Nimbus]) -> None:
    nimbuses[1].lose_answers = 1
    with client_of(nimbuses) as client:
        client.call("killTopology", "a")
        with pytest.raises(TopologyNotAliveError):
            client.call("killTopology", "a")
    assert nimbuses[1].killed == ["a"]


def test_it_says_what_it_waits_for(nimbuses: list[Nimbus], caplog: pytest.LogCaptureFixture) -> None:
    nimbuses[0].cluster.leader = None
    clock = SimulatedClock()
    seeds = [f"127.0.0.1:{nimbus.server.port}" for nimbus in nimbuses]
    with (
        NimbusClient(seeds, 6627, TIMEOUT_SECS, clock=clock) as client,
        pytest.raises(NimbusUnreachableError, match="no Nimbus leads at the moment"),
    ):
        client.call("activate", "a")
    assert caplog.text.count("Waiting up to 30 s for a Nimbus to lead") == 1
    assert clock.now() >= 30


@pytest.mark.parametrize("size", [0, 10, UPLOAD_CHUNK_BYTES, 2 * UPLOAD_CHUNK_BYTES + 1])
def test_a_file_is_uploaded_in_chunks(nimbuses: list[Nimbus], tmp_path: Path, size: int) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(bytes(size))
    told: list[tuple[int, int]] = []
    with client_of(nimbuses) as client:
        assert client.upload_file(path, lambda done, total: told.append((done, total))) == "place"
    *chunks, last = nimbuses[1].uploads["place"]
    assert b"".join(chunks) == bytes(size)
    assert last == b"finished"
    assert all(len(chunk) <= UPLOAD_CHUNK_BYTES for chunk in chunks)
    assert told[-1:] == ([(size, size)] if size else [])


def test_a_leader_of_the_former_release_that_comes_meanwhile_has_nothing_of_the_upload(
    nimbuses: list[Nimbus], tmp_path: Path
) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(bytes(2 * UPLOAD_CHUNK_BYTES))
    leader: Any = nimbuses[1]

    def takes_one(location: str, offset: int, part: bytes) -> int:
        del leader.uploadPart
        return offset + len(part)

    for upload_part in (takes_one, lambda location, offset, part: offset + len(part)):
        leader.uploadPart = upload_part
        with client_of(nimbuses) as client, pytest.raises(UploadNotFoundError, match="begin another"):
            client.upload_file(path)


class Receiver:
    """A leading Nimbus that takes uploads, behind a proxy; a blob's goes under the key `blob` when it is finished."""

    def __init__(self, directory: Path) -> None:
        self.uploads = Uploads(directory, 1 << 30, 600, clock=SystemClock(), rng=random.Random(1))
        self.server = ThriftServer("Nimbus", self, host="127.0.0.1", port=0)
        self.server.start()
        self.proxy = TcpProxy(("127.0.0.1", self.server.port))
        self.beginFileUpload, self.uploadPart = self.uploads.begin, self.uploads.put
        self.finishUpload, self.cancelBlobUpload = self.uploads.finish_verified, self.uploads.discard
        self.blob = b""

    def getLeader(self) -> Any:
        return storm_thrift().NimbusSummary(
            host="127.0.0.1", port=self.proxy.port, uptime_secs=1, isLeader=True, version="0"
        )

    def beginCreateBlob(self, key: str, meta: Any, size_bytes: int) -> str:
        return self.uploads.begin()

    def finishBlobUpload(self, session: str) -> None:
        self.uploads.finish(session)
        self.blob = self.uploads.path(session, "").read_bytes()

    def getBlobMeta(self, key: str) -> Any:
        settable = storm_thrift().SettableBlobMeta(acl=[])
        return storm_thrift().ReadableBlobMeta(
            settable=settable, version=1, sha256=hashlib.sha256(self.blob).hexdigest()
        )


def test_an_upload_over_a_link_that_breaks_goes_on_where_it_was(tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a.bin", random.Random(7).randbytes(20 * UPLOAD_CHUNK_BYTES))
    path = tmp_path / "package.zip"
    path.write_bytes(data.getvalue())
    receiver = Receiver(tmp_path / "inbox")
    broken = receiver.proxy.to_server.change = Truncation(seed=3, every_bytes=4 * UPLOAD_CHUNK_BYTES)
    told: list[int] = []
    with receiver.proxy, NimbusClient([f"127.0.0.1:{receiver.proxy.port}"], 6627, TIMEOUT_SECS) as client:
        location = client.upload_file(path, lambda done, total: told.append(done))
    assert broken.cuts >= 2
    assert told == sorted(told), "nothing was sent anew but the chunk that broke off"
    assert b"".join(receiver.uploads.package(location)) == data.getvalue()
    receiver.server.stop()


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), StormError("of who is told how far it is")])
def test_of_an_upload_that_is_given_up_nothing_stays(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(bytes(2 * UPLOAD_CHUNK_BYTES))
    receiver = Receiver(tmp_path / "inbox")
    seen: list[int] = []

    def told(done: int, total: int) -> None:
        seen.extend(each.stat().st_size for each in (tmp_path / "inbox").iterdir())
        raise failure

    with NimbusClient([f"127.0.0.1:{receiver.server.port}"], 6627, TIMEOUT_SECS) as client:
        with pytest.raises(type(failure)):
            client.upload_file(path, told)
        client.cancel_upload("never heard of")
    assert (seen, list((tmp_path / "inbox").iterdir())) == ([UPLOAD_CHUNK_BYTES], [])
    receiver.proxy.close()
    receiver.server.stop()


def test_an_upload_is_cancelled_once_whoever_leads_and_nobody_waits_for_that(nimbuses: list[Nimbus]) -> None:
    clock = SimulatedClock()
    seeds = [f"127.0.0.1:{nimbus.server.port}" for nimbus in nimbuses]
    with NimbusClient(seeds, 6627, TIMEOUT_SECS, clock=clock) as client:
        client.cancel_upload("of whom no Nimbus was asked")
        location = client.call("beginFileUpload")
        nimbuses[0].cluster.leader = None
        client.close()  # as after a call that nobody answered
        for each in (location, "never heard of"):
            client.cancel_upload(each)
        nimbuses[1].server.stop()
        client.cancel_upload(location)
    assert (nimbuses[1].cancelled, nimbuses[0].cancelled) == ([location, "never heard of"], [])
    assert clock.now() == SimulatedClock().now()


def test_a_blob_from_a_pipe_over_a_link_that_breaks_goes_on_where_it_was(tmp_path: Path) -> None:
    data = random.Random(7).randbytes(12 * UPLOAD_CHUNK_BYTES + 5)
    receiver = Receiver(tmp_path / "inbox")
    broken = receiver.proxy.to_server.change = Truncation(seed=3, every_bytes=4 * UPLOAD_CHUNK_BYTES)
    with receiver.proxy, NimbusClient([f"127.0.0.1:{receiver.proxy.port}"], 6627, TIMEOUT_SECS) as client:
        create_blob(client, "words.txt", io.BytesIO(data))
    assert broken.cuts >= 2
    assert receiver.blob == data
    receiver.server.stop()


def test_a_blob_is_downloaded(nimbuses: list[Nimbus]) -> None:
    received = bytearray()
    with client_of(nimbuses) as client:
        meta = client.download_blob("known", received.extend)
        assert (meta.version, meta.sha256) == (3, "ab")
        assert received == BLOB
        with pytest.raises(BlobNotFoundError, match="no blob 'x'"):
            client.download_blob("x", received.extend)


def test_a_blob_that_the_leader_lacks_comes_from_another_nimbus(nimbuses: list[Nimbus]) -> None:
    nimbuses[1].has_blob = False
    received = bytearray()
    with client_of(nimbuses) as client:
        assert client.download_blob("known", received.extend).version == 3
        client.call("activate", "a")
    assert received == BLOB
    assert nimbuses[1].activated == ["a"]


def test_a_blob_that_ends_early_is_corrupt(nimbuses: list[Nimbus]) -> None:
    nimbuses[1].announced_bytes += 1
    with client_of(nimbuses) as client, pytest.raises(BlobCorruptError, match="256000 bytes came of 256001"):
        client.download_blob("known", lambda _: None)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a", Address("a", 6627)),
        ("a:1", Address("a", 1)),
        ("[::1]:2", Address("::1", 2)),
        ("[::1]", Address("::1", 6627)),
        ("::1", Address("::1", 6627)),
    ],
)
def test_seeds(text: str, address: Address) -> None:
    assert parse_address(text, 6627) == address
    assert parse_address(str(address), 6627) == address


@pytest.mark.parametrize("text", ["", ":1", "a:b", "[]:1"])
def test_seeds_that_are_no_address(text: str) -> None:
    with pytest.raises(NimbusUnreachableError, match="neither a host nor host:port"):
        parse_address(text, 6627)
