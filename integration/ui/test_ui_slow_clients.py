"""`storm ui` on a real cluster before a crowd of clients that are slow, or send too much: others are served as ever."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from typing import Any

import pytest

from storm.http.protocol import CONNECTIONS_MAX
from storm.ui.rest.calls import PREFIX

pytestmark = pytest.mark.timeout(240)

HALF_HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
LONG_BODY_BYTES = 10 << 20


def slow_body(path: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{{".encode()


def test_a_thousand_slow_clients_keep_nobody_from_anything(ui_site: Any, word_count: str) -> None:
    """Half of them never end a request's head, the others its body; they hold every connection that there is."""
    page = f"{PREFIX}/topology/{word_count}"
    with ExitStack() as slow:
        for number in range(CONNECTIONS_MAX):
            client = slow.enter_context(socket.create_connection(("127.0.0.1", ui_site.port), timeout=60))
            client.sendall(HALF_HEAD if number % 2 else slow_body(f"{page}/logconfig"))
        for _ in range(20):
            for path in ("/", f"/topology/{word_count}", page, f"{PREFIX}/cluster/summary", "/health"):
                assert ui_site.client.get(path).status_code == 200, path
        for action in ("deactivate", "activate"):
            assert ui_site.client.post(f"{page}/{action}").status_code == 200
        for body, status in ((b"{", 400), (b'{"namedLoggerLevels": {"none": {"target_level": null}}}', 200)):
            assert ui_site.client.post(f"{page}/logconfig", content=body).status_code == status


def test_who_sends_ten_megabytes_is_told_and_nothing_is_left_of_it(ui_site: Any, word_count: str) -> None:
    path = f"{PREFIX}/topology/{word_count}/logconfig"
    for _ in range(3):
        answer = ui_site.client.post(path, content=b" " * LONG_BODY_BYTES)
        assert (answer.status_code, set(answer.json())) == (413, {"error", "errorMessage"})
    assert ui_site.client.get("/health").status_code == 200


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'{"namedLoggerLevels": 1}', b"[" * 100_000, b"\xff\xfe", b"NaN", b'"\\ud800"']
)
def test_what_is_no_json_of_ours_is_a_bad_request(ui_site: Any, word_count: str, body: bytes) -> None:
    answer = ui_site.client.post(f"{PREFIX}/topology/{word_count}/logconfig", content=body)
    assert answer.status_code == 400, answer.text
    told = json.loads(answer.text)
    assert set(told) == {"error", "errorMessage"}
    assert "Traceback" not in told["errorMessage"]
    assert "\n" not in told["errorMessage"]
