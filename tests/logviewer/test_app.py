from __future__ import annotations

import gzip
import re
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from storm.logviewer.app import SEARCHES_MAX, STATIC

LOG = "words-1-1/6700/worker.log"
HTML = {"accept": "text/html,*/*"}
BAD_FILES = ("../../secret", "words-1-1/6700/../../../secret", "%2e%2e/6700/worker.log", "/etc/passwd", "a", "",
             "words-1-1/6700/worker.log%00", "words-1-1/6700/%2e%2e%2f%2e%2e%2fsecret", "x" * 3_000, "%ff")  # fmt: skip
OF_A_FILE = ("/log", "/download", "/search", "/daemonlog", "/daemondownload")


def test_storms_lists(host: Any) -> None:
    for path in (LOG, f"{LOG}.1", "words-1-1/6701/worker.log", "other-2-1/6700/worker.log"):
        host.put(path)
    host.put("words-1-1/6700/.worker.log.removed")
    assert host.api("/listLogs?topoId=words-1-1") == [LOG, f"{LOG}.1", "words-1-1/6701/worker.log"]
    assert host.api("/searchLogs?topoId=words-1-1&port=6701") == ["words-1-1/6701/worker.log"]
    assert len(host.api("/listLogs")) == 4
    assert host.api("/listLogs?topoId=gone-1-1") == []
    assert host.get("/api/v1/listLogs?topoId=..").status_code == 400


def test_a_logs_page_shows_its_end_and_leads_to_what_is_before(host: Any) -> None:
    host.put(LOG, "".join(f"line {n}\n" for n in range(10_000)))
    page = host.get(f"/api/v1/log?file={quote(LOG, safe='')}&length=100", **HTML)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "line 9999\n</pre>" in page.text
    before = re.search(r'<a href="([^"]*)">Previous</a>', page.text)
    assert before is not None
    assert "line 9980" in host.get(before[1].replace("&amp;", "&")).text
    assert host.get(f"/log?file={LOG}").status_code == 200


def test_a_page_is_a_page_of_this_server_only(host: Any) -> None:
    host.put(LOG, "<script>alert(1)</script>")
    page = host.get(f"/log?file={LOG}", **HTML)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in page.text
    for name, kind in (("logviewer.css", "text/css"), ("logviewer.js", "text/javascript")):
        assert f"{STATIC}/{name}" in page.text
        static = host.get(f"{STATIC}/{name}")
        assert static.headers["content-type"].startswith(kind)
        assert "immutable" in static.headers["cache-control"]
    assert host.get(f"{STATIC}/app.py").status_code == host.get(f"{STATIC}/..%2fapp.py").status_code == 404


def test_who_follows_a_log_gets_text_and_where_it_is(host: Any) -> None:
    host.put(LOG, "hello")
    text = host.get(f"/api/v1/log?file={LOG}&start=2", accept="text/plain")
    assert (text.text, text.headers["x-log-start"], text.headers["x-log-size"]) == ("llo", "2", "5")
    assert text.headers["content-type"].startswith("text/plain")


def test_a_search_has_storms_keys_and_its_links_work(host: Any) -> None:
    host.put(LOG, "one error, two errors\n")
    answer = host.api(f"/search?file={LOG}&search-string=error&num-matches=1")
    assert (answer["isDaemon"], answer["searchString"], answer["startByteOffset"]) == ("no", "error", 0)
    [match] = answer["matches"]
    assert (match["byteOffset"], match["beforeString"], match["afterString"]) == (4, "one ", ", two errors\n")
    assert match["logviewerURL"].startswith("http://127.0.0.1:8000/api/v1/log?file=")
    link = urlsplit(match["logviewerURL"])
    assert "one error" in host.get(f"{link.path}?{link.query}").text
    more = host.api(f"/search?file={LOG}&search-string=error&start-byte-offset={answer['nextByteOffset']}")
    assert [one["byteOffset"] for one in more["matches"]] == [15]


@pytest.mark.parametrize(
    "query",
    ["", "search-string=", "search-string=x&num-matches=0", "search-string=x&num-matches=y",
     "search-string=x&start-byte-offset=-1", "search-string=x&is-daemon=perhaps", f"search-string={'x' * 1_025}",
     "search-string=x&callback=f"],
)  # fmt: skip
def test_what_makes_no_sense_is_told(host: Any, query: str) -> None:
    host.put(LOG, "x")
    answer = host.get(f"/api/v1/search?file={LOG}&{query}")
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "errorMessage"}


