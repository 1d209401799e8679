"""What storm.js does with regions that come anew and dialogs that stand beside them, in Chromium, without a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import expect

from storm.ui.pages import site
from storm.ui.pages.component import keyed
from storm.ui.pages.links import Links
from storm.ui.pages.page import Frame
from storm.ui.pages.regions import regions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.timeout(240)

ADDRESS = "http://ui.test"
FILES = Path(site.__file__).parent / "static"
FRAME = Frame("0.1.0", token="a.b", events="/events/")  # nobody answers there
PAGE = """{% extends "base.html" %}{% from "macros.html" import table %}{% from "graph.html" import error %}
{% from "actions.html" import actions, worker_buttons, worker_dialogs, topology_buttons, topology_dialogs %}
{% block actions %}<section data-live="actions">{{ topology_buttons("ACTIVE", frame, present) }}
{% call actions({"workers": workers, "profiled": profiled}) %}
{{ worker_buttons(frame, workers, profiled) }}{% endcall %}</section>{% endblock %}
{% block content %}
<section data-live="errors">
{% for one in errors %}{{ error(one, loop.first, "t", "split", link) }}{% endfor %}
</section>
<section data-live="rows">
{% call table("rows", "Rows", [("Name", ""), ("Count", "num")], filter="Filter rows", shows=rows|length) %}
{% for name, count in rows|dictsort %}
<tr data-key="{{ name }}"><th scope="row"><a href="/{{ name }}">{{ name }}</a></th><td>{{ count }}</td></tr>
{% endfor %}{% endcall %}
</section>{% endblock %}
{% block dialogs %}{{ worker_dialogs("a worker", "/topology/t", "/topology/t") }}
{{ topology_dialogs("t", "t", 30, present.executors) }}{% endblock %}"""
PRESENT = {"numWorkers": 0, "executors": {"split": 0, "count": 0}}
NOTHING = {"errors": [], "rows": {}, "workers": [], "profiled": [], "present": PRESENT}


class LivePage:
    """A page of the UI's own templates. `posted`: (path, body) of what its dialogs have sent."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.posted: list[tuple[str, Any]] = []
        self._templates = site.environment()
        self._templates.globals["static"] = lambda name: f"/{name}"
        self._html = ""
        page.route("**/*", self._answer)

    def _answer(self, route: Route) -> None:
        path = unquote(urlsplit(route.request.url).path)
        if route.request.method == "POST":
            body = route.request.post_data
            self.posted.append((path, None if body is None else json.loads(body)))
            route.fulfill(json={"stacks": "Thread 1"})
        elif path == "/":
            route.fulfill(body=self._html, content_type="text/html; charset=utf-8")
        elif (FILES / path[1:]).is_file():
            route.fulfill(path=FILES / path[1:])
        else:
            route.abort()

    def _made(self, **shown: Any) -> str:
        return self._templates.from_string(PAGE).render(NOTHING | shown, frame=FRAME, link=Links())

    def open(self, **shown: Any) -> Page:
        self._html = self._made(**shown)
        self.page.goto(f"{ADDRESS}/")
        return self.page

    def becomes(self, region: str, **shown: Any) -> None:
        """As the stream of changes has it."""
        html = regions(self._made(**shown))[region]
        self.page.evaluate("([region, html]) => show(region, html)", [region, html])


@pytest.fixture
def live(browser: Browser) -> Iterator[LivePage]:
    context = browser.new_context()
    yield LivePage(context.new_page())
    context.close()


def errors(*texts: str) -> list[dict[str, Any]]:
    """As a component's page has them, all of one second and one worker; `texts` are the oldest first."""
    place = {"errorTime": 1_782_907_205, "errorLapsedSecs": 1, "errorHost": "h", "errorPort": 1}
    link = "http://h:8000/"
    shown = [{"error": text, "headline": text, "is_whole": True, **place, "errorWorkerLogLink": link} for text in texts]
    return list(reversed(keyed(shown)))


def test_errors_of_one_second_all_stay_when_another_comes(live: LivePage) -> None:
    page = live.open(errors=errors("one", "two", "three"))
    live.becomes("errors", errors=errors("one", "two", "three", "four"))
    assert page.locator(".error strong").all_inner_texts() == ["four", "three", "two", "one"]


def test_no_node_takes_the_place_of_two_that_have_one_key(live: LivePage) -> None:
    same = [{**one, "key": "same"} for one in errors("one", "two", "three")]
    page = live.open(errors=same)
    live.becomes("errors", errors=same)
    assert page.locator(".error strong").all_inner_texts() == ["three", "two", "one"]


