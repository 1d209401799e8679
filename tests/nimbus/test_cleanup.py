from __future__ import annotations

from storm.nimbus.cleanup import orphans


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
