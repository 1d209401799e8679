from __future__ import annotations

from storm.ui.pages.regions import Versions, regions


def test_each_region_is_found_with_all_that_is_in_it() -> None:
    html = (
        '<main><section data-live="a">1<section class="x"><section>2</section></section>3</section>'
        '<section id="still">no</section>'
        '<section class="y" data-live="b-2" role="status"></section></main>'
    )
    assert regions(html) == {"a": '1<section class="x"><section>2</section></section>3', "b-2": ""}


def test_text_that_looks_like_a_region_is_none() -> None:
    html = '<section data-live="a">&lt;section data-live=&#34;b&#34;&gt;&lt;/section&gt;</section>'
    assert list(regions(html)) == ["a"]


def test_whoever_has_seen_a_version_is_told_what_came_after_it() -> None:
    versions = Versions()
    assert versions.since(0) == {}
    assert versions.put({"a": "1", "b": "1"})
    assert versions.put({"a": "1", "b": "1"}) is False
    assert versions.version == 1
    assert versions.put({"a": "2"})
    assert versions.put({"b": "2"})
    assert versions.since(0) == {"a": "2", "b": "2"}
    assert versions.since(1) == {"a": "2", "b": "2"}
    assert versions.since(2) == {"b": "2"}
    assert versions.since(versions.version) == {}


def test_a_region_that_becomes_empty_is_a_change() -> None:
    versions = Versions()
    versions.put({"notice": "gone"})
    assert versions.put({"notice": ""})
    assert versions.since(1) == {"notice": ""}
