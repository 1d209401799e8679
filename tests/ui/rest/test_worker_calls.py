"""What was asked of a worker comes through the UI, too, for browsers that reach no log viewer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from storm.errors import NotAuthorizedError, TopologyNotAliveError
from storm.ui import app
from storm.ui.app import build_app
from storm.ui.rest.worker_calls import WorkerCalls, found_worker

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "profile-20260131T235959123Z.svg"


@pytest.fixture
def place(site: Any, topology_id: str) -> str:
    worker = min(set(site.cluster.assignment(topology_id).executor_slots.values()))
    return f"/topology/{topology_id}/worker/host-{worker.node_id}:{worker.port}/dump"


def test_a_flame_graph_is_shown_in_a_sandbox(site: Any, client: Any, place: str) -> None:
    site.dump = b"<svg>" + b"x" * 25 + b"</svg>"  # in four answers of the supervisor
    answer = client.get(f"{place}/{NAME}")
    assert (answer.status_code, answer.content) == (200, site.dump)
    assert (answer.headers["content-type"], answer.headers["content-length"]) == ("image/svg+xml", "36")
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[:2] == ["sandbox allow-scripts", "default-src 'none'"]
    assert not any("allow-same-origin" in part or part.startswith("connect-src") for part in policy)


def test_no_more_of_a_large_one_is_held_than_is_sent(site: Any, ui: Any, topology_id: str) -> None:
    site.dump = b"x" * 25

    def asked() -> int:
        return sum(method == "readWorkerDump" for _, method, _ in site.supervisor_calls)

    async def read() -> tuple[int, list[tuple[bytes, int]]]:
        slot = min(set(site.cluster.assignment(topology_id).executor_slots.values()))
        worker = await found_worker(ui.nimbus, topology_id, f"host-{slot.node_id}:{slot.port}")
        size, parts = await WorkerCalls(ui.nimbus, ui.supervisors, topology_id, worker).dump(NAME)
        return size, [(part, asked()) async for part in parts]

    assert asyncio.run(read()) == (25, [(b"x" * 10, 1), (b"x" * 10, 2), (b"x" * 5, 3)])


def test_who_reads_one_slowly_is_in_the_way_of_others_of_them_only(
    site: Any, ui: Any, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "DUMPS_MAX", 1)
    site.dump, served = b"x" * 25, build_app(ui)

    async def asked() -> tuple[int, int, int, int]:
        begun, goes_on = asyncio.Event(), asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            async def sending(message: Any) -> None:
                if message.get("body"):
                    begun.set()
                    await goes_on.wait()
                await send(message)

            await served(scope, receive, sending)

        def client(application: Any) -> httpx.AsyncClient:
            return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://127.0.0.1:8080")

        async with client(slow) as slowly, client(served) as other:
            first = asyncio.create_task(slowly.get(f"{place}/{NAME}"))
            await begun.wait()
            refused, page = await other.get(f"{place}/{NAME}"), await other.get("/live")
            goes_on.set()
            read = await first
            return (
                refused.status_code,
                page.status_code,
                len(read.content),
                (await other.get(f"{place}/{NAME}")).status_code,
            )

    assert asyncio.run(asked()) == (503, 200, 25, 200)


def test_no_more_than_some_are_read_at_a_time_however_many_come_at_once(
    site: Any, ui: Any, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "DUMPS_MAX", 3)
    site.dump, served = b"x" * 25, build_app(ui)

    async def asked() -> list[int]:
        heads, all_have_heads = 0, asyncio.Event()

        async def held(scope: Any, receive: Any, send: Any) -> None:
            async def sending(message: Any) -> None:
                nonlocal heads
                if message["type"] == "http.response.start":
                    heads += 1
                    if heads == app.DUMPS_MAX + 5:
                        all_have_heads.set()
                else:
                    await all_have_heads.wait()
                await send(message)

            await served(scope, receive, sending)

        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(held), base_url="http://127.0.0.1:8080", timeout=60
        ) as client:
            answers = await asyncio.gather(*(client.get(f"{place}/{NAME}") for _ in range(app.DUMPS_MAX + 5)))
        return sorted(answer.status_code for answer in answers)

    assert asyncio.run(asked()) == [200] * 3 + [503] * 5


class Reader:
    """Takes an answer; `at_first_part` is called when its first part has come."""

    def __init__(self, path: str, at_first_part: Callable[[], object]) -> None:
        self.path = path
        self.messages: list[Any] = []
        self._at_first_part = at_first_part

    async def read(self, served: Any) -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1:8080")],
            "client": ("127.0.0.1", 1),
        }
        await served(scope, asyncio.Event().wait, self._send)

    async def _send(self, message: Any) -> None:
        self.messages.append(message)
        if len(self.messages) == 2:
            self._at_first_part()


@pytest.mark.parametrize("loss", ["refusal", "shorter"])
def test_where_a_supervisor_fails_meanwhile_the_answer_stays_incomplete_and_one_line_says_why(
    site: Any, ui: Any, place: str, loss: str, caplog: pytest.LogCaptureFixture
) -> None:
    site.dump = b"x" * 25

    def lose() -> None:
        if loss == "refusal":
            site.refusals["readWorkerDump"] = TopologyNotAliveError("it is\ngone")
        else:
            site.dump = b""

    reader = Reader(f"{place}/{NAME}", lose)
    with caplog.at_level(logging.INFO, "storm"):
        asyncio.run(reader.read(build_app(ui)))
    head, *parts = reader.messages
    assert head["status"] == 200
    assert [(part["body"], part["more_body"]) for part in parts] == [(b"x" * 10, True)]  # so its server closes
    [record] = [one for one in caplog.records if one.name == "storm.ui.app"]
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert "it is gone" in record.getMessage() or "has become shorter" in record.getMessage()


def test_its_place_is_free_again_whatever_became_of_it(
    site: Any, ui: Any, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "DUMPS_MAX", 1)
    site.dump, served = b"x" * 25, build_app(ui)

    def leave() -> None:
        raise OSError("the client is gone")

    async def statuses() -> list[int]:
        for _ in range(2):
            with contextlib.suppress(OSError):
                await Reader(f"{place}/{NAME}", leave).read(served)
        site.refusals["readWorkerDump"] = NotAuthorizedError("no")
        refused = [Reader(f"{place}/{NAME}", lambda: None) for _ in range(2)]
        for one in refused:
            await one.read(served)
        del site.refusals["readWorkerDump"]
        whole = Reader(f"{place}/{NAME}", lambda: None)
        await whole.read(served)
        return [one.messages[0]["status"] for one in (*refused, whole)]

    assert asyncio.run(statuses()) == [401, 401, 200]


def test_a_text_is_a_text(site: Any, client: Any, place: str) -> None:
    site.dump = b"<script>"
    answer = client.get(f"{place}/stacks-20260131T235959123Z.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_empty_one_ends(site: Any, client: Any, place: str) -> None:
    assert client.get(f"{place}/{NAME}").content == b""


@pytest.mark.parametrize("name", ["..%2f..%2fpasswd", "worker.log", "x.html", "%2e%2e", "%2e%2e%2fx.svg%00"])
def test_names_lead_nowhere_else(site: Any, client: Any, place: str, name: str) -> None:
    site.refusals["readWorkerDump"] = NotAuthorizedError("that is no dump")
    assert client.get(f"{place}/{name}").status_code in {401, 404}


def test_one_that_is_gone_is_not_found(site: Any, client: Any, place: str) -> None:
    site.refusals["readWorkerDump"] = TopologyNotAliveError("no such dump")
    assert client.get(f"{place}/{NAME}").status_code == 404
    assert client.get(f"{place.rpartition('/worker/')[0]}/worker/host-a:1/dump/{NAME}").status_code == 404
