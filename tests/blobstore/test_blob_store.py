from __future__ import annotations

import hashlib

import pytest

from storm.blobstore.blob_store import checked_key, topology_keys, verified
from storm.errors import BlobCorruptError


def test_the_keys_of_a_topology_are_storms() -> None:
    keys = topology_keys("wc-1-1700000000")
    assert keys == (
        "wc-1-1700000000-stormcode.ser",
        "wc-1-1700000000-stormconf.ser",
        "wc-1-1700000000-stormjar.jar",
    )
    assert [checked_key(key) for key in keys] == list(keys)


def test_bytes_are_passed_on_and_then_vouched_for() -> None:
    sha256 = hashlib.sha256(b"abc").hexdigest()
    assert list(verified([b"a", b"bc"], "k", sha256)) == [b"a", b"bc"]
    for chunks in ([b"abd"], [b"ab"], [], [b"abc", b"d"]):
        with pytest.raises(BlobCorruptError, match="'k' do not have the hash"):
            list(verified(chunks, "k", sha256))
