"""Blobs: the code, configuration and package of each topology, and what people put there, by key.

Keys of a topology: `<id>-stormcode.ser` (Thrift StormTopology), `<id>-stormconf.ser` (JSON), `<id>-stormjar.jar`
(zip of the user's code). A blob is never changed: it is created whole, read and deleted. What people put there can be
updated, so each content of it is a blob of its own, `<key>.<sha256>`; which one is the present one, ZooKeeper knows.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from storm.errors import BlobCorruptError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from storm.ids import TopologyId

CHUNK_BYTES = 65_536
KEY_BYTES_MAX = 250  # a key is a directory's name, and 255 bytes is what file systems take

USER_KEY_BYTES_MAX = KEY_BYTES_MAX - 65  # a dot and a hash follow it
_VERSION = re.compile(r"\.[0-9a-f]{64}\Z")
_KEY = re.compile(r"[\w \t._-]+\Z")  # Storm's pattern; letters of any script


class BlobMeta(NamedTuple):
    """What is known of a blob without reading it. `sha256` is in hex; `version` is 1, as blobs do not change."""

    key: str
    size_bytes: int
    sha256: str
    version: int = 1


class BlobStore(Protocol):
    """Where blobs are. Two implementations pass the same contract tests: `local_fs` and `memory`.

    Every method that takes a key raises ValueError for one that is not legal (`checked_key`), and every
    method may raise BlobStoreError where the disk fails.
    """

    def create(self, key: str, chunks: Iterable[bytes]) -> BlobMeta:
        """Store a blob, whole or not at all. Raises BlobAlreadyExistsError."""

    def read(self, key: str) -> Iterator[bytes]:
        """Its bytes, CHUNK_BYTES at a time and the rest. Raises BlobNotFoundError before the first chunk.

        Raises BlobCorruptError instead of the last chunk if they are not what was stored: who got all chunks
        has the blob as it was.
        """

    def meta(self, key: str) -> BlobMeta:
        """Raises BlobNotFoundError, BlobCorruptError."""

    def delete(self, key: str) -> None:
        """Raises BlobNotFoundError. Who reads it now may read on or be told that it is gone."""

    def keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`, sorted."""


def code_key(topology_id: TopologyId) -> str:
    return f"{topology_id}-stormcode.ser"


def conf_key(topology_id: TopologyId) -> str:
    return f"{topology_id}-stormconf.ser"


def jar_key(topology_id: TopologyId) -> str:
    return f"{topology_id}-stormjar.jar"


def topology_keys(topology_id: TopologyId) -> tuple[str, str, str]:
    """The keys of a topology's three blobs."""
    return code_key(topology_id), conf_key(topology_id), jar_key(topology_id)


def version_key(key: str, sha256: str) -> str:
    """The key of one content of a blob that people made."""
    return f"{key}.{sha256}"


def is_version_key(key: str) -> bool:
    """Whether `version_key` made it."""
    return _VERSION.search(key) is not None


def verified(chunks: Iterable[bytes], key: str, sha256: str) -> Iterator[bytes]:
    """`chunks` as they come; raises BlobCorruptError at the end if they do not have this hash."""
    digest, size_bytes = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size_bytes += len(chunk)
        yield chunk
    if digest.hexdigest() != sha256:
        raise BlobCorruptError(f"The {size_bytes:,} bytes that came as the blob {key!r} do not have the hash {sha256}.")


def checked_key(key: str) -> str:
    """`key`, if it is legal. Raises ValueError."""
    if not _KEY.match(key) or key in {".", ".."}:
        raise ValueError(f"{key[:40]!r} cannot be a blob's key: use letters, digits, spaces and the characters . _ -")
    if (size_bytes := len(key.encode())) > KEY_BYTES_MAX:
        raise ValueError(f"The blob key {key[:40]!r}... takes {size_bytes} bytes; the most is {KEY_BYTES_MAX}.")
    return key
