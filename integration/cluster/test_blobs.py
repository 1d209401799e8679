"""`storm blobstore`, and the blobs of topologies: found by their workers, updated while they run."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from cluster_site import STORM, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster_site import ClusterSite

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)]

WORKERS = 4  # on three supervisors
BLOB_MAP = {
    "words.txt": {"localname": "words"},
    "model.tgz": {"localname": "model", "uncompress": True, "workerRestart": True},
}


class Blobs:
    """What people do with blobs, and what the workers of topologies/reads_blobs.py see."""

    def __init__(self, cluster: ClusterSite, directory: Path, topologies: Path) -> None:
        self.cluster = cluster
        self.directory = directory
        self.seen_dir = directory / "seen"
        self.seen_dir.mkdir()
        self._file = topologies / "reads_blobs.py"

    def put(self, command: str, key: str, data: bytes) -> None:
        file = self.directory / key
        file.write_bytes(data)
        self.cluster.storm("blobstore", command, "-f", str(file), key)

    def words(self, blob_map: dict[str, Any] | None = None, workers: int = WORKERS) -> list[str]:
        settings = {
            "topology.blobstore.map": json.dumps(BLOB_MAP if blob_map is None else blob_map),
            "reader.dir": str(self.seen_dir),
            "topology.workers": workers,
            "topology.acker.executors": 0,
        }
        words = ["submit", str(self._file), "--name", "reader"]
        return words + [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]

    def submit(self, blob_map: dict[str, Any] | None = None) -> str:
        return str(json.loads(self.cluster.storm(*self.words(blob_map), "--json").stdout)["id"])

    def seen(self) -> dict[str, list[dict[str, Any]]]:
        """{task: what it saw, the last at the end}."""
        return {
            file.name: [json.loads(line) for line in file.read_text().splitlines()] for file in self.seen_dir.iterdir()
        }

    def wait_seen(self, **wanted: Any) -> dict[str, int]:
        """Until every task sees that; {task: its process id} then."""

        def are_seen() -> bool:
            last = [lines[-1] for lines in self.seen().values() if lines]
            return len(last) == WORKERS and all(wanted.items() <= each.items() for each in last)

        self.cluster.wait(are_seen, f"all tasks see {wanted}")
        return {task: lines[-1]["pid"] for task, lines in self.seen().items()}

    def versions(self) -> int:
        """How many versions of blobs there are on the machines of supervisors."""
        dirs = [daemon.local_dir / "supervisor" / "blobs" for daemon in self.cluster.supervisors.values()]
        return sum(len(list(each.iterdir())) for each in dirs)


def model(number: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("number")
        info.size = len(str(number))
        archive.addfile(info, io.BytesIO(str(number).encode()))
    return packed.getvalue()


@pytest.fixture
def blobs(cluster: ClusterSite, tmp_path: Path, topologies: Path) -> Iterator[Blobs]:
    yield Blobs(cluster, tmp_path, topologies)
    for summary in cluster.read("list"):
        cluster.storm("kill", summary["name"], "-w", "0")
    cluster.wait(lambda: not cluster.call("getTopologySummaries"), "the topology is gone")
    for blob in cluster.read("blobstore", "list"):
        cluster.storm("blobstore", "delete", blob["key"])


def test_blobs_are_made_read_updated_and_deleted(cluster: ClusterSite, blobs: Blobs, tmp_path: Path) -> None:
    assert "there are no blobs" in cluster.storm("blobstore", "list").stdout
    data = bytes(range(256)) * 4_000
    blobs.put("create", "data.bin", data)
    [listed] = cluster.read("blobstore", "list")
    assert (listed["key"], listed["version"], listed["size_bytes"], listed["nimbuses"]) == ("data.bin", 1, len(data), 1)
    cluster.storm("blobstore", "cat", "-f", str(tmp_path / "back"), "data.bin")
    assert (tmp_path / "back").read_bytes() == data
    words = [*STORM, "blobstore", "update", "data.bin"]
    subprocess.run(words, env=environment(cluster.conf_dir), input=b"short", check=True, stdout=subprocess.DEVNULL)
    assert cluster.storm("blobstore", "cat", "data.bin").stdout == "short"
    assert "data.bin" in cluster.storm("blobstore", "list", "data.bin").stdout
    assert "on 1 Nimbus" in cluster.storm("blobstore", "replication", "--read", "data.bin").stdout
    assert "on 1 Nimbus" in cluster.storm("blobstore", "replication", "--update", "-r", "2", "data.bin").stdout
    for words in (["create", "data.bin", "-f", "/dev/null"], ["update", "data.bni", "-f", "/dev/null"]):
        assert "data.bin" in cluster.storm("blobstore", *words, code=1).stderr
    cluster.storm("blobstore", "delete", "data.bin")
    for words in (["cat", "data.bin"], ["delete", "data.bin"], ["list", "data.bin"], ["replication", "data.bin"]):
        stderr = cluster.storm("blobstore", *words, code=1).stderr
        assert "No blob 'data.bin'" in stderr
        assert "Traceback" not in stderr
    assert cluster.read("blobstore", "list") == []


def test_a_file_that_is_too_large_is_not_sent(cluster: ClusterSite, blobs: Blobs, tmp_path: Path) -> None:
    blobs.put("create", "words.txt", b"one")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2 << 30)  # a hole: it takes no room on the disk
    for words in (["create", "large.bin"], ["update", "words.txt"]):
        refused = cluster.storm("blobstore", *words, "-f", str(tmp_path / "large"), code=1).stderr
        assert "larger than 536,870,912 bytes, the most that this cluster takes (nimbus.upload.max.bytes)" in refused
    assert list((cluster.nimbus.local_dir / "nimbus" / "inbox").iterdir()) == []
    assert cluster.storm("blobstore", "cat", "words.txt").stdout == "one"


def test_an_upload_that_is_cut_off_changes_nothing(cluster: ClusterSite, blobs: Blobs) -> None:
    blobs.put("create", "words.txt", b"one")
    uploads = cluster.nimbus.local_dir / "nimbus" / "inbox"
    words = [*STORM, "blobstore", "update", "words.txt"]
    with subprocess.Popen(words, env=environment(cluster.conf_dir), stdin=subprocess.PIPE, bufsize=0) as update:
        assert update.stdin is not None
        update.stdin.write(bytes(1_000_000))
        cluster.wait(lambda: any(each.stat().st_size for each in uploads.iterdir()), "some of it has come")
        update.kill()
    assert cluster.storm("blobstore", "cat", "words.txt").stdout == "one"
    assert cluster.read("blobstore", "list", "words.txt")[0]["version"] == 1
    cluster.nimbus.stop()
    cluster.start_nimbus()
    assert cluster.storm("blobstore", "cat", "words.txt").stdout == "one"
    assert list(uploads.iterdir()) == []


def test_workers_find_their_blobs_and_what_becomes_of_them(cluster: ClusterSite, blobs: Blobs) -> None:
    blobs.put("create", "words.txt", b"one two")
    refused = cluster.storm(*blobs.words(), code=1).stderr
    assert "topology.blobstore.map names the blob 'model.tgz', which does not exist" in refused
    assert cluster.read("list") == []

    blobs.put("create", "model.tgz", model(1))
    topology_id = blobs.submit()
    first = blobs.wait_seen(words="one two", model="1", same=True)
    assert (
        "cannot be deleted while topologies want it" in cluster.storm("blobstore", "delete", "words.txt", code=1).stderr
    )

    blobs.put("update", "words.txt", b"three")
    assert blobs.wait_seen(words="three", model="1", same=True) == first
    cluster.wait(lambda: blobs.versions() == 2 * len(cluster.supervisors), "the old version is gone everywhere")

    blobs.put("update", "model.tgz", model(2))
    fewest = WORKERS

    def are_restarted() -> bool:
        nonlocal fewest
        fewest = min(fewest, len(cluster.worker_pids(topology_id)))
        return not set(first.values()) & cluster.worker_pids(topology_id).keys()

    cluster.wait(are_restarted, "every worker is another one", 120)
    assert fewest >= WORKERS - 1
    second = blobs.wait_seen(words="three", model="2", same=True)
    assert not set(second.values()) & set(first.values())
    for lines in blobs.seen().values():
        assert [line["model"] for line in lines if line["pid"] in second.values()] == ["2"]  # never the old one again

    cluster.storm("kill", "reader", "-w", "0")
    cluster.wait(lambda: blobs.versions() == 0, "its blobs are gone from every supervisor")
    cluster.storm("blobstore", "delete", "words.txt")


def test_a_supervisor_and_nimbus_that_were_killed_go_on_where_they_were(cluster: ClusterSite, blobs: Blobs) -> None:
    blobs.put("create", "words.txt", b"one two")
    blobs.put("create", "model.tgz", model(1))
    blobs.submit()
    first = blobs.wait_seen(words="one two", model="1")
    for name, daemon in cluster.supervisors.items():
        daemon.stop()
        cluster.start_supervisor(name)
    cluster.nimbus.stop()
    cluster.start_nimbus()
    blobs.put("update", "words.txt", b"three")
    assert blobs.wait_seen(words="three", model="1") == first


def test_a_blob_that_is_no_archive_is_said_where_it_was_submitted(cluster: ClusterSite, blobs: Blobs) -> None:
    blobs.put("create", "words.txt", b"one two")
    blob_map = {"words.txt": {"localname": "words", "uncompress": True}}
    stderr = cluster.storm(*blobs.words(blob_map, workers=1), code=1).stderr
    assert "could not get its blob 'words.txt': words.txt cannot be unpacked: it is no zip and no tar archive" in stderr
