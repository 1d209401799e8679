"""The log viewer's own pages in a browser, over logs that lie there; found by roles and texts, as people find them.

`--screenshots DIR` leaves pictures of each kind of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx
import logviewer_site
import pytest
from logviewer_site import LOG, NOWHERE, OTHER, PROFILE, STACKS, WORDS, log_address
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from logviewer_site import LogviewerSite
    from watched_page import WatchedPage

pytestmark = pytest.mark.timeout(240)

KINDS = ["list", "log", "found", "dumps"]  # of pages: the others are built as one of them, or tell of a problem
TABS_MAX = 60


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogviewerSite]:
    started = logviewer_site.start(tmp_path_factory.mktemp("logviewer"))
    yield started
    started.close()


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_page_follows_the_rules(
    name: str, site: LogviewerSite, watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    """Those of axe-core: contrast in light and dark, names, headings, landmarks."""
    watched.visit(site.pages[name])
    look_at(watched, f"logviewer-{name}")


def test_every_page_says_what_it_is_and_fits_into_a_phone(site: LogviewerSite, watched: WatchedPage) -> None:
    watched.page.set_viewport_size({"width": 375, "height": 900})
    for path in site.pages.values():
        page = watched.visit(path)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        expect(page.get_by_role("heading", level=1)).not_to_be_empty()
        assert page.title().endswith("Storm logs")
        assert watched.too_wide() <= 0, path


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (log_address("gone-1-1/6700/worker.log"), 404, "gone-1-1"),
        ("/find?file=&search-string=", 400, "search-string"),
    ],
)
def test_what_is_not_there_is_told_in_a_sentence(path: str, status: int, words: str, watched: WatchedPage) -> None:
    watched.expected = re.compile(str(status))
    page = watched.visit(path, status)
    expect(page.get_by_role("main")).to_contain_text(words)
    expect(page.get_by_role("link", name="All logs of this host")).to_be_visible()


def test_a_page_of_a_problem_follows_the_rules(
    watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    watched.expected = re.compile("404")
    watched.visit(log_address("gone-1-1/6700/worker.log"), 404)
    look_at(watched, "logviewer-problem")


def test_every_link_leads_somewhere_and_every_kind_of_page_is_linked(site: LogviewerSite, watched: WatchedPage) -> None:
    links: dict[str, str] = {}
    for path in site.pages.values():
        page = watched.visit(path)
        hrefs = page.evaluate("() => [...document.querySelectorAll('a[href]')].map(link => link.href)")
        links |= {urljoin(page.url, href): path for href in hrefs}
    answers = {href: httpx.get(href, timeout=30).status_code for href in links}
    assert {href: (status, links[href]) for href, status in answers.items() if status != 200} == {}
    for path in ("/", f"/?topoId={WORDS}", f"/?topoId={WORDS}&port=6700", log_address(LOG), log_address(f"{LOG}.2.gz")):
        assert any(href.startswith(site.address + path) for href in links), f"no page leads to {path}"
    for file in (PROFILE, STACKS):
        assert f"{site.address}/api/v1/dumps/{WORDS}/6700/{file}" in links


def test_every_page_can_be_read_without_scripts(site: LogviewerSite, open_page: Callable[..., WatchedPage]) -> None:
    watched = open_page(scripts=False)
    for path in site.pages.values():
        page = watched.visit(path)
        expect(page.get_by_role("heading", level=1)).not_to_be_empty()
        for button in page.locator("button:not(form[method=get] button)").all():
            assert not button.is_visible(), f"{path}: {button.inner_text()} does nothing"
    page = watched.visit(site.pages["log"])
    page.get_by_role("searchbox", name="Find in this file").fill("a bad line 100")
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator("mark").first).to_have_text("a bad line 100")


def test_a_text_is_found_and_read_where_it_stands(site: LogviewerSite, watched: WatchedPage) -> None:
    page = watched.visit("/")
    page.get_by_role("link", name=LOG, exact=True).click()
    log = page.get_by_role("region", name=LOG)
    expect(log).to_contain_text("the last line")
    expect(log).not_to_contain_text("a bad line 1500\n")
    page.get_by_role("searchbox", name="Find in this file").fill("ValueError: a bad line 1500")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("1 found")
    expect(page.locator("mark")).to_have_text("ValueError: a bad line 1500")
    page.get_by_role("link", name=re.compile("^byte")).click()
    expect(log).to_contain_text("ValueError: a bad line 1500\n")
    page.get_by_role("link", name="Last", exact=True).first.click()
    expect(log).to_contain_text("the last line")


def test_the_logs_of_a_topology_are_searched_also_those_put_aside(site: LogviewerSite, watched: WatchedPage) -> None:
    page = watched.visit(f"/?topoId={WORDS}")
    page.get_by_role("searchbox").fill("line 2995")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2).get_by_role("link", name=f"{LOG}.1", exact=True)).to_be_visible()
    assert page.locator("mark").count() == 2
    page = watched.visit(f"/?topoId={WORDS}")
    page.get_by_role("searchbox").fill("line 2995")
    page.get_by_role("checkbox", name="also in older files").uncheck()
    page.keyboard.press("Enter")
    expect(page.locator("mark")).to_have_count(1)


def test_what_is_found_nowhere_is_said(site: LogviewerSite, watched: WatchedPage) -> None:
    page = watched.visit(site.search(NOWHERE))
    expect(page.get_by_role("main")).to_contain_text(f"0 found: {NOWHERE}")
    expect(page.get_by_role("main")).to_contain_text("No line has this text, exactly so.")


def test_a_search_goes_on_where_it_ended(site: LogviewerSite, watched: WatchedPage) -> None:
    page = watched.visit(site.search("ValueError: a bad line", matches=20))
    expect(page.locator("mark")).to_have_count(20)
    page.get_by_role("link", name="Go on with the search").click()
    expect(page.locator("mark")).to_have_count(10)
    expect(page.get_by_role("link", name="Go on with the search")).to_have_count(0)


def test_parts_of_a_log_meet(site: LogviewerSite, watched: WatchedPage) -> None:
    page = watched.visit(f"{log_address(LOG)}&start=0&length=51200")
    parts = [page.locator("#log").inner_text()]
    while (onward := page.get_by_role("link", name="Next", exact=True)).count():
        onward.first.click()
        parts.append(page.locator("#log").inner_text())
    assert len(parts) > 3
    assert "".join(parts).split() == (site.artifacts / LOG).read_text().split()


def test_only_lines_with_a_text_are_shown(site: LogviewerSite, watched: WatchedPage) -> None:
    page = watched.visit(site.pages["log"])
    page.get_by_role("searchbox", name="Only lines with").fill("ERROR")
    page.get_by_role("button", name="Filter this part").click()
    lines = page.locator("#log").inner_text().strip().splitlines()
    assert lines
    assert all("ERROR" in line for line in lines)


def test_the_end_of_a_log_is_followed_also_when_another_takes_its_place(
    site: LogviewerSite, watched: WatchedPage
) -> None:
    page = watched.visit(site.pages["log"])
    follow, log = page.get_by_role("button", name="Follow"), page.locator("#log")
    expect(follow).to_have_attribute("aria-pressed", "false")
    follow.focus()
    page.keyboard.press("Enter")
    expect(follow).to_have_attribute("aria-pressed", "true")
    site.append("what came meanwhile: ü <b>\n")
    expect(log).to_contain_text("what came meanwhile: ü <b>")
    watched.check_rules()
    written = (site.artifacts / LOG).read_text()
    site.put_aside("a new log begins\n")
    try:
        expect(log).to_contain_text("a new log begins")
        page.keyboard.press("Enter")
        expect(follow).to_have_attribute("aria-pressed", "false")
    finally:
        (site.artifacts / f"{LOG}.3").unlink()
        site.put(LOG, written)


def test_who_follows_is_told_when_the_log_viewer_does_not_answer(site: LogviewerSite, watched: WatchedPage) -> None:
    watched.expected = re.compile("503|Failed to load")
    page = watched.visit(site.pages["log"])
    page.route("**/api/v1/log?**", lambda route: route.fulfill(status=503, body="a moment"))
    page.get_by_role("button", name="Follow").click()
    expect(page.get_by_role("status")).to_contain_text("The log viewer does not answer: a moment")
    page.unroute("**/api/v1/log?**")
    expect(page.get_by_role("status")).to_be_empty()


def test_markup_in_logs_is_text(site: LogviewerSite, watched: WatchedPage) -> None:
    for path in (site.pages["log"], site.search("<script>hacked")):
        page = watched.visit(path)
        expect(page.get_by_role("main")).to_contain_text('<img src=x onerror="hacked = 2">')
        assert page.evaluate("() => window.hacked") is None
        assert page.locator("main script, main img").count() == 0


def test_a_script_that_gets_into_a_page_is_not_run(site: LogviewerSite, watched: WatchedPage) -> None:
    watched.visit("/")
    watched.check_policy()


@pytest.mark.parametrize("name", ["list", "log"])
def test_everything_is_reached_by_the_keyboard_and_one_sees_where_one_is(
    name: str, site: LogviewerSite, watched: WatchedPage
) -> None:
    page = watched.visit(site.pages[name])
    reachable = page.locator("a[href]:visible, button:visible, input:visible:not([type=hidden])").count()
    seen: list[dict[str, Any]] = []
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        seen.append(watched.focused())
        if seen[-1]["tag"] == "BODY":
            break
    on_page = [one for one in seen if one["tag"] != "BODY"]
    assert [one for one in on_page if not one["isShown"]] == []
    assert len(on_page) >= reachable


def test_a_flame_graph_stands_alone(site: LogviewerSite, watched: WatchedPage) -> None:
    page = watched.visit(site.pages["dumps"])
    page.get_by_role("link", name=PROFILE, exact=True).click()
    page.locator("svg").first.wait_for()
    assert page.evaluate("() => document.documentElement.nodeName") == "svg"
    assert page.evaluate("() => window.origin") == "null"  # it is of nobody, and reaches nothing


def test_a_name_that_is_long_is_in_nobodys_way(site: LogviewerSite, watched: WatchedPage) -> None:
    page = watched.visit(f"/?topoId={OTHER}")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{OTHER}, port 6700")
    page.set_viewport_size({"width": 375, "height": 900})
    assert watched.too_wide() <= 0
    watched.visit(log_address(f"{OTHER}/6700/worker.log"))
    assert watched.too_wide() <= 0
