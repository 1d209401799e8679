from __future__ import annotations

from storm.ui.rest.formats import LogLinks, decimals, encoded, pretty_window


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
    assert links.daemon("fe80::1", "nimbus") == "http://[fe80::1]:8000/api/v1/daemonlog?file=nimbus.log"
    assert links.kept("node-1", "wc-1-2") == "http://node-1:8000/?topoId=wc-1-2"
    assert links.kept("::1", "a&b", 6700) == "http://[::1]:8000/?topoId=a%26b&port=6700"
    assert links.daemon('"><script>', "nimbus").startswith("http://%22%3E%3Cscript%3E:8000/")
