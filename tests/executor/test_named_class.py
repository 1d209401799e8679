from __future__ import annotations

from collections import Counter

import pytest

from storm.executor.named_class import named_class


@pytest.mark.parametrize("name", ["collections.Counter", "collections:Counter"])
def test_it_is_found_with_a_dot_or_a_colon(name: str) -> None:
    assert named_class(name) is Counter


@pytest.mark.parametrize(
    ("name", "said"),
    [("collections.Nobody", "Nobody"), ("nobody.Counter", "nobody"), ("Counter", "Empty module name"), ("", "Empty")],
)
def test_what_is_not_there_is_an_import_error(name: str, said: str) -> None:
    with pytest.raises(ImportError, match=said):
        named_class(name)
