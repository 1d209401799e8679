from __future__ import annotations

from storm.logviewer.answers import file_answer, files_answer, log_url, match_url
from storm.logviewer.asking import PAGE_BYTES
from storm.logviewer.finding import FoundIn, FoundInFile, FoundInFiles, Match
from storm.logviewer.logs import LogName, Worker

ROOT = "http://host:8000"
FILE = "my words-1-1/6700/worker.log"
MATCH = Match(100_000, b"before ", b"error", b" after\xff")


def test_one_file_has_storms_keys() -> None:
    answer = file_answer(FoundIn([MATCH], 5, 100_005), "error", FILE, ROOT, is_daemon=False)
    assert answer == {
        "isDaemon": "no",
        "searchString": "error",
        "startByteOffset": 5,
        "nextByteOffset": 100_005,
        "matches": [
            {
                "byteOffset": 100_000,
                "beforeString": "before ",
                "afterString": " after\N{REPLACEMENT CHARACTER}",
                "matchString": "error",
                "logviewerURL": "http://host:8000/api/v1/log?file=my+words-1-1%2F6700%2Fworker.log"
                f"&start={100_002 - PAGE_BYTES // 2}&length={PAGE_BYTES}",
            }
        ],
    }


def test_a_file_that_was_searched_to_its_end_has_no_next_byte() -> None:
    assert "nextByteOffset" not in file_answer(FoundIn([], 0), "error", "nimbus.log", ROOT, is_daemon=True)
    cut = file_answer(FoundIn([], 0, 7, is_cut=True), "error", "nimbus.log", ROOT, is_daemon=True)
    assert (cut["isDaemon"], cut["isCut"], cut["nextByteOffset"]) == ("yes", True, 7)


def test_the_logs_of_a_worker_have_storms_keys() -> None:
    name = LogName(Worker("my words-1-1", 6700), "worker.log")
    answer = files_answer(FoundInFiles([FoundInFile(name, FoundIn([MATCH], 0))], 1), "error", ROOT)
    [file] = answer.pop("matches")
    assert answer == {"fileOffset": 1, "searchString": "error"}
    assert set(file) == {"isDaemon", "searchString", "startByteOffset", "matches", "fileName", "port"}
    assert (file["fileName"], file["port"]) == (FILE, "6700")
    assert files_answer(FoundInFiles([], 1, is_cut=True), "error", ROOT)["isCut"] is True


def test_urls_keep_what_means_something_in_them() -> None:
    assert match_url(MATCH._replace(offset=3), "nimbus.log", is_daemon=True).endswith(f"start=0&length={PAGE_BYTES}")
    assert log_url("a&b=c/6700/w", is_daemon=False) == "/api/v1/log?file=a%26b%3Dc%2F6700%2Fw"
