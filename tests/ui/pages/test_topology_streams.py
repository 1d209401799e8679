from __future__ import annotations

from typing import Any

from storm.diagnosis.nimbus_pages import WINDOW
from storm.ui.pages.graph import Stream
from storm.ui.pages.topology_streams import WINDOW_SECS, figures_secs, streams


def page_of(site: Any, topology_id: str) -> Any:
    return site.service.getTopologyPageInfo(topology_id, WINDOW, False)


def test_streams_are_told_by_grouping_and_rate(site: Any, topology_id: str) -> None:
    page = page_of(site, topology_id)
    assert figures_secs(page) == 60
    assert sorted(streams(page)) == [
        Stream("split", "count", "default", "fields (word)", 10.0),
        Stream("words", "count", "side", "all", 20 / 60),
        Stream("words", "split", "default", "shuffle", 100 / 60, 2),
    ]


def test_a_nimbus_of_an_older_release_tells_no_streams(site: Any, topology_id: str) -> None:
    page = page_of(site, topology_id)
    page.inputs = None
    assert streams(page) == []


def test_where_nothing_runs_there_are_no_rates(site: Any) -> None:
    for node in ("a", "b"):
        site.cluster.stop_supervisor(node)
    page = page_of(site, site.cluster.submit())
    assert figures_secs(page) == 0
    assert all(one.rate == 0 for one in streams(page))


def test_the_window_is_that_of_the_facts() -> None:
    assert str(WINDOW_SECS) == WINDOW
