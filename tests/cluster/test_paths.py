from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.cluster import paths


def test_the_layout_is_storms() -> None:
    assert paths.storm("wc-1-1700000000") == "/storms/wc-1-1700000000"
    assert paths.assignment("wc-1-1700000000") == "/assignments/wc-1-1700000000"
    assert paths.supervisor("node-1") == "/supervisors/node-1"
    assert paths.log_config("wc-1") == "/logconfigs/wc-1"
    assert paths.component_errors("wc-1", "my bolt/1") == "/errors/wc-1/my+bolt%2F1"
    assert paths.last_error("wc-1", "split") == "/errors/wc-1/split-last-error"
    assert paths.nimbus("h", 6627) == "/nimbuses/h%3A6627"
    assert paths.blob("wc-1-1-stormjar.jar") == "/blobstore/wc-1-1-stormjar.jar"
    assert paths.blob_replica("k", "h:6627", "aa") == "/blobstore/k/h%3A6627-aa"
    assert paths.user_blob("a b.txt") == "/userblobs/a+b.txt"
    assert paths.restart_turn("wc-1-1") == "/restartturns/wc-1-1"


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.sampled_from(
    [".", "..", "~", "*", "%", "%2E", "+", "a/b", "é"]
)


@given(names)
def test_any_name_is_one_legal_node_and_comes_back(name: str) -> None:
    path = paths.storm(name)
    assert paths.checked(path) == path
    assert paths.parent(path) == paths.STORMS
    assert path.isascii()
    assert paths.name_of(path.rpartition("/")[2]) == name


@given(names)
def test_a_replica_says_who_and_what(host: str) -> None:
    node = paths.blob_replica("k", f"{host}:6627", "00ff").rpartition("/")[2]
    assert paths.replica_of(node) == (f"{host}:6627", "00ff")


def test_a_lone_surrogate_is_a_legal_node_too() -> None:
    assert paths.checked(paths.storm("\ud800")).isascii()


@given(names, names)
def test_two_names_are_two_nodes(one: str, other: str) -> None:
    assert (paths.node_name(one) == paths.node_name(other)) == (one == other)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        paths.storm("")


def test_components_with_errors_are_told_from_their_last_errors() -> None:
    assert paths.components_with_errors([]) == []
    assert paths.components_with_errors(["split", "split-last-error", "new-last-error"]) == ["split"]
    tricky = ["a-last-error", "a-last-error-last-error"]
    assert paths.components_with_errors(tricky) == ["a-last-error"]
    assert paths.components_with_errors(["a", *tricky]) == ["a", "a-last-error"]
    assert paths.components_with_errors(["my+bolt%2F1", "my+bolt%2F1-last-error"]) == ["my bolt/1"]


def test_a_sequence_number_is_ten_digits_at_the_end() -> None:
    assert paths.sequence_number("e0000000012") == 12
    assert paths.sequence_number("0000000000") == 0
    for node in ("", "e", "e12", "e00000000x1", "e००००००००००", "e-000000001"):
        assert paths.sequence_number(node) is None
