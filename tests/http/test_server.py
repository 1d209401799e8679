from __future__ import annotations

import signal
import threading
from typing import Any

import httpx

from storm.http.listener import listen
from storm.http.server import leave_signals_to_the_server, server_of


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def test_it_serves_in_a_thread_until_it_is_told_to_end() -> None:
    listener = listen("127.0.0.1", 0, "ui")
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    ended = threading.Event()
    server = server_of(application, ended.set)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    answer = httpx.get(url, timeout=60)
    assert (answer.text, "server" in answer.headers) == ("ok", False)
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()
    assert ended.is_set()


def test_signals_that_are_left_to_the_server_do_not_end_the_process() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    try:
        leave_signals_to_the_server()
        for number in numbers:
            signal.raise_signal(number)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
