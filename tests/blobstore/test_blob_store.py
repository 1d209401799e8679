from __future__ import annotations

from storm.blobstore.blob_store import checked_key, topology_keys


def test_the_keys_of_a_topology_are_storms() -> None:
    keys = topology_keys("wc-1-1700000000")
    assert keys == (
        "wc-1-1700000000-stormcode.ser",
        "wc-1-1700000000-stormconf.ser",
        "wc-1-1700000000-stormjar.jar",
    )
    assert [checked_key(key) for key in keys] == list(keys)
