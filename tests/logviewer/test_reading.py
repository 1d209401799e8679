from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from storm.http.problems import Problem
from storm.logviewer.logs import Part
from storm.logviewer.reading import HEAD_BYTES, PIECE_BYTES, Budget, begins_as, head_of, pieces, read_part

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(range(256)) * (PIECE_BYTES // 128)  # two pieces and more


def part(path: Path, clock: Any, start: int | None, length: int, secs: float = 10.0) -> Part:
    with path.open("rb") as file:
        budget = Budget(clock, secs)
        return read_part(file, budget, is_packed=path.suffix == ".gz", start=start, length=length)


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (None, 2, Part(b"ef", 4, 6, True)),
        (None, 99, Part(b"abcdef", 0, 6, True)),
        (0, 2, Part(b"ab", 0, 6, False)),
        (4, 2, Part(b"ef", 4, 6, True)),
        (99, 2, Part(b"", 6, 6, True)),
    ],
)
def test_a_part_of_a_log(host: Any, start: int | None, length: int, expected: Part) -> None:
    assert part(host.put("a-1-1/6700/worker.log", b"abcdef"), host.clock, start, length) == expected


def test_a_part_of_a_packed_log(host: Any) -> None:
    path = host.put("a-1-1/6700/worker.log.1.gz", gzip.compress(DATA))
    assert part(path, host.clock, None, 4) == Part(DATA[:4], 0, None, False)
    assert part(path, host.clock, PIECE_BYTES + 1, 7) == Part(DATA[PIECE_BYTES + 1 :][:7], PIECE_BYTES + 1, None, False)
    end = len(DATA) - 3
    assert part(path, host.clock, end, 7) == Part(DATA[-3:], end, len(DATA), True)
    end = len(DATA)
    assert part(path, host.clock, end + 7, 4) == Part(b"", end, end, True)


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda data: b"no gzip", lambda data: b""])
def test_a_damaged_packed_log_is_told(host: Any, spoil: Any) -> None:
    path = host.put("a-1-1/6700/worker.log.1.gz", spoil(gzip.compress(DATA)))
    if not path.read_bytes():
        assert part(path, host.clock, None, 4) == Part(b"", 0, 0, True)
        return
    with pytest.raises(Problem) as refused:
        part(path, host.clock, len(DATA), 4)
    assert refused.value.status == 422


def test_unpacking_ends_with_the_time_for_it(host: Any) -> None:
    path = host.put("a-1-1/6700/worker.log.1.gz", gzip.compress(bytes(16 << 20)))
    host.clock.step_secs = 1.0
    with pytest.raises(Problem, match="takes too long") as refused:
        part(path, host.clock, 15 << 20, 4, secs=3.0)
    assert refused.value.status == 503


def test_all_of_a_log_comes_in_pieces_that_fit_into_memory(host: Any) -> None:
    plain = host.put("a-1-1/6700/worker.log", DATA)
    packed = host.put("a-1-1/6700/worker.log.gz", gzip.compress(DATA))
    for path in (plain, packed):
        for start in (0, 5, PIECE_BYTES + 5, len(DATA) + 5):
            with path.open("rb") as file:
                found = list(pieces(file, is_packed=path is packed, start=start))
            assert b"".join(found) == DATA[start:]
            assert max(map(len, found), default=0) <= PIECE_BYTES


def test_a_budget_is_of_time_and_bytes(host: Any) -> None:
    budget = Budget(host.clock, secs=5.0, bytes_max=10)
    budget.take(9)
    assert not budget.is_spent
    budget.take(1)
    assert budget.is_spent
    budget = Budget(host.clock, secs=5.0, bytes_max=10)
    host.clock.secs += 5.0
    assert budget.is_spent


def test_a_log_is_told_by_its_beginning(host: Any) -> None:
    path = host.put("words-1-1/6700/worker.log", "one\n")
    with path.open("rb") as file:
        head = head_of(file)
        assert begins_as(file, head)
        path.write_bytes(b"one\ntwo\n" + bytes(HEAD_BYTES))
        assert begins_as(file, head)
        assert begins_as(file, head_of(file))
        path.write_bytes(b"ONE\ntwo\n" + bytes(HEAD_BYTES))
        assert not begins_as(file, head)
        path.write_bytes(b"o")
        assert not begins_as(file, head)
        for nonsense in ("", "x", "-", "4", "999-0", "-1-0", "4-", "\u0664-0"):
            assert not begins_as(file, nonsense)


def test_an_empty_log_grows_into_any(host: Any) -> None:
    path = host.put("words-1-1/6700/worker.log")
    with path.open("rb") as file:
        head = head_of(file)
        path.write_bytes(b"one")
        assert begins_as(file, head)
