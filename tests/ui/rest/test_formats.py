from __future__ import annotations

from storm.ui.rest.formats import LogLinks, Viewer, decimals, encoded, pretty_window


def test_windows_are_called_as_storm_calls_them() -> None:
    assert [pretty_window(window) for window in ("600", "10800", "86400", ":all-time")] == [
        "10m 0s",
        "3h 0m 0s",
        "1d 0h 0m 0s",
        "All time",
    ]


def test_figures_have_three_decimals() -> None:
    assert [decimals(value) for value in (None, 0, 2.68828, 1234.5)] == ["0.000", "0.000", "2.688", "1234.500"]


def test_ids_stand_in_urls_without_meaning_anything() -> None:
    assert encoded("[5-6]") == "%5B5-6%5D"
    assert encoded("a b/../<c>&é") == "a%20b%2F..%2F%3Cc%3E%26%C3%A9"


def test_links_lead_to_the_log_viewer_of_the_host() -> None:
    links = LogLinks(8000)
    assert links.worker("node-1", 6700, "wc-1-2") == "http://node-1:8000/api/v1/log?file=wc-1-2%2F6700%2Fworker.log"
    assert links.events("node-1", 6700, "wc").endswith("?file=wc%2F6700%2Fevents.log")
    assert links.beside_worker("node-1", 6700, "wc-1-2") == "http://node-1:8000/?topoId=wc-1-2"
    assert links.of_worker("::1", 6700, "a&b") == "http://[::1]:8000/?topoId=a%26b&port=6700"
    assert links.dumps('"><script>', "t", 1).startswith("http://%22%3E%3Cscript%3E:8000/")


def test_of_several_log_viewers_of_a_host_the_one_beside_the_worker_has_its_log() -> None:
    viewers = (Viewer(8000, frozenset({6700})), Viewer(8001, frozenset({6704})), Viewer(0, frozenset({6708})))
    links = LogLinks(8888, {"h": viewers})
    assert links.worker("h", 6704, "t").startswith("http://h:8001/")
    assert links.worker("h", 6708, "t") == links.of_worker("h", 6708, "t") == links.dumps("h", "t", 6708) == ""
    assert links.worker("h", 6799, "t").startswith("http://h:8000/")
    assert links.worker("other", 6700, "t").startswith("http://other:8888/")


def test_a_daemons_log_is_linked_only_where_there_is_one() -> None:
    serving = Viewer(8001, daemon_logs=frozenset({"nimbus.log", "supervisor.log"}))
    links = LogLinks(8000, {"fe80::1": (Viewer(8000), serving), "none": (serving._replace(port=0),)})
    assert links.daemon("fe80::1", "nimbus") == "http://[fe80::1]:8001/api/v1/daemonlog?file=nimbus.log"
    assert links.daemon("fe80::1", "ui") == links.daemon("none", "nimbus") == links.daemon("other", "nimbus") == ""