def test_a_deep_search_of_one_worker_and_of_all(host: Any) -> None:
    host.put(LOG, "an error", 10)
    host.put(f"{LOG}.1.gz", gzip.compress(b"an older error"), 20)
    host.put("words-1-1/6701/worker.log", "an error here too", 5)
    deep = "/deepSearch/words-1-1?search-string=error&num-matches=10"
    [first, second] = host.api(deep)
    assert [one["fileName"] for one in first["matches"] + second["matches"]] == [LOG, "words-1-1/6701/worker.log"]
    every = host.api(f"{deep}&search-archived=true&port=*")
    assert sum(len(worker["matches"]) for worker in every) == 3
    one = host.api(f"{deep}&port=6700&search-archived=on")
    assert (one["searchString"], one["fileOffset"]) == ("error", 2)
    assert [(file["fileName"], file["port"], len(file["matches"])) for file in one["matches"]] == [
        (LOG, "6700", 1), (f"{LOG}.1.gz", "6700", 1),
    ]  # fmt: skip
    older = host.api(f"{deep}&port=6700&search-archived=on&start-file-offset=1&start-byte-offset=3")
    assert [file["fileName"] for file in older["matches"]] == [f"{LOG}.1.gz"]
    assert host.api("/deepSearch/gone-1-1?search-string=x") == host.api(f"{deep}&port=6799") == []


def test_a_search_that_takes_too_long_says_so(host: Any) -> None:
    host.put(LOG, bytes(4 << 20) + b"error")
    host.clock.step_secs = 5.0
    answer = host.api(f"/search?file={LOG}&search-string=error")
    assert (answer["matches"], answer["isCut"]) == ([], True)
    host.clock.step_secs = 0.0
    again = host.api(f"/search?file={LOG}&search-string=error&start-byte-offset={answer['nextByteOffset']}")
    assert [one["byteOffset"] for one in again["matches"]] == [4 << 20]


def test_there_are_not_many_searches_at_a_time(host: Any) -> None:
    host.put(LOG, "error")
    host.viewer.searches = SEARCHES_MAX
    assert host.get(f"/api/v1/search?file={LOG}&search-string=error").status_code == 503
    assert host.get(f"/log?file={LOG}").status_code == 200
    host.viewer.searches = SEARCHES_MAX - 1
    assert len(host.api(f"/search?file={LOG}&search-string=error")["matches"]) == 1
    assert host.viewer.searches == SEARCHES_MAX - 1


