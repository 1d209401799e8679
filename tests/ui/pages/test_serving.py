"""Every page in a browser's eyes: whole, safe, small, alive, and still there when Nimbus is not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from page_rules import broken_rules

from storm.cluster.records import ErrorInfo
from storm.errors import NimbusUnreachableError
from storm.http import guard
from storm.ids import GlobalStreamId
from storm.topology.structure import ComponentSpec, Grouping, GroupingKind, PythonObject, StormTopology, StreamInfo
from storm.ui.app import build_app
from storm.ui.pages import streams
from storm.ui.pages.table import PAGES
from storm.ui.rest.formats import encoded

GONE = NimbusUnreachableError("127.0.0.1:6627: nothing listens there")
SCRIPT, SCRIPT_WITHOUT_SLASH = "<script>alert(1)</script>", "<script>alert(1)<script>"
PAGE_BYTES_MAX = 300_000


def address(page: Any, topology_id: str, component: str = "split", owner: str = "storm") -> str:
    topology = "a" if page.path.startswith("/supervisor") else topology_id
    named = page.path.replace("{owner:path}", "{owner}")
    return str(
        named.format(id=encoded(topology), component=encoded(component), owner=encoded(owner), host_port="host-a:6700")
    )


def hostile_topology() -> StormTopology:
    """Every name in it is a script."""
    stream = {SCRIPT_WITHOUT_SLASH: StreamInfo(("x",))}
    spout = ComponentSpec(PythonObject(b"s"), {}, stream, 1)
    bolt = ComponentSpec(
        PythonObject(b"b"),
        {GlobalStreamId(SCRIPT_WITHOUT_SLASH, SCRIPT_WITHOUT_SLASH): Grouping(GroupingKind.SHUFFLE)},
        {},
        1,
    )
    return StormTopology({SCRIPT_WITHOUT_SLASH: spout}, {f"b{SCRIPT_WITHOUT_SLASH}": bolt})


@pytest.mark.parametrize("page", PAGES, ids=lambda one: one.path)
def test_every_page_is_whole_and_has_nothing_inline(page: Any, site: Any, topology_id: str, client: Any) -> None:
    site.logs = {("host-a", 6700): b"a line\n"}
    answer = client.get(address(page, topology_id))
    assert answer.status_code == 200
    assert broken_rules(answer.text) == []
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    cookie = answer.headers["set-cookie"].lower()
    assert ("httponly" in cookie, "samesite=strict" in cookie) == (True, True)


@pytest.mark.parametrize("page", PAGES, ids=lambda one: one.path)
def test_a_name_that_is_a_script_is_text(page: Any, site: Any, client: Any) -> None:
    name = SCRIPT_WITHOUT_SLASH
    conf = {"topology.submitter.user": SCRIPT, "topology.workers": 1}
    topology_id = site.cluster.submit("hostile", hostile_topology(), conf)
    site.cluster.beat(topology_id)
    told = ErrorInfo(SCRIPT, site.cluster.clock.wall_secs(), SCRIPT, 6700)
    for component in (name, f"b{name}"):
        site.cluster.state.report_error(topology_id, component, told)
    site.cluster.start_supervisor("s", tag=SCRIPT)
    site.cluster.core.step()
    site.logs = {("host-a", 6700): SCRIPT.encode()}
    answer = client.get(address(page, topology_id, name, SCRIPT))
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert broken_rules(answer.text) == []


def test_a_page_of_many_topologies_is_small(site: Any, client: Any) -> None:
    for i in range(25):
        site.cluster.start_supervisor(f"node-{i}")
    ids = [site.run_word_count(f"word-count-of-customer-{i}", f"owner-{i % 7}") for i in range(50)]
    text = client.get("/").text
    assert all(f'data-key="{topology_id}"' in text for topology_id in ids)
    assert len(text.encode()) < PAGE_BYTES_MAX / 2


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("/supervisor/nope", 404), ("/owners/nope", 404), ("/supervisor/..%2f..%2fetc", 404)],
)
def test_what_is_not_there_is_told_by_a_page(path: str, status: int, client: Any) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert broken_rules(answer.text) == []
    assert "Not Found" in answer.text
    assert "data-events" not in answer.text


@pytest.mark.parametrize("page", [one for one in PAGES if "{id}" in one.path], ids=lambda one: one.path)
@pytest.mark.parametrize("bad", ["..%2f..%2fetc%2fpasswd", "%00", SCRIPT_WITHOUT_SLASH, "a%0Ab", "x" * 3_000, "%ff"])
def test_an_id_that_is_none_is_looked_up_and_nothing_else(page: Any, bad: str, topology_id: str, client: Any) -> None:
    answer = client.get(page.path.format(id=bad, component="split", host_port="host-a:6700"))
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert broken_rules(answer.text) == []
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("path", ["/events/nothing", "/static/x/nothing", "/api/v2", "/api/v1/nothing"])
def test_programs_are_told_in_their_form(path: str, client: Any) -> None:
    assert client.get(path).json()["error"] == "404 Not Found"


def test_a_bug_is_one_sentence_on_a_page_too(site: Any, client: Any) -> None:
    site.failure = ZeroDivisionError("a secret of the code")
    answer = client.get("/")
    assert (answer.status_code, "secret" in answer.text, "Server Error" in answer.text) == (500, False, True)


def test_static_files_may_be_kept_while_their_address_is_the_present_one(client: Any) -> None:
    text = client.get("/").text
    style = text.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    answer = client.get(style)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in answer.headers["cache-control"]
    old = client.get("/static/old/storm.css")
    assert (old.content == answer.content, "no-store" in old.headers["cache-control"]) == (True, True)
    assert client.get("/static/old/..%2fsite.py").status_code == 404


@pytest.mark.parametrize(
    ("path", "leads_to"), [("/index.html", "/"), ("/supervisor.html?id=a", "/supervisor/a"), ("/owner.html", "/owners")]
)
def test_storms_addresses_lead_here(path: str, leads_to: str, topology_id: str, client: Any) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.url.path) == (200, leads_to)


def test_large_pages_do_not_drive_one_another_out_of_what_is_known_while_nimbus_is_silent(
    site: Any, client: Any
) -> None:
    spout = ComponentSpec(PythonObject(b"s"), {}, {"default": StreamInfo(("x",))}, 1)
    many = StormTopology({f"spout-{i}": spout for i in range(100)}, {})
    pages = [f"/topology/{site.cluster.submit(name, many)}/failures" for name in ("a", "b", "c")]
    assert [client.get(page).status_code for page in pages] == [200] * 3
    site.failure = GONE
    site.cluster.clock.secs += 60
    assert [client.get(page).status_code for page in pages] == [200] * 3


def test_while_nimbus_is_silent_pages_show_what_it_last_told(site: Any, topology_id: str, client: Any) -> None:
    before = client.get("/").text
    site.failure = GONE
    site.cluster.clock.secs += 60
    answer = client.get("/")
    assert answer.status_code == 200
    assert "Nimbus has not answered since 20" in answer.text
    assert f'data-key="{topology_id}"' in answer.text
    assert "has not answered" not in before
    assert client.get("/api/v1/cluster/summary").status_code == 503  # programs are never told what was
    never = client.get("/owners")
    assert (never.status_code, "has not answered since 20" in never.text) == (503, True)
    assert 'data-events="/events/owners"' in never.text  # it comes by itself
    site.failure = None
    site.cluster.clock.secs += 60
    assert "has not answered" not in client.get("/").text
    assert client.get("/owners").status_code == 200


def test_half_a_character_in_a_users_setting_ends_no_page(site: Any, client: Any) -> None:
    topology_id = site.cluster.submit("halved", hostile_topology(), {"my.greeting": "\ud83d cut"})
    answer = client.get(f"/topology/{topology_id}")
    assert answer.status_code == 200
    assert "? cut" in answer.text


class Watched:
    """A page that is watched, through all that stands in front of it."""

    def __init__(self, app: Any, path: str) -> None:
        self.got: asyncio.Queue[Any] = asyncio.Queue()
        self.leaves = asyncio.Event()
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [(b"host", b"127.0.0.1:8080")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080),
            "scheme": "http", "root_path": "", "http_version": "1.1",
        }  # fmt: skip
        self.task = asyncio.ensure_future(app(scope, self._receive, self.got.put))

    async def _receive(self) -> Any:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def begun(self) -> Watched:
        start = await self.got.get()
        assert (start["status"], (await self.got.get())["body"]) == (200, streams.RETRY)
        return self

    async def told(self, region: str) -> str:
        """The HTML of the next event that has this region."""
        while True:
            body = (await self.got.get())["body"]
            if body.startswith(b"event: regions\n"):
                found = json.loads(body.partition(b"data: ")[2])
                if region in found:
                    return str(found[region])


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LIVE_SECS", 0.001)
    monkeypatch.setattr(streams, "SHARE_MAX", 1e9)


@pytest.mark.usefixtures("often")
def test_whoever_watches_a_page_sees_what_happens(site: Any, ui: Any) -> None:
    async def story() -> None:
        watched = await Watched(build_app(ui), "/events/").begun()
        assert "No topology runs." in await watched.told("topologies")
        topology_id = site.run_word_count()
        site.cluster.clock.secs += 2
        assert f'data-key="{topology_id}"' in await watched.told("topologies")
        site.failure = GONE
        site.cluster.clock.secs += 2
        assert "has not answered since 20" in await watched.told("notice")
        site.failure = None
        site.cluster.clock.secs += 2
        assert (await watched.told("notice")).strip() == ""
        ui.streams.close()
        await watched.task

    asyncio.run(story())


@pytest.mark.usefixtures("often")
def test_a_page_that_is_no_more_keeps_its_regions_and_says_so(site: Any, ui: Any) -> None:
    async def story() -> None:
        watched = await Watched(build_app(ui), "/events/supervisor/a").begun()
        await watched.told("workers")
        site.cluster.stop_supervisor("a")
        site.cluster.core.step()
        site.cluster.clock.secs += 2
        assert "There is no supervisor a" in await watched.told("notice")
        watched.leaves.set()
        await watched.task

    asyncio.run(story())


@pytest.mark.usefixtures("often")
def test_a_bug_in_a_page_ends_no_stream(site: Any, ui: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        site.failure = ZeroDivisionError("a secret of the code")
        watched = await Watched(build_app(ui), "/events/").begun()
        notice = await watched.told("notice")
        assert ("Please report it." in notice, "secret" in notice) == (True, False)
        site.failure = None
        await watched.told("topologies")
        watched.leaves.set()
        await watched.task

    asyncio.run(story())
    assert "a secret of the code" in caplog.text


def test_streams_take_no_places_of_requests(ui: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ACTIVE_MAX", 1)

    async def story() -> None:
        app = build_app(ui)
        watched = [await Watched(app, "/events/").begun() for _ in range(3)]
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            text = (await client.get("/metrics")).text
        assert "storm_ui_streams 3.0" in text
        assert 'storm_ui_requests_total{method="GET",route="/events/",status="200"} 3.0' in text
        ui.streams.close()
        await asyncio.gather(*(each.task for each in watched))

    asyncio.run(story())


def test_a_page_of_another_site_watches_nothing(ui: Any, client: Any) -> None:
    answer = client.get("/events/", headers={"sec-fetch-site": "cross-site"})
    assert (answer.status_code, ui.streams.count) == (403, 0)


def test_a_stream_too_many_is_refused(ui: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ui.streams.count = streams.STREAMS_MAX
    answer = client.get("/events/")
    assert (answer.status_code, "pages are being watched" in answer.json()["errorMessage"]) == (503, True)
