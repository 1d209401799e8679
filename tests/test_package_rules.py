from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.errors import PackageError
from storm.package_rules import PARTS_MAX, PackageNames, check_name

PARTS = st.sampled_from(["..", ".", "", "a", "A", "b", "ß", "SS", "n" * 255, "n" * 256, "\\", ":", "\0", "\x7f"])


@pytest.mark.parametrize(
    "name", ["a", "a/b.py", "a/", ".gitignore", "ä ö/ü", "...", "/".join("n" * PARTS_MAX), "n" * 255]
)
def test_plain_paths_pass(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "not a plain path"),
        ("/", "not a plain path"),
        ("/a", "not a plain path"),
        ("a/../b", "not a plain path"),
        ("a//b", "not a plain path"),
        ("a\\b", "a character in its name"),
        ("C:a", "a character in its name"),
        ("a\0b", "a character in its name"),
        ("n" * 256, "too long"),
        ("ä" * 128, "too long"),
        ("n/" * PARTS_MAX + "n", "too long"),
        ("nn/" * 60 + "n" * 1000, "too long"),
    ],
)
def test_other_names_are_refused(name: str, complaint: str) -> None:
    with pytest.raises(PackageError, match=complaint):
        check_name(name)


@given(st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join), max_size=8))
def test_names_that_pass_are_different_files_below_one_directory(names: list[str]) -> None:
    """Also on a file system that knows no upper and lower case."""
    package = PackageNames(paths_max=10)
    taken: list[str] = []
    for name in [name for name in names if not name.endswith("/")]:
        try:
            package.add(name)
        except PackageError:
            continue
        taken.append(name)
    folded = [name.casefold() for name in taken]
    assert len(set(folded)) == len(folded)
    for name in taken:
        assert not {"", ".", ".."} & set(name.split("/"))
        assert not any(other.startswith(name.casefold() + "/") for other in folded)
    assert len({"/".join(name.split("/")[:depth]) for name in taken for depth in range(1, 5)}) <= 10


def test_files_and_directories_are_counted_together() -> None:
    package = PackageNames(paths_max=3)
    package.add("a/b/c")
    package.add("a/")
    with pytest.raises(PackageError, match="more than 3 files and directories"):
        package.add("a/b/d")