def test_a_page_of_another_site_searches_nothing(host: Any) -> None:
    host.put(LOG, "error")
    searches = (f"/search?file={LOG}&search-string=error", "/deepSearch/words-1-1?search-string=error")
    for path in (*searches, *(f"/api/v1{one}" for one in searches), f"/find?file={LOG}&search-string=error"):
        refused = host.get(path, **{"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"})
        assert (refused.status_code, "another site" in refused.text) == (403, True), path
        assert host.get(path, **{"sec-fetch-site": "same-origin"}).status_code == 200
        followed = {"sec-fetch-site": "cross-site", "sec-fetch-user": "?1", "sec-fetch-dest": "document"}
        assert host.get(path, **followed).status_code == 200
    assert host.get(f"/log?file={LOG}", **{"sec-fetch-site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_storms_paths_are_there_with_and_without_their_prefix(host: Any, prefix: str) -> None:
    host.put(LOG, "error")
    (host.log_dir / "nimbus.log").write_text("error")
    for path in (
        "/listLogs",
        "/searchLogs",
        f"/search?file={LOG}&search-string=error",
        "/deepSearch/words-1-1?search-string=error",
        f"/download?file={LOG}",
        "/daemondownload?file=nimbus.log",
        f"/log?file={LOG}",
        "/daemonlog?file=nimbus.log",
        "/dumps/words-1-1/node-1:6700",
    ):
        assert host.get(prefix + path).status_code == 200, path


def test_a_download_is_the_file_as_it_is(host: Any) -> None:
    data = gzip.compress(bytes(3 << 20))
    host.put(f"{LOG}.1.gz", data)
    answer = host.get(f"/api/v1/download?file={LOG}.1.gz")
    assert answer.content == data
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''words-1-1-6700-worker.log.1.gz"
    assert host.get(f"/api/v1/download?file={LOG}.1.gz", "HEAD").content == b""


def test_daemons_logs(host: Any) -> None:
    (host.log_dir / "nimbus.log").write_text("it leads")
    (host.log_dir / "secrets.yaml").write_text("secret")
    assert "it leads" in host.get("/api/v1/daemonlog?file=nimbus.log").text
    assert host.get("/api/v1/daemondownload?file=nimbus.log").text == "it leads"
    assert len(host.api("/search?file=nimbus.log&search-string=leads&is-daemon=yes")["matches"]) == 1
    assert "nimbus.log" in host.get("/").text
    assert host.get("/api/v1/daemonlog?file=secrets.yaml").status_code == 400
    gone = host.get("/api/v1/daemonlog?file=supervisor.log")
    assert (gone.status_code, "journalctl" in gone.json()["errorMessage"]) == (404, True)


@pytest.mark.parametrize("path", OF_A_FILE)
@pytest.mark.parametrize("file", BAD_FILES)
def test_nothing_else_on_the_host_is_read(host: Any, path: str, file: str) -> None:
    host.put(LOG, "x")
    for secret in (host.log_dir / "secret", host.log_dir.parent / "secret"):
        secret.write_text("secret")
    answer = host.get(f"/api/v1{path}?file={file}&search-string=secret")
    assert answer.status_code in {400, 404}
    assert set(answer.json()) == {"error", "errorMessage"}


def test_a_person_is_told_in_a_page_what_is_wrong(host: Any) -> None:
    answer = host.get(f"/api/v1/log?file={LOG}", **HTML)
    assert (answer.status_code, "There is no log" in answer.text) == (404, True)
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_list_is_of_all_or_of_one_topology(host: Any) -> None:
    host.put(LOG, "x", 1)
    host.put("other-2-1/6700/worker.log")
    assert LOG in host.get("/").text
    one = host.get("/?topoId=words-1-1")
    assert LOG in one.text
    assert "other-2-1" not in one.text


def test_a_person_finds_a_text_in_one_file_and_in_all(host: Any) -> None:
    host.put(LOG, "error " * 60)
    host.put(f"{LOG}.1", "an error", 5)
    one = host.get(f"/find?file={LOG}&search-string=error&num-matches=50", **HTML).text
    assert "50 found: error" in one
    onward = re.search(r'<a href="([^"]*)">Go on with the search</a>', one)
    assert onward is not None
    assert "10 found: error" in host.get(onward[1].replace("&amp;", "&")).text
    every = host.get("/find?topoId=words-1-1&search-string=error&num-matches=100&search-archived=yes", **HTML).text
    assert "61 found: error" in every
    few = host.get("/find?topoId=words-1-1&search-string=error&num-matches=5", **HTML).text
    assert "There is more than is shown here" in few
    assert host.get("/find?search-string=error", **HTML).status_code == 400


def test_names_and_methods_are_guarded(host: Any) -> None:
    assert host.get("/", host="evil.example.org").status_code == 403
    assert host.get("/", host="logs.example.org:8000").status_code == 200
    assert host.get("/", "POST").status_code == 405
    assert host.get("/nothing").status_code == 404
    assert host.get("/live").json() == {"status": "ok"}


def test_a_bug_is_one_sentence_to_the_client(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storm.logviewer.log_files.found_logs", lambda *arguments: 1 // 0)
    answer = host.get("/api/v1/listLogs")
    assert (answer.status_code, answer.json()["error"]) == (500, "500 Server Error")
    assert "division" not in answer.text


PROFILE, HEAP = "profile-20260131T235959123Z.svg", "heap-20260131T235959124Z.txt"


def test_the_dumps_of_a_worker_are_listed_and_given(host: Any) -> None:
    host.put(LOG, "x")
    host.put(f"words-1-1/6700/{PROFILE}", "<svg/>", 10)
    host.put(f"words-1-1/6700/{HEAP}", "1 object")
    host.put(f"words-1-1/6701/{HEAP}", "another's")
    for prefix in ("", "/api/v1"):
        listed = host.get(f"{prefix}/dumps/words-1-1/node-1%3A6700", **HTML)
        assert listed.status_code == 200
        links = re.findall(r'<a href="(/api/v1/dumps/[^"]+)"', listed.text)
        assert links == [f"/api/v1/dumps/words-1-1/6700/{name}" for name in (HEAP, PROFILE)]
        assert [host.get(link).text for link in links] == ["1 object", "<svg/>"]
    assert host.get("/dumps/words-1-1/node-1:6700", accept="application/json").json() == [HEAP, PROFILE]
    assert "asked for nothing yet" in host.get("/dumps/words-1-1/6799", **HTML).text
    assert f"words-1-1%2F6700%2F{PROFILE}" in listed.text  # to keep it
    assert host.get(f"/api/v1/download?file=words-1-1/6700/{PROFILE}").text == "<svg/>"


def test_a_flame_graph_is_shown_in_a_sandbox(host: Any) -> None:
    host.put(f"words-1-1/6700/{PROFILE}", "<svg/>")
    for method in ("GET", "HEAD"):
        answer = host.get(f"/dumps/words-1-1/[::1]:6700/{PROFILE}", method)
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'; ")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_dumps_are_no_logs(host: Any) -> None:
    for file in (LOG, f"words-1-1/6700/{PROFILE}"):
        host.put(file, "x")
    assert host.api("/listLogs?topoId=words-1-1") == [LOG]
    page = host.get("/?topoId=words-1-1", **HTML).text
    assert page.index("Logs of workers") < page.index("What workers were asked for") < page.index(PROFILE)


@pytest.mark.parametrize(
    "path",
    ["/dumps/../6700", "/dumps/%2e%2e/6700", "/dumps/words-1-1/x", "/dumps/words-1-1/node-1:", "/dumps/a%2fb/6700",
     "/dumps/words-1-1/6700/worker.log", "/dumps/words-1-1/6700/%2e%2e%2fworker.log", "/dumps/words-1-1/6700/..",
     f"/dumps/words-1-1/6700/{PROFILE}%00", f"/dumps/words-1-1/6701/{PROFILE}", "/dumps/words-1-1/99999999/x.svg",
     f"/dumps/%2e%2e/6700/{PROFILE}", f"/dumps/words-1-1/6700/{HEAP}", f"/dumps/words-1-1%00/6700/{PROFILE}"],
)  # fmt: skip
def test_dumps_lead_nowhere_else(host: Any, path: str) -> None:
    host.put(LOG, "secret")
    host.put(f"words-1-1/6700/{PROFILE}", "x")
    secret = host.put("secret", "secret")
    (host.artifacts / "words-1-1" / "6700" / HEAP).symlink_to(secret)
    answer = host.get(path)
    assert answer.status_code in {400, 404}
    assert "secret" not in answer.text


def test_who_follows_a_log_learns_that_another_one_took_its_place(host: Any) -> None:
    host.put(LOG, "2026-01-31T00:00:00.000Z one\n")
    first = host.get(f"/api/v1/log?file={LOG}", accept="text/plain")
    host.put(LOG, "2026-01-31T00:00:00.000Z one\ntwo\n")
    where = f"start={len(first.content)}&head={first.headers['x-log-head']}"
    grown = host.get(f"/api/v1/log?file={LOG}&{where}", accept="text/plain")
    assert (grown.text, grown.headers["x-log-start"]) == ("two\n", str(len(first.content)))
    another = "2026-02-01T00:00:00.000Z longer than the one before it, and so not seen by its size\n"
    host.put(LOG, another)
    where = f"start={len(first.content) + 4}&head={grown.headers['x-log-head']}"
    anew = host.get(f"/api/v1/log?file={LOG}&{where}", accept="text/plain")
    assert (anew.text, anew.headers["x-log-start"]) == (another, "0")
    assert f'data-head="{anew.headers["x-log-head"]}"' in host.get(f"/log?file={LOG}", **HTML).text


def test_what_it_shows_of_itself(host: Any) -> None:
    assert host.get("/live").json() == {"status": "ok"}
    health = host.get("/health")
    assert (health.status_code, health.json()["status"], health.json()["daemon"]) == (200, "ok", "logviewer")
    assert host.get("/log?file=..").status_code == 400
    families = {family.name: family for family in text_string_to_metric_families(host.get("/metrics").text)}
    answered = {sample.labels["status"]: sample.value for sample in families["storm_logviewer_requests"].samples}
    assert answered == {"200": 2.0, "400": 1.0}
    [number] = [
        sample.value
        for sample in families["storm_logviewer_request_seconds"].samples
        if sample.name == "storm_logviewer_request_seconds_count"
    ]
    assert number == 3.0
    assert "process_resident_memory_bytes" in families


def test_a_directory_that_is_gone_is_told(host: Any) -> None:
    host.log_dir.rename(host.log_dir.with_name("elsewhere"))
    answer = host.get("/health")
    assert (answer.status_code, str(host.log_dir) in answer.json()["errorMessage"]) == (503, True)
