from __future__ import annotations

from storm.logviewer.logs import LogFile, LogName, Part, Worker, is_packed


def test_a_log_is_named_as_in_storm() -> None:
    worker = Worker("words-1-1", 6700)
    assert LogName(worker, "worker.log").path == LogFile(worker, "worker.log", 1, 2.0).path
    assert LogName(worker, "worker.log").path == "words-1-1/6700/worker.log"


def test_packed_ones_are_told_by_their_names() -> None:
    assert is_packed("worker.log.1.gz")
    assert LogName(Worker("words-1-1", 6700), "worker.log.gz").is_packed
    assert not is_packed("worker.log.1")


def test_a_part_ends_where_its_bytes_do() -> None:
    assert Part(b"abc", 10, 100, False).end == 13
