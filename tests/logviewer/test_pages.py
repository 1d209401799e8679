from __future__ import annotations

import re

from storm.http.problems import Problem
from storm.logviewer.asking import PageWanted
from storm.logviewer.finding import FoundIn, Match
from storm.logviewer.logs import LogFile, Part, Worker
from storm.logviewer.pages import LISTED_MAX, ShownLog, dumps_page, found_page, list_page, log_page, problem_page

EVIL = '<script>alert("1")&amp;\x00'
LOG = ShownLog("words-1-1/6700/worker.log", False, ["words-1-1/6700/worker.log", "words-1-1/6700/worker.log.1"])
STATIC = "/static/1"


def links(page: str) -> dict[str, str]:
    """{text: address} of the first link of each text."""
    found = re.findall(r'<a href="([^"]*)">([^<]*)</a>', page)
    return {text: url.replace("&amp;", "&") for url, text in reversed(found)}


def page(part: Part, wanted: PageWanted | None = None) -> str:
    return log_page(LOG, part, wanted or PageWanted(None, 100), STATIC)


def test_the_middle_of_a_log_leads_to_all_its_sides() -> None:
    found = links(page(Part(b"x" * 100, 200, 1_000, False), PageWanted(200, 100)))
    root = "/api/v1/log?file=words-1-1%2F6700%2Fworker.log"
    assert found["First"] == f"{root}&start=0&length=100"
    assert found["Previous"] == f"{root}&start=100&length=100"
    assert found["Next"] == f"{root}&start=300&length=100"
    assert found["Last"] == f"{root}&length=100"
    assert found["Download"] == "/api/v1/download?file=words-1-1%2F6700%2Fworker.log"
    assert found["worker.log.1"] == f"{root}.1"
    assert found["words-1-1"] == "/?topoId=words-1-1"


def test_at_its_ends_there_is_nothing_beyond() -> None:
    whole = page(Part(b"x", 0, 1, True))
    assert not {"First", "Previous", "Next"} & set(links(whole))
    assert 'id="follow"' in whole
    packed = page(Part(b"x", 0, None, False))
    assert "Last" not in links(packed)
    assert 'id="follow"' not in packed
    assert '<span class="quiet">Last</span>' in packed
    assert "of a packed log" in packed


def test_only_lines_with_a_text() -> None:
    shown = page(Part(b"one\ntwo\nthree two", 0, 17, True), PageWanted(None, 100, "two"))
    assert ">\ntwo\nthree two</pre>" in shown
    assert 'id="follow"' not in shown
    assert "&grep=two" in links(page(Part(b"x", 5, 17, False), PageWanted(5, 100, "two")))["Next"]


def test_nothing_of_a_log_or_a_request_is_taken_for_html() -> None:
    evil = ShownLog(f"{EVIL}/6700/worker.log", False)
    file = LogFile(Worker(EVIL, 6700), EVIL, 1, 0.0)
    match = Match(0, EVIL.encode(), EVIL.encode(), EVIL.encode())
    for shown in (
        log_page(evil, Part(EVIL.encode(), 0, 9, True), PageWanted(None, 9, "<"), STATIC),
        list_page([file], [(EVIL, 1, 0.0)], [file], lambda secs: EVIL, STATIC),
        dumps_page(file.worker, [file], lambda secs: EVIL, STATIC),
        found_page(EVIL, [(evil, FoundIn([match], 0))], EVIL, f"/{EVIL}", STATIC),
        problem_page(Problem(404, EVIL), STATIC),
    ):
        assert "<script>" not in shown
        assert shown.count("<script ") == 1
        assert "style=" not in shown


def test_a_list_has_each_file_and_a_search_where_it_is_of_one_topology() -> None:
    files = [LogFile(Worker("words-1-1", 6700), f"worker.log.{n}", 1_234, 5.0) for n in range(LISTED_MAX + 1)]
    shown = list_page(files, [], [], lambda secs: f"at {secs:g}", STATIC)
    assert shown.count("<tr><td>") == LISTED_MAX
    assert f"The first {LISTED_MAX:,} of {LISTED_MAX + 1:,} files" in shown
    assert '<td class="number">1,234</td>' in shown
    assert "at 5" in shown
    assert 'name="topoId" value="words-1-1"' in shown
    both = list_page([files[0], LogFile(Worker("other-2-1", 6700), "worker.log", 1, 5.0)], [], [], str, STATIC)
    assert 'name="topoId"' not in both
    empty = list_page([], [("nimbus.log", 3, 5.0)], [], str, STATIC)
    assert "No worker has logged here." in empty
    assert links(empty)["nimbus.log"] == "/api/v1/daemonlog?file=nimbus.log"
    assert (">Port<" in empty, ">Port<" in both) == (False, True)


def test_a_list_says_whose_it_is() -> None:
    one, two = (LogFile(Worker("words-1-1", port), "worker.log", 1, 5.0) for port in (6700, 6701))
    assert "<h1>words-1-1</h1>" in list_page([one, two], [], [], str, STATIC)
    assert "<h1>words-1-1, port 6701</h1>" in list_page([two], [], [], str, STATIC)
    assert "<h1>Logs of this host</h1>" in list_page([], [], [], str, STATIC)


def test_what_was_found_is_marked_and_leads_to_its_place() -> None:
    match = Match(7, b"before ", b"error", b" after")
    shown = found_page("error", [(LOG, FoundIn([match], 0))], "It was cut.", "/find?x", STATIC)
    assert "<pre>before <mark>error</mark> after</pre>" in shown
    assert "1 found: error" in shown
    assert "It was cut." in shown
    assert links(shown)["Go on with the search"] == "/find?x"
    assert "No line has this text" not in shown
    nothing = found_page("error", [(LOG, FoundIn([], 0))], "", "", STATIC)
    assert ("0 found: error" in nothing, "No line has this text" in nothing) == (True, True)
    assert "start=0" in links(shown)["byte 7"]
