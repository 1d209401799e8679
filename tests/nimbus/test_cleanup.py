from __future__ import annotations

from storm.nimbus.cleanup import KEEP_LOST_SECS, orphans


def nobody(topology_id: str) -> bool:
    return False


def test_remains_go_once_they_were_seen_for_the_whole_delay() -> None:
    seen, due = orphans({}, ["a", "b"], 300, nobody, 1000)
    assert due == []
    seen, due = orphans(seen, ["b", "c"], 300, nobody, 1200)
    assert due == []
    seen, due = orphans(seen, ["b", "c"], 300, nobody, 1300)
    assert due == ["b"]
    assert seen == {"c": 1200}


def test_what_comes_back_is_counted_from_its_return() -> None:
    seen, _ = orphans({}, ["a"], 300, nobody, 0)
    seen, _ = orphans(seen, [], 300, nobody, 100)
    seen, due = orphans(seen, ["a"], 300, nobody, 350)
    assert (seen, due) == ({"a": 350}, [])


def test_what_was_lost_stays_for_days() -> None:
    asked: list[str] = []

    def lost(topology_id: str) -> bool:
        asked.append(topology_id)
        return topology_id == "lost"

    seen, due = orphans({}, ["lost", "ended"], 300, lost, 0)
    assert (due, asked) == ([], [])
    seen, due = orphans(seen, ["lost", "ended"], 300, lost, 300)
    assert due == ["ended"]
    seen, due = orphans(seen, ["lost"], 300, lost, KEEP_LOST_SECS - 1)
    assert due == []
    seen, due = orphans(seen, ["lost"], 300, lost, KEEP_LOST_SECS)
    assert (seen, due) == ({}, ["lost"])