def test_a_worker_is_asked_that_is_there_when_the_dialog_opens(live: LivePage) -> None:
    page = live.open(workers=["h:1"])
    live.becomes("actions", workers=["h:2", "[::1]:3"])
    page.get_by_role("button", name="Restart", exact=True).click()
    worker = page.get_by_role("dialog").get_by_label("Worker")
    assert worker.locator("option").all_inner_texts() == ["h:2", "[::1]:3"]
    worker.select_option("[::1]:3")
    page.get_by_role("button", name="Restart it").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert live.posted == [("/api/v1/topology/t/profiling/restartworker/[::1]:3", None)]
    live.becomes("actions", workers=[])
    expect(page.get_by_role("button", name="Restart", exact=True)).to_be_disabled()


def test_a_profile_that_goes_on_is_stopped_by_a_button(live: LivePage) -> None:
    page = live.open(workers=["h:1", "h:2"])
    button = page.get_by_role("button", name="Stop profile", exact=True)
    expect(button).to_have_count(0)
    live.becomes("actions", workers=["h:1", "h:2"], profiled=["h:2"])
    button.click()
    expect(page.get_by_role("dialog").get_by_label("Worker").locator("option")).to_have_text(["h:2"])
    page.get_by_role("button", name="Stop it").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert live.posted == [("/api/v1/topology/t/profiling/stop/h:2", None)]


def test_which_worker_is_meant_is_shown_though_there_is_one(live: LivePage) -> None:
    page = live.open(workers=["h:1"])
    page.get_by_role("button", name="Stacks", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("combobox", name="Worker")).to_have_value("h:1")
    expect(page.get_by_role("dialog").get_by_text("Thread 1")).to_be_visible()


def test_a_rebalance_asks_for_what_was_entered_though_it_was_so_when_the_page_was_loaded(live: LivePage) -> None:
    page = live.open(present={"numWorkers": 2, "executors": {"split": 4, "count": 1}})
    live.becomes("actions", present={"numWorkers": 3, "executors": {"split": 6, "count": 1}})
    page.get_by_role("button", name="Rebalance", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Workers")).to_have_value("3")
    expect(dialog.get_by_label("split")).to_have_value("6")
    dialog.get_by_label("split").fill("4")
    dialog.get_by_role("button", name="Rebalance").click()
    expect(dialog).to_be_hidden()
    assert live.posted == [("/api/v1/topology/t/rebalance/30", {"rebalanceOptions": {"executors": {"split": 4}}})]


def test_a_rebalance_of_a_topology_that_runs_nowhere_can_be_sent(live: LivePage) -> None:
    """How many executors it has is not known then. Nothing is sent where nothing was entered."""
    page = live.open()
    page.get_by_role("button", name="Rebalance", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Rebalance").click()
    expect(dialog.get_by_role("alert")).to_contain_text("No number was changed.")
    assert live.posted == []
    dialog.get_by_label("Workers").fill("2")
    dialog.get_by_role("button", name="Rebalance").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Rebalance", exact=True).click()
    dialog.get_by_label("Workers").fill("5")
    dialog.get_by_label("Only spread it anew").check()
    dialog.get_by_role("button", name="Rebalance").click()
    expect(dialog).to_be_hidden()
    assert [body["rebalanceOptions"] for _, body in live.posted] == [{"numWorkers": 2}, {}]


def test_a_filter_ends_with_its_field(live: LivePage) -> None:
    many = {f"row-{i}": i for i in range(9)}
    few = {name: many[name] for name in ("row-1", "row-2")}
    page = live.open(rows=many)
    rows = page.locator("#rows tbody tr:visible")
    for fewer in (few, {}):
        page.get_by_role("searchbox").fill("row-1")
        live.becomes("rows", rows=many)
        expect(rows).to_have_count(1)
        live.becomes("rows", rows=fewer)
        expect(rows).to_have_count(len(fewer))
        live.becomes("rows", rows=many)
        expect(page.get_by_role("searchbox")).to_have_value("")
        expect(rows).to_have_count(9)


def test_the_focus_stays_in_a_row_that_rises(live: LivePage) -> None:
    page = live.open(rows={"a": 2, "b": 1})
    page.get_by_role("button", name="Count").click()
    live.becomes("rows", rows={"a": 3, "b": 4})
    page.get_by_role("link", name="a", exact=True).focus()
    live.becomes("rows", rows={"a": 5, "b": 4})
    assert page.locator("#rows tbody a").all_inner_texts() == ["a", "b"]
    expect(page.get_by_role("link", name="a", exact=True)).to_be_focused()
