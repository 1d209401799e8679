from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from storm.ids import ExecutorId
from storm.worker.launch import Launch
from storm.worker.suspects_file import SUSPECTS_FILE, caution_of, read, save

LAUNCH = Launch(
    "wc-1-0", "a", "127.0.0.1", "127.0.0.1", 6700, "w", 3, (ExecutorId(1, 2),), 6628, Path("/dist"), Path("/logs")
)
SUSPECT = ("spout", "('orders', 7)")


def test_what_one_process_noted_the_next_one_finds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = replace(LAUNCH, log_dir=tmp_path, deaths=2)
    first = caution_of(told)
    assert first is not None
    first.emits(SUSPECT)
    caplog.clear()
    second = caution_of(replace(told, deaths=3))
    assert second is not None
    assert (second.deaths, second.seen(SUSPECT)) == (3, 1)
    assert "died 3 times in a row" in caplog.text
    assert "Under way alone when it died, and how often: ('orders', 7) of spout (1)." in caplog.text


def test_a_worker_that_did_not_die_twice_begins_anew(tmp_path: Path) -> None:
    told = replace(LAUNCH, log_dir=tmp_path)
    save(tmp_path / SUSPECTS_FILE, {SUSPECT: 2})
    for deaths in (1, 0):
        assert caution_of(replace(told, deaths=deaths)) is None
        assert not (tmp_path / SUSPECTS_FILE).exists()


@pytest.mark.parametrize("content", ["", "{", "[1]", '[["spout", "7"]]', '[["spout", "7", "x"]]', "\udcff"])
def test_a_file_that_is_none_of_ours_says_nothing(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / SUSPECTS_FILE).write_text(content, errors="surrogateescape")
    assert read(tmp_path / SUSPECTS_FILE) == {}
    assert "cannot be read" in caplog.text


def test_a_disk_that_takes_nothing_is_told_and_harms_no_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "none" / SUSPECTS_FILE, {SUSPECT: 1})
    assert "cannot be written" in caplog.text
