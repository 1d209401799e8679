from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from storm.logviewer import worker_search
from storm.logviewer.reading import PIECE_BYTES, Budget
from storm.logviewer.searching import Wanted, from_the_end
from storm.logviewer.worker_search import SHOWN_CHARS, newest_records

if TYPE_CHECKING:
    from storm.supervisor.log_viewer import FoundRecords

TRACEBACK = "Traceback (most recent call last):\n  File ...\nValueError: needle\n"


def line(secs: int, message: str) -> str:
    return f"2026-01-31T23:59:{secs:02}.000Z INFO [t-1-1/h:6700/split/4] app: {message}\n"


def search(host: Any, text: str = "needle", count: int = 10, **budget: Any) -> FoundRecords:
    return newest_records(host.artifacts, "t-1-1", Wanted(text, count), Budget(host.clock, **budget))


def times(found: FoundRecords) -> list[str]:
    return [one.time[17:19] for one in found.records]


def test_the_newest_records_of_all_workers_and_of_logs_that_were_put_aside(host: Any) -> None:
    host.put("t-1-1/6700/worker.log", line(50, "needle") + line(51, "other") + line(52, "needle"))
    host.put("t-1-1/6700/worker.log.1", line(10, "needle"), age_secs=40)
    host.put("t-1-1/6701/worker.log", line(49, "needle") + line(51, "needle"))
    for other in ("t-1-1/6700/events.log", "t-1-1/6700/heap-20260131T235959123Z.txt", "t-2-2/6700/worker.log"):
        host.put(other, line(59, "needle"))
    host.put("t-1-1/6700/worker.log.2.gz", gzip.compress(line(1, "needle").encode()))
    found = search(host)
    assert (times(found), found.is_cut) == (["52", "51", "50", "49", "10"], False)
    first, second = found.records[:2]
    assert (first.port, first.file, first.text) == (6700, "worker.log", line(52, "needle").rstrip())
    assert (second.port, second.offset) == (6701, len(line(49, "needle")))
    some = search(host, count=3)
    assert (times(some), some.is_cut) == (["52", "51", "50"], True)


def test_a_record_is_found_once_and_whole_however_many_of_its_lines_match(host: Any) -> None:
    record = line(1, "needle, a needle") + TRACEBACK
    host.put("t-1-1/6700/worker.log", line(0, "before") + record + line(2, "after"))
    [found] = search(host).records
    assert (found.text, found.time[17:19], found.offset) == (record.rstrip(), "01", len(line(0, "before")))


def test_of_a_long_record_its_beginning_and_what_is_around_the_place_are_told(host: Any) -> None:
    record = line(1, "x" * 50_000 + "needle" + "y" * 50_000)
    host.put("t-1-1/6700/worker.log", line(0, "before") + record)
    [found] = search(host).records
    assert len(found.text) < SHOWN_CHARS + 20
    assert "xneedley" in found.text
    host.put("t-1-1/6700/worker.log", record[:8_000] + "needle" + record[8_000:12_000] + "\n")
    [found] = search(host).records
    assert found.text.startswith(record[:60])
    assert ("xneedlex" in found.text, found.time[17:19]) == (True, "01")


def test_records_in_json_and_of_nobody_are_found(host: Any) -> None:
    json = '{"time": "2026-01-31T23:59:07.000Z", "level": "INFO", "logger": "app", "message": "needle"}\n'
    host.put("t-1-1/6700/worker.log", "printed needle\n" + json)
    assert times(search(host)) == ["07", ""]


def test_a_search_ends_with_its_budget_and_says_so(host: Any) -> None:
    host.put("t-1-1/6700/worker.log", line(1, "needle") + "x" * (3 * PIECE_BYTES) + "\n" + line(2, "needle"))
    found = search(host, bytes_max=PIECE_BYTES)
    assert (times(found), found.is_cut) == (["02"], True)


def test_a_log_that_is_emptied_while_it_is_searched_is_passed_over(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host.put("t-1-1/6700/worker.log", line(50, "needle") + line(51, "needle"))
    host.put("t-1-1/6701/worker.log", line(49, "needle"))
    emptied = host.artifacts / "t-1-1" / "6700" / "worker.log"

    def find(file: Any, needle: bytes, budget: Budget) -> Any:
        for match in from_the_end(file, needle, budget):
            emptied.write_text("written anew")
            yield match

    monkeypatch.setattr(worker_search, "from_the_end", find)
    found = search(host)
    assert (times(found), found.is_cut) == (["49"], True)


@pytest.mark.parametrize("topology_id", ["nope", "../logs", "", "."])
def test_where_nothing_was_logged_nothing_is_found(host: Any, topology_id: str) -> None:
    host.put("t-1-1/6700/worker.log", line(1, "needle"))
    assert newest_records(host.artifacts, topology_id, Wanted("needle", 5), Budget(host.clock)).records == []
