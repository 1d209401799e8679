from __future__ import annotations

from storm.scheduler.tags import fits, tags_of


def test_tags_are_words_and_facts() -> None:
    assert tags_of({"tags": "gpu, ssd fast", "zone": "east"}) == {"gpu", "ssd", "fast", "zone=east"}
    assert tags_of({"tags": " , "}) == tags_of({}) == frozenset()


def test_a_host_fits_if_it_has_all_that_are_wanted() -> None:
    meta = {"tags": "gpu, ssd", "zone": "east"}
    assert fits([], {})
    assert fits(["gpu", "zone=east"], meta)
    assert not fits(["gpu", "zone=west"], meta)
    assert not fits(["zone"], meta)
