from __future__ import annotations

import asyncio
from typing import Any

from storm.thrift.interface import storm_thrift
from storm.ui.rest.formats import LogLinks
from storm.ui.rest.log_links import linked, with_log_viewers
from storm.ui.rest.view import View


def summary(host: str, **told: Any) -> Any:
    return storm_thrift().SupervisorSummary(
        host=host, uptime_secs=1, num_workers=1, num_used_workers=1, supervisor_id="a", **told
    )


class Nimbus:
    """Tells of one supervisor."""

    async def read(self, method: str, *arguments: Any) -> Any:
        assert (method, arguments) == ("getClusterInfo", ())
        return storm_thrift().ClusterSummary(supervisors=[summary("h", logviewer_port=8123)])


def test_links_are_those_of_the_supervisors() -> None:
    links = linked(View(0), [summary("h", logviewer_port=8123, slot_ports=[6700], daemon_logs=["nimbus.log"])]).links
    assert links.worker("h", 6700, "t").startswith("http://h:8123/")
    assert links.daemon("h", "nimbus").startswith("http://h:8123/")


def test_a_supervisor_of_an_older_release_tells_nothing() -> None:
    links = linked(View(0, links=LogLinks(8001)), [summary("h")]).links
    assert links.worker("h", 6700, "t").startswith("http://h:8001/")
    assert links.daemon("h", "supervisor") == ""


def test_they_are_read_from_nimbus() -> None:
    view = asyncio.run(with_log_viewers(View(0), Nimbus()))
    assert view.links.dumps("h", "t", 6700) == "http://h:8123/api/v1/dumps/t/h%3A6700"
