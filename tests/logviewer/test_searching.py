from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from storm.http.problems import Problem
from storm.logviewer.log_files import log_name
from storm.logviewer.reading import PIECE_BYTES, Budget
from storm.logviewer.searching import Wanted, from_the_end, search, search_files

if TYPE_CHECKING:
    from pathlib import Path

    from storm.logviewer.finding import FoundIn, FoundInFiles

TEXT = b"one error, two errors\n"


def found(path: Path, clock: Any, wanted: Wanted, secs: float = 10.0) -> FoundIn:
    with path.open("rb") as file:
        return search(file, wanted, Budget(clock, secs), is_packed=path.suffix == ".gz")


@pytest.mark.parametrize("name", ["worker.log", "worker.log.gz"])
def test_a_log_is_searched_from_a_byte_on(host: Any, name: str) -> None:
    data = gzip.compress(TEXT) if name.endswith(".gz") else TEXT
    path = host.put(f"a-1-1/6700/{name}", data)
    first = found(path, host.clock, Wanted("error", 1))
    assert ([match.offset for match in first.matches], first.next_offset, first.is_cut) == ([4], 9, False)
    second = found(path, host.clock, Wanted("error", 5, 9))
    assert ([match.offset for match in second.matches], second.next_offset, second.start) == ([15], None, 9)
    assert second.matches[0].before == TEXT[:15]


def test_where_the_last_match_ends_the_log_there_is_no_more(host: Any) -> None:
    path = host.put("a-1-1/6700/worker.log", "the end")
    assert found(path, host.clock, Wanted("end", 1)).next_offset is None


def test_a_search_that_takes_too_long_says_where_to_go_on(host: Any) -> None:
    path = host.put("a-1-1/6700/worker.log", bytes(5 * PIECE_BYTES) + b"needle")
    host.clock.step_secs = 1.0
    first = found(path, host.clock, Wanted("needle", 1), secs=3.0)
    assert (first.matches, first.is_cut) == ([], True)
    assert first.next_offset is not None
    assert 2 * PIECE_BYTES < first.next_offset < 4 * PIECE_BYTES
    host.clock.step_secs = 0.0
    second = found(path, host.clock, Wanted("needle", 1, first.next_offset))
    assert [match.offset for match in second.matches] == [5 * PIECE_BYTES]


def deep(host: Any, files: list[str], wanted: Wanted, file_offset: int = 0, secs: float = 10.0) -> FoundInFiles:
    names = [log_name(f"a-1-1/6700/{file}") for file in files]
    return search_files(host.artifacts, names, wanted, file_offset, Budget(host.clock, secs))


def test_the_logs_of_a_worker_are_searched_one_after_another(host: Any) -> None:
    host.put("a-1-1/6700/worker.log", "nothing")
    host.put("a-1-1/6700/worker.log.1", "error")
    host.put("a-1-1/6700/worker.log.2.gz", gzip.compress(b"error error"))
    files = ["worker.log", "worker.log.1", "gone", "worker.log.2.gz"]
    every = deep(host, files, Wanted("error", 10))
    assert [(one.name.file, len(one.found.matches)) for one in every.files] == [
        ("worker.log.1", 1), ("worker.log.2.gz", 2),
    ]  # fmt: skip
    assert every.file_offset == len(files)
    two = deep(host, files, Wanted("error", 2))
    assert ([len(one.found.matches) for one in two.files], two.file_offset) == ([1, 1], 3)
    rest = deep(host, files, Wanted("error", 2, two.files[-1].found.next_offset or 0), two.file_offset)
    assert [[match.offset for match in one.found.matches] for one in rest.files] == [[6]]


def test_where_a_log_ends_with_the_last_one_wanted_the_next_is_the_next_file(host: Any) -> None:
    host.put("a-1-1/6700/worker.log", "error")
    host.put("a-1-1/6700/worker.log.1", "error")
    first = deep(host, ["worker.log", "worker.log.1"], Wanted("error", 1))
    assert first.file_offset == 1


def test_all_logs_share_the_time(host: Any) -> None:
    for number in range(9):
        host.put(f"a-1-1/6700/worker.log.{number}", "error")
    host.clock.step_secs = 1.0
    found = deep(host, [f"worker.log.{number}" for number in range(9)], Wanted("error", 100), secs=6.0)
    assert (found.is_cut, found.file_offset) == (True, 2)
    assert [(len(one.found.matches), one.found.is_cut) for one in found.files] == [(1, False), (1, False), (0, True)]


def test_a_damaged_log_is_told_where_it_is_asked_for_and_passed_over_among_others(host: Any) -> None:
    path = host.put("a-1-1/6700/worker.log.1.gz", "no gzip")
    host.put("a-1-1/6700/worker.log", "error")
    with pytest.raises(Problem):
        found(path, host.clock, Wanted("error", 1))
    assert len(deep(host, ["worker.log.1.gz", "worker.log"], Wanted("error", 1)).files) == 1


def test_a_log_is_searched_from_its_end_and_places_across_its_pieces_are_found(host: Any) -> None:
    data = b"needle" + bytes(PIECE_BYTES - 3) + b"needle" + bytes(PIECE_BYTES - 9) + b"needle needle"
    path = host.put("a-1-1/6700/worker.log", data)
    with path.open("rb", buffering=0) as file:
        offsets = [match.offset for match in from_the_end(file, b"needle", Budget(host.clock))]
    assert offsets == [len(data) - 6, len(data) - 13, PIECE_BYTES + 3, 0]


def test_a_search_from_the_end_ends_with_its_budget(host: Any) -> None:
    path = host.put("a-1-1/6700/worker.log", b"needle" + bytes(3 * PIECE_BYTES) + b"needle")
    with path.open("rb", buffering=0) as file:
        found = list(from_the_end(file, b"needle", Budget(host.clock, bytes_max=PIECE_BYTES)))
    assert len(found) == 1
