from __future__ import annotations

from typing import Any

from storm.ui.pages.settings import in_words


def test_values_stand_as_in_a_settings_file() -> None:
    conf = {"b": ["x", 1], "a": "text", "c": None, "d": True}
    assert in_words(conf) == [("a", "text"), ("b", '["x", 1]'), ("c", "null"), ("d", "true")]


def test_the_page_has_every_setting(client: Any) -> None:
    page = client.get("/settings")
    assert page.status_code == 200
    assert "nimbus.thrift.port" in page.text
    assert 'data-filters="settings"' in page.text
