from __future__ import annotations

from typing import TYPE_CHECKING

import corpus
import make_corpus
import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [0, 10, corpus.LONG_BYTES, corpus.LONG_BYTES + 1])
def test_what_is_kept_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(corpus, "CORPUS", tmp_path)
    corpus.save("port", bytes(size), "named")
    found = corpus.save("port", b"x" * size)
    assert found.exists()
    assert {case.data for case in corpus.load("port")} == {bytes(size), b"x" * size}


@pytest.mark.parametrize("surface", make_corpus.SURFACES)
def test_the_named_files_are_what_the_program_writes(surface: str) -> None:
    """But for those whose bytes depend on a library's release: the calls of Thrift, the records and what is packed."""
    kept = {case.name: case.data for case in corpus.load(surface)}
    made = dict(make_corpus.SURFACES[surface]())
    assert made.keys() <= kept.keys()
    for name, data in made.items():
        if not name.startswith(("call-", "sound-", "short-", "long-", "future-", "packed-")):
            assert kept[name] == data, name
