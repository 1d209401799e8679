from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from storm.http.request_guard import BODY_BYTES_MAX, Tokens
from storm.ui.app import build_app
from storm.ui.rest.calls import PREFIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from storm.ui.app import Ui


HOST = "127.0.0.1:8080"
FROM_ELSEWHERE = {"origin": "http://evil.example.org", "sec-fetch-site": "cross-site"}


def token(client: Any) -> str:
    """As a script of the page reads it."""
    page = client.get(f"{PREFIX}/").text
    return page.partition('name="storm-token" content="')[2].partition('"')[0]


def test_every_answer_forbids_what_browsers_would_do_with_it(client: Any) -> None:
    for path in (f"{PREFIX}/cluster/summary", f"{PREFIX}/", "/health", "/nothing", f"{PREFIX}/supervisor"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "no-store" in headers["cache-control"]
        assert "access-control-allow-origin" not in headers


def test_a_name_that_is_not_ours_reads_nothing(client: Any) -> None:
    answer = client.get(f"{PREFIX}/cluster/summary", headers={"host": "evil.example.org"})
    assert (answer.status_code, answer.json()["error"]) == (403, "403 Forbidden")
    assert client.get(f"{PREFIX}/cluster/summary", headers={"host": "ui.example.org"}).status_code == 200


def test_another_sites_page_changes_nothing(site: Any, topology_id: str, client: Any) -> None:
    path = f"{PREFIX}/topology/{topology_id}/deactivate"
    for headers in (
        FROM_ELSEWHERE,
        {"origin": "null"},
        {"origin": f"http://{HOST}"},
        {"origin": f"http://{HOST}", "x-storm-token": "made.up"},
    ):
        assert client.post(path, headers=headers).status_code == 403
    assert client.get(path, headers=FROM_ELSEWHERE).status_code == 405
    assert site.calls == []


def test_an_own_page_changes_something_with_its_token(topology_id: str, client: Any) -> None:
    path = f"{PREFIX}/topology/{topology_id}/deactivate"
    own = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
    assert client.post(path, headers={**own, "x-storm-token": token(client)}).status_code == 200
    client.cookies.clear()
    refused = client.post(path, headers={**own, "x-storm-token": "random1.0"})
    assert (refused.status_code, "load the page again" in refused.json()["errorMessage"]) == (403, True)


def test_another_ui_on_this_host_takes_no_token_away(ui: Ui, topology_id: str, client: Any) -> None:
    path = f"{PREFIX}/topology/{topology_id}/deactivate"
    own = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin", "x-storm-token": token(client)}
    other = type(client)(build_app(replace(ui, tokens=Tokens(b"another secret"))))
    other.get(f"{PREFIX}/", headers={"host": "127.0.0.1:8081"})
    client.cookies.update(other.cookies)  # cookies know no ports
    other.close()
    assert len(client.cookies) == 2
    assert client.post(path, headers=own).status_code == 200


def test_a_second_page_leaves_the_first_its_token(client: Any) -> None:
    assert token(client) == token(client)


def test_a_long_body_is_refused_whether_or_not_its_length_is_told(topology_id: str, client: Any) -> None:
    path, piece = f"{PREFIX}/topology/{topology_id}/logconfig", b" " * 65_536

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES_MAX // len(piece) + 1):
            yield piece

    for content in (b" " * (10 << 20), pieces()):
        answer = client.post(path, content=content)
        assert (answer.status_code, answer.json()["error"]) == (413, "413 Content Too Large")
    assert client.get("/live").status_code == 200


@pytest.mark.parametrize("query", ["callback=x", "window=600&callback=alert"])
def test_no_jsonp(client: Any, query: str) -> None:
    assert client.get(f"{PREFIX}/cluster/summary?{query}").status_code == 400


@pytest.mark.parametrize("more", [{"params": {"doAsUser": "x"}}, {"headers": {"doAsUser": "x"}}])
def test_nobody_acts_for_another_user(topology_id: str, client: Any, more: dict[str, Any]) -> None:
    """What would be done all the same, by the wrong user, is refused."""
    assert client.get(f"{PREFIX}/cluster/summary", **more).status_code == 401
    assert client.post(f"{PREFIX}/topology/{topology_id}/deactivate", **more).status_code == 401


def test_what_is_refused_is_measured_without_a_name_that_a_client_made_up(client: Any) -> None:
    client.get("/made-up-by-a-client")
    client.get(f"{PREFIX}/supervisor?id=another-name")
    text = client.get("/metrics").text
    assert 'storm_ui_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert f'storm_ui_requests_total{{method="GET",route="{PREFIX}/supervisor",status="404"}} 1.0' in text
    assert "made-up" not in text
    assert "another-name" not in text
