from __future__ import annotations

from typing import Any

from storm.ui.rest.calls import PREFIX
from storm.ui.rest.endpoints import ENDPOINTS


def test_it_lists_every_path_with_its_method_query_and_body(site: Any, client: Any) -> None:
    text = client.get(f"{PREFIX}/").text
    for endpoint in ENDPOINTS:
        assert f'data-key="{endpoint.method} {PREFIX}{endpoint.path}"' in text
        assert all(f"<code>{name}</code>" in text for name in endpoint.query)
    assert "namedLoggerLevels" in text
    assert "data-events" not in text
    assert site.calls == []
