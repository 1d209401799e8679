from __future__ import annotations

from storm.ui.rest.formats import LogLinks
from storm.ui.rest.view import View


def test_pages_with_logs_say_where_the_log_viewer_is() -> None:
    assert View(0, links=LogLinks(8123)).log_viewer() == {"logviewerPort": 8123, "logviewerScheme": "http"}
