from __future__ import annotations

import re
from typing import Any

from storm.metrics.insight_records import FailedTuple
from storm.metrics.stats_records import ExecutorStats, SpoutStats
from storm.ui.pages import failures
from storm.ui.pages.failures import causes


def beat(site: Any, topology_id: str, *failed: FailedTuple) -> None:
    """Every executor of `words` tells of them."""
    plan = site.cluster.core.snapshot.plans[topology_id]
    executors = site.cluster.assignment(topology_id).executor_slots
    stats = ExecutorStats({}, {}, SpoutStats(), failures=failed)
    site.cluster.clock.secs += 3
    site.cluster.beat(topology_id, {one: stats for one in executors if plan.component_of(one) == "words"})


def rows(html: str, table: str) -> list[list[str]]:
    """The text of each cell."""
    body = html[html.index(f'<table id="{table}"') :].split("</table>")[0].split("<tbody>")[1]
    return [
        [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in body.split("</tr>")[:-1]
    ]


def test_the_newest_first_with_who_failed_or_held_them_and_why(site: Any, client: Any, topology_id: str) -> None:
    beat(
        site,
        topology_id,
        FailedTuple(9, "'<a>'", "failed", "split", "'split' (task 4) failed it", 0.5, 101),
        FailedTuple(9, "'b'", "timeout", None, "not done within 30 s", 30.0, 102),
    )
    html = client.get(f"/topology/{topology_id}/failures").text
    found = rows(html, "failures")
    assert [one[1] for one in found] == ["&#39;b&#39;"] * 2 + ["&#39;&lt;a&gt;&#39;"] * 2
    assert [found[0][2:5], found[-1][2:5]] == [
        ["not done within 30 s", "", "30,000"],
        ["&#39;split&#39; (task 4) failed it", "split", "500.0"],
    ]
    assert f'<a href="/topology/{topology_id}/component/split">split</a>' in html
    assert re.search(rf'href="/topology/{topology_id}/worker/host-[ab]%3A6700"', html)
    assert rows(html, "causes") == [["not known", "timeout", "2"], ["split", "failed", "2"]]


def test_a_topology_in_which_none_failed(site: Any, client: Any) -> None:
    text = client.get(f"/topology/{site.cluster.submit()}/failures").text
    assert "No tuple of its spouts has failed" in text
    assert "No worker tells of any." in text


def test_only_so_many_are_shown(site: Any, client: Any, topology_id: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(failures, "SHOWN", 3)
    beat(site, topology_id, *(FailedTuple(9, str(i), "failed", "split", "x", 0.5, 100 + i) for i in range(3)))
    html = client.get(f"/topology/{topology_id}/failures").text
    assert len(rows(html, "failures")) == 3
    assert "3 older ones are left out." in html


def test_who_failed_most_comes_first() -> None:
    pairs = [("split", "failed"), ("count", "failed"), (None, "timeout"), ("count", "failed")]
    found = causes({"component": component, "kind": kind} for component, kind in pairs)
    assert [(one["component"], one["count"]) for one in found] == [("count", 2), ("", 1), ("split", 1)]


def test_a_topology_that_is_not_there(client: Any) -> None:
    assert client.get("/topology/nope-1-1/failures").status_code == 404
