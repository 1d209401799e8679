from __future__ import annotations

from storm.nimbus.cleanup import blob_keys, blob_owners, orphans


def test_blobs_belong_to_the_topology_in_their_key() -> None:
    keys = [*blob_keys("wc-1-100"), *blob_keys("a-b-2-7"), "users.own", "-stormish.ser"]
    assert blob_owners(keys) == {"wc-1-100", "a-b-2-7"}


def test_remains_go_once_they_were_seen_for_the_whole_delay() -> None:
    seen, due = orphans({}, ["a", "b"], 300, 1000)
    assert due == []
    seen, due = orphans(seen, ["b", "c"], 300, 1200)
    assert due == []
    seen, due = orphans(seen, ["b", "c"], 300, 1300)
    assert due == ["b"]
    assert seen == {"c": 1200}


def test_what_comes_back_is_counted_from_its_return() -> None:
    seen, _ = orphans({}, ["a"], 300, 0)
    seen, _ = orphans(seen, [], 300, 100)
    seen, due = orphans(seen, ["a"], 300, 350)
    assert (seen, due) == ({"a": 350}, [])
