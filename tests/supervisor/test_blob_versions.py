from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm.config.blob_map import BlobUse
from storm.supervisor.blob_versions import (
    Version,
    to_swap,
    unneeded,
    version_of,
    wanted,
    wanted_links,
    wants_restart,
)

WORDS = BlobUse("words.txt", "words")
MODEL = BlobUse("model.tgz", "model", is_unpacked=True, restarts_workers=True)
OLD, NEW = {"words.txt": "a1", "model.tgz": "b1"}, {"words.txt": "a2", "model.tgz": "b2"}
LINKS = {"words": Version("a1"), "model": Version("b1", True)}
ALL_HERE = {Version("a1"), Version("a2"), Version("b1", True), Version("b2", True)}


def test_a_version_is_told_by_the_name_of_its_directory() -> None:
    for version in (Version("0f" * 32), Version("0f" * 32, True)):
        assert version_of(version.name) == version
    for name in ("tmp", "", "0f" * 31, "0F" * 32, "g" * 64, "0f" * 32 + ".tmp"):
        assert version_of(name) is None


def test_a_worker_finds_what_its_blobs_have_now() -> None:
    assert wanted_links([WORDS, MODEL], OLD) == LINKS
    assert wanted_links([WORDS, MODEL], {"words.txt": ""}) == {}
    assert wanted(WORDS, {}) is None


def test_a_link_is_swapped_when_the_new_version_is_here() -> None:
    assert to_swap([WORDS], NEW, {Version("a1")}, LINKS) == {}
    assert to_swap([WORDS], NEW, ALL_HERE, LINKS) == {"words": Version("a2")}
    assert to_swap([WORDS], NEW, ALL_HERE, {"words": Version("a2")}) == {}
    assert to_swap([WORDS], {"words.txt": ""}, ALL_HERE, LINKS) == {}


def test_the_link_of_a_blob_that_restarts_workers_stays_but_for_one_that_is_missing() -> None:
    assert to_swap([MODEL], NEW, ALL_HERE, LINKS) == {}
    assert to_swap([MODEL], NEW, ALL_HERE, {}) == {"model": Version("b2", True)}


def test_a_worker_is_restarted_when_another_one_would_find_all_here() -> None:
    assert wants_restart([WORDS, MODEL], NEW, ALL_HERE, LINKS)
    assert not wants_restart([WORDS, MODEL], NEW, ALL_HERE - {Version("b2", True)}, LINKS)
    assert not wants_restart([WORDS, MODEL], NEW, ALL_HERE - {Version("a2")}, LINKS)
    assert not wants_restart([WORDS, MODEL], OLD, ALL_HERE, LINKS)
    assert not wants_restart([WORDS], NEW, ALL_HERE, LINKS)
    assert not wants_restart([WORDS, MODEL], {**NEW, "model.tgz": ""}, ALL_HERE, LINKS)


uses = st.lists(
    st.builds(BlobUse, st.sampled_from("kl"), st.sampled_from("xyz"), st.booleans(), st.booleans()),
    max_size=3,
    unique_by=lambda use: use.local_name,
)
contents = st.dictionaries(st.sampled_from("kl"), st.sampled_from(["", "a", "b"]))
versions = st.builds(Version, st.sampled_from("ab"), st.booleans())
links = st.dictionaries(st.sampled_from("xyz"), versions)


@given(uses, contents, st.sets(versions), links)
def test_a_worker_never_finds_what_is_not_here_and_comes_to_rest(
    uses: list[BlobUse], contents: dict[str, str], here: set[Version], links: dict[str, Version]
) -> None:
    swaps = to_swap(uses, contents, here, links)
    assert set(swaps.values()) <= here
    after = {**links, **swaps}
    assert to_swap(uses, contents, here, after) == {}
    launched_anew = wanted_links(uses, contents)
    assert not wants_restart(uses, contents, here, launched_anew)


@given(st.sets(versions), st.lists(links, max_size=3), st.sets(versions))
def test_what_is_needed_is_never_removed(
    here: set[Version], needed: list[dict[str, Version]], fetching: set[Version]
) -> None:
    found = unneeded(here, needed, fetching)
    assert found <= here
    assert not found & fetching
    assert all(version not in found for links in needed for version in links.values())
