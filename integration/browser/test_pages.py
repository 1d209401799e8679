"""The UI's pages in a browser, on a cluster that runs: what they show, what can be done on them, and by whom.

Found by roles and texts, as people and screen readers find them. `--screenshots DIR` leaves pictures of all of them.
"""

from __future__ import annotations

import json
import re
import signal
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin

import pytest
from browser_site import COUNTED, FAILING, MARKED, OWNER, PATHS, TIMED, TIMING
from playwright.sync_api import expect
from watched_page import NOTICE, WatchedPage, whole

from storm.metrics.stats_records import WINDOWS
from storm.supervisor.profiling import found_py_spy
from storm.ui.pages.figures import latency

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser_site import BrowserSite
    from playwright.sync_api import Route

pytestmark = pytest.mark.timeout(240)

TABS_MAX = 60
MARKUP = ("<img src=x onerror=hacked=1>", '"><svg onload=hacked=1>')  # components of `marked`
WHOLE_BOLT = "The whole bolt, over all windows"
PATIENCE_MS = 60_000  # for what a worker or py-spy takes its time
WITHOUT_NIMBUS = re.compile(r"\b50[0-9]\b|net::ERR|Failed to load resource")


# --- every page


@pytest.mark.parametrize("path", PATHS)
def test_every_page_follows_the_rules(
    path: str, site: BrowserSite, watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    """Those of axe-core: contrast in light and dark, names, headings, landmarks. And it fits into a phone."""
    page = watched.visit(site.address_of(path))
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).not_to_be_empty()
    assert page.title().endswith("Storm")
    look_at(watched, re.sub(r"\W+", "-", path.replace("{", "").replace("}", "")).strip("-") or "cluster")


@pytest.mark.parametrize(
    ("path", "button"),
    [
        ("/topology/{id}", "Deactivate"),
        ("/topology/{id}", "Rebalance"),
        ("/topology/{id}", "Log levels"),
        ("/topology/{id}", "Log tuples"),
        ("/topology/{id}", "Kill"),
        ("/topology/{id}/component/{component}", "Log tuples"),
        ("/topology/{id}/worker/{host_port}", "Stacks"),
        ("/topology/{id}/worker/{host_port}", "Restart"),
    ],
)
def test_every_dialog_follows_the_rules(
    path: str, button: str, site: BrowserSite, watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    page = watched.visit(site.address_of(path))
    page.get_by_role("button", name=button, exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    if button == "Stacks":
        expect(dialog.locator(".answer")).to_be_visible()
    look_at(watched, f"dialog-{path.count('/')}-{button.lower().replace(' ', '-')}")


def test_large_numbers_fit_into_the_widest_table(site: BrowserSite, watched: WatchedPage) -> None:
    """The bolts' has most columns: their counts may have ten digits in a window of 1,280 pixels."""
    page = watched.visit(site.topology(COUNTED))
    bolts = watched.table("Bolts")
    names = [head.strip() for head in bolts.locator("thead th").all_inner_texts()]
    cells = [names.index(name) for name in ("Emitted", "Transferred", "Executed", "Acked")]
    page.evaluate(
        "([cells]) => document.querySelectorAll('#bolts tbody tr').forEach("
        "row => cells.forEach(cell => { row.cells[cell].textContent = '1,234,567,890'; }))",
        [cells],
    )
    assert bolts.evaluate("table => table.parentElement.scrollWidth - table.parentElement.clientWidth") <= 0


def test_every_page_can_be_read_without_scripts(site: BrowserSite, open_page: Callable[..., WatchedPage]) -> None:
    watched = open_page(scripts=False)
    for path in PATHS:
        page = watched.visit(site.address_of(path))
        expect(page.get_by_role("heading", level=1)).not_to_be_empty()
        for button in page.locator("button:not(form[method=get] button)").all():
            assert not button.is_visible(), f"{path}: {button.inner_text()} does nothing"
    page = watched.visit(site.address_of("/topology/{id}/logs"))
    page.get_by_role("searchbox").fill("a bad number 50")
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("ValueError: a bad number 50")


def test_every_link_of_ours_leads_somewhere_and_every_page_is_linked(site: BrowserSite, watched: WatchedPage) -> None:
    links: dict[str, str] = {}
    for path in PATHS:
        page = watched.visit(site.address_of(path))
        hrefs = page.evaluate("() => [...document.querySelectorAll('a[href]')].map(link => link.href)")
        links |= {urljoin(page.url, href).partition("#")[0]: path for href in hrefs}
    ours = {href: path for href, path in links.items() if href.startswith(f"{site.address}/")}
    answers = {href: site.client.get(href, follow_redirects=True).status_code for href in ours}
    assert {href: (status, ours[href]) for href, status in answers.items() if status != 200} == {}
    linked = {unquote(href.removeprefix(site.address).partition("?")[0]) for href in ours}
    assert {unquote(site.address_of(path)) for path in PATHS} - linked == set(), "no page leads there"


def test_what_is_not_there_is_told_in_a_sentence(
    site: BrowserSite, watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    watched.expected = re.compile("404")
    page = watched.visit("/topology/none-1-1", status=404)
    expect(page.get_by_role("main")).to_contain_text("none-1-1")
    expect(page.get_by_role("main").get_by_role("link", name="The cluster")).to_be_visible()
    look_at(watched, "not-there")


# --- what they show


def test_figures_are_those_that_the_topology_counted_itself(site: BrowserSite, watched: WatchedPage) -> None:
    site.wait(site.is_quiet, "the count has ended")
    lines, split, count = (site.counted(name) for name in ("lines", "split", "count"))
    assert 0 < lines["failed"] == split["failed"] < lines["acked"]
    transferred = {
        "lines": split["executed/lines/default"] + count["executed/lines/side"],
        "split": count["executed/split/default"],
        "count": 0,
    }
    wanted = {
        component: {
            "Emitted": counted["emitted/default"] + counted["emitted/side"],
            "Transferred": transferred[component],
            "Acked": counted["acked"],
            "Failed": counted["failed"],
        }
        for component, counted in {"lines": lines, "split": split, "count": count}.items()
    }
    for component, counted in (("split", split), ("count", count)):
        wanted[component]["Executed"] = sum(number for name, number in counted.items() if name.startswith("executed/"))
    for window in site.whole_windows(COUNTED)[-2:]:  # all of them: tests/ui/test_windows.py
        page = watched.visit(f"{site.topology(COUNTED)}?window={window}")
        for component, figures_wanted in wanted.items():
            caption = "Spouts" if component == "lines" else "Bolts"
            shown = partial(figures, watched, caption, component)
            assert becomes(shown, figures_wanted, page) == figures_wanted, (component, window)


def test_figures_of_a_component_are_those_of_its_tasks(site: BrowserSite, watched: WatchedPage) -> None:
    site.wait(site.is_quiet, "the count has ended")
    page = watched.visit(f"{site.topology(COUNTED)}/component/split")
    tasks = site.counted_tasks("split")
    wanted = {
        f"[{task}-{task}]": (counted["emitted/default"], counted["acked"], counted["failed"])
        for task, counted in tasks.items()
    }

    def shown() -> dict[str, Any]:
        rows = watched.rows("Executors")
        return {first(row): tuple(whole(row[name]) for name in ("Emitted", "Acked", "Failed")) for row in rows}

    assert becomes(shown, wanted, page) == wanted


@pytest.mark.parametrize("component", ["lines", "split", "count"])
def test_every_figure_of_a_component_is_what_its_tasks_counted(
    component: str, site: BrowserSite, watched: WatchedPage
) -> None:
    """Of the page and of the REST API, together and by stream, in two windows; by task in the test above."""
    site.wait(site.is_quiet, "the count has ended")
    counted = site.counted(component)
    outputs = {stream: counted[f"emitted/{stream}"] for stream in ("default", "side") if counted[f"emitted/{stream}"]}
    inputs = {tuple(name.split("/")[1:]): number for name, number in counted.items() if name.startswith("executed/")}
    wanted = [outputs, inputs, sum(outputs.values()), counted["acked"], counted["failed"]]
    path = f"{site.topology(COUNTED)}/component/{component}"

    def told(window: str) -> list[Any]:
        told = site.get(f"{path}?window={window}")
        totals = told["spoutSummary" if component == "lines" else "boltStats"]
        [total] = [one for one in totals if one["window"] == window]
        executors = told["executorStats"]
        assert [sum(one[name] for one in executors) for name in ("emitted", "acked", "failed")] == [
            total[name] for name in ("emitted", "acked", "failed")
        ]
        return [
            {one["stream"]: one["emitted"] for one in told["outputStats"]},
            {(one["component"], one["stream"]): one["executed"] for one in told.get("inputStats", [])},
            total["emitted"],
            total["acked"],
            total["failed"],
        ]

    def shown(window: str) -> list[Any]:
        totals = watched.rows("The whole spout, over all windows" if component == "lines" else WHOLE_BOLT)
        total = totals[WINDOWS.index(window)]
        inputs = [] if component == "lines" else watched.rows("Inputs")
        return [
            {first(row): whole(row["Emitted"]) for row in (watched.rows("Outputs") if outputs else [])},
            {(first(row), row["Stream"]): whole(row["Executed"]) for row in inputs},
            whole(total["Emitted"]),
            whole(total["Acked"]),
            whole(total["Failed"]),
        ]

    for window in site.whole_windows(COUNTED)[-2:]:  # all of them: tests/ui/test_windows.py
        page = watched.visit(f"{path}?window={window}")
        assert becomes(partial(told, window), wanted, page) == wanted, window
        assert becomes(partial(shown, window), wanted, page) == wanted, window


def test_latencies_are_those_that_the_topology_took_itself(site: BrowserSite, watched: WatchedPage) -> None:
    """On both pages and in the REST API: between the least and the most that they can have been."""
    site.wait(site.has_taken_times, "all times are taken")
    taken, topology = site.latencies(), site.topology(TIMED)
    page = watched.visit(topology)

    def is_told() -> bool:
        acked = [site.get(f"{topology}/component/{name}")["executorStats"][0]["acked"] for name in TIMING]
        return min(acked) == len(json.loads((site.counted_dir / "timed-numbers.json").read_text()))

    site.wait(is_told, "all of them are counted")
    spout, bolt = (site.get(f"{topology}/component/{name}") for name in TIMING[:2])
    windows = site.whole_windows(TIMED)
    [output], [executor] = spout["outputStats"], spout["executorStats"]
    [source] = [one for one in bolt["inputStats"] if one["component"] == "numbers"]
    totals = [one for one in site.get(topology)["topologyStats"] + spout["spoutSummary"] if one["window"] in windows]
    for one in (output, executor, *totals):
        assert is_within(one["completeLatency"], taken.complete)
    assert is_within(source["executeLatency"], taken.execute)
    assert is_within(source["processLatency"], taken.process)
    for caption, name, column, told in (
        ("Spouts", "numbers", "Complete latency, ms", output["completeLatency"]),
        ("The whole topology, over all windows", "All time", "Complete latency, ms", output["completeLatency"]),
    ):
        assert becomes(partial(cell, watched, caption, name, column), latency(told), page) == latency(told)
    page = watched.visit(f"{topology}/component/work")
    for column, told in (("Execute, ms", source["executeLatency"]), ("Process, ms", source["processLatency"])):
        assert becomes(partial(cell, watched, "Inputs", "numbers", column), latency(told), page) == latency(told)
    watched.visit(f"{topology}/component/numbers")
    for caption in ("Outputs", "Executors"):
        assert watched.rows(caption)[0]["Complete latency, ms"] == latency(output["completeLatency"])


def is_within(told: str, bounds: tuple[float, float]) -> bool:
    """Whether a latency is, but for the last of its three decimals."""
    return bounds[0] - 0.001 <= float(told) <= bounds[1] + 0.001


def cell(watched: WatchedPage, caption: str, name: str, column: str) -> str:
    return next((row[column] for row in watched.rows(caption) if first(row) == name), "")


def becomes(shown: Callable[[], Any], wanted: Any, page: Any) -> Any:
    """What is shown in the end: as soon as it is what is wanted, else after some seconds."""
    for _ in range(100):
        if (found := shown()) == wanted:
            break
        page.wait_for_timeout(100)
    return found


def first(row: dict[str, str]) -> str:
    """What the row is called: its first cell."""
    return next(iter(row.values()))


def figures(watched: WatchedPage, caption: str, component: str) -> dict[str, int]:
    """{column: number} of a component's row."""
    for row in watched.rows(caption):
        if first(row) == component:
            names = ("Emitted", "Transferred", "Executed", "Acked", "Failed")
            return {name: whole(row[name]) for name in names if name in row}
    return {}


def test_a_figure_changes_without_the_page_being_loaded_again(site: BrowserSite, watched: WatchedPage) -> None:
    page = watched.visit(site.topology(FAILING))
    page.evaluate("() => { window.isTheSame = true; }")
    before = figures(watched, "Spouts", "numbers")["Emitted"]
    cell = watched.table("Spouts").locator("tbody tr", has_text="numbers").locator("td").filter(has_text=f"{before:,}")
    expect(cell).to_have_count(0)
    assert figures(watched, "Spouts", "numbers")["Emitted"] > before
    assert page.evaluate("() => window.isTheSame")


def test_what_is_wrong_is_told_first_with_the_component_and_its_error(site: BrowserSite, watched: WatchedPage) -> None:
    page = watched.visit(site.topology(FAILING))
    troubles = page.get_by_role("list", name="What is wrong")
    expect(troubles).to_contain_text("check")
    expect(page.get_by_role("main")).to_contain_text("ValueError: a bad number")
    page = watched.visit(f"{site.topology(FAILING)}/component/check")
    expect(page.get_by_role("main")).to_contain_text("ValueError: a bad number")


def test_markup_in_names_and_errors_is_text(
    site: BrowserSite, watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    page = watched.visit(site.topology(MARKED))
    main = page.get_by_role("main")
    expect(main).to_contain_text("<img src=x onerror=hacked=1>")
    expect(main).to_contain_text("<script>hacked = 1</script>")
    bolts = watched.table("Bolts")
    bolts.get_by_role("link", name='"><svg onload=hacked=1>', exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text('"><svg onload=hacked=1>')
    expect(page.get_by_role("main")).to_contain_text("<b onclick=hacked=1>")
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("main img[src='x'], main svg[onload], main b[onclick]").count() == 0
    look_at(watched, "names-of-markup")


def test_markup_does_nothing_on_any_page(site: BrowserSite, watched: WatchedPage) -> None:
    for path in PATHS:
        for component in MARKUP:
            page = watched.visit(site.address_of(path, MARKED, component))
            assert page.evaluate("() => window.hacked") is None, path
            assert page.locator("main img[src='x'], main svg[onload], main b[onclick], main script").count() == 0, path


def test_a_line_of_a_workers_log_is_found_and_read_where_it_stands(
    site: BrowserSite, watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    page = watched.visit(site.topology(FAILING))
    page.get_by_role("link", name="Its logs", exact=True).click()
    page.get_by_role("searchbox", name="Find in the logs of all workers").fill("a bad number 50")
    page.keyboard.press("Enter")
    found = page.locator("#found li", has_text="ValueError: a bad number 50").first
    expect(found.locator("mark").first).to_have_text("a bad number 50")
    look_at(watched, "log-search-found")
    found.get_by_role("link", name="worker.log").click()
    log = page.get_by_role("region", name=re.compile("^Log of"))
    expect(log.locator("mark").first).to_have_text("a bad number 50")
    look_at(watched, "log-found")
    page.get_by_role("link", name="First", exact=True).click()
    expect(log).to_contain_text(site.topologies[FAILING])


def test_markup_in_logs_is_text(site: BrowserSite, watched: WatchedPage) -> None:
    page = watched.visit(f"{site.topology(MARKED)}/logs/search?text=%3Cscript%3Ehacked")
    expect(page.locator("#found mark").first).to_have_text("<script>hacked")
    page.locator("#found li").first.get_by_role("link", name="worker.log").click()
    expect(page.get_by_role("main").locator("pre mark").first).to_have_text("<script>hacked")
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("main script").count() == 0


def test_a_script_that_gets_into_a_page_is_not_run(site: BrowserSite, watched: WatchedPage) -> None:
    watched.visit("/")
    watched.check_policy()


def test_windows_and_the_systems_components_are_chosen(site: BrowserSite, watched: WatchedPage) -> None:
    page = watched.visit(site.topology(FAILING))
    windows = page.get_by_role("navigation", name="Figures of the last")
    expect(windows.get_by_role("link", name="All time")).to_have_attribute("aria-current", "true")
    windows.get_by_role("link", name="10 min").click()
    expect(page).to_have_url(re.compile("window=600"))
    expect(windows.get_by_role("link", name="10 min")).to_have_attribute("aria-current", "true")
    assert figures(watched, "Spouts", "numbers")["Emitted"] > 0
    assert "__acker" not in page.get_by_role("main").inner_text()
    windows.get_by_role("link", name=re.compile("system")).click()
    expect(page).to_have_url(re.compile("window=600.*sys=true"))
    expect(page.get_by_role("main")).to_contain_text("__acker")


def test_a_table_is_sorted_by_its_heads(site: BrowserSite, watched: WatchedPage) -> None:
    watched.visit("/")
    names = sorted(row["Name"] for row in watched.rows("Topologies"))
    assert len(names) > 1
    heading = watched.table("Topologies").get_by_role("columnheader", name="Name")
    for order, wanted in (("ascending", names), ("descending", names[::-1])):
        heading.get_by_role("button").click()
        expect(heading).to_have_attribute("aria-sort", order)
        assert [row["Name"] for row in watched.rows("Topologies")] == wanted


def test_a_long_table_is_searched(site: BrowserSite, watched: WatchedPage) -> None:
    page = watched.visit("/settings")
    rows = watched.table("Settings").get_by_role("row")
    expect(rows.filter(has_text="storm.zookeeper.port")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("nimbus seeds")
    expect(rows.filter(has_text="storm.zookeeper.port")).to_be_hidden()
    expect(rows.filter(has_text="nimbus.seeds")).to_be_visible()


# --- how one gets around


def test_light_and_dark_by_the_system_and_by_a_switch(site: BrowserSite, open_page: Callable[..., WatchedPage]) -> None:
    light, dark = open_page("light"), open_page("dark")
    for watched in (light, dark):
        watched.visit("/")
    assert light.luminance() > 0.8
    assert dark.luminance() < 0.3
    light.page.get_by_role("button", name="Dark").click()
    assert light.luminance() < 0.3
    light.page.reload()
    assert light.luminance() < 0.3


def test_everything_is_reached_by_the_keyboard_and_one_sees_where_one_is(
    site: BrowserSite, watched: WatchedPage
) -> None:
    page = watched.visit("/")
    page.keyboard.press("Tab")
    assert watched.focused()["name"].startswith("Skip to")
    page.keyboard.press("Enter")
    assert watched.focused()["tag"] == "MAIN"
    seen: list[dict[str, Any]] = []
    while len(seen) < TABS_MAX and watched.focused()["name"] != FAILING:
        page.keyboard.press("Tab")
        seen.append(watched.focused())
    assert [one for one in seen if not one["isShown"]] == []
    assert "Topologies" in [one["name"] for one in seen if one["role"] == "group"], "a table can be scrolled"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(FAILING)


def test_a_dialog_is_opened_and_left_by_the_keyboard(site: BrowserSite, watched: WatchedPage) -> None:
    page = watched.visit(site.topology(FAILING))
    kill = page.get_by_role("button", name="Kill", exact=True)
    kill.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=f"Kill {FAILING}")
    expect(dialog).to_be_visible()
    assert dialog.evaluate("dialog => dialog.contains(document.activeElement)")
    watched.check_rules()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(kill).to_be_focused()
    assert site.get("/topology/summary")["topologies"]


# --- what can be done


def test_a_topology_is_put_to_sleep_and_woken(
    site: BrowserSite, watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    page = watched.visit(site.topology(FAILING))
    watched.act("Deactivate", "Deactivate")
    expect(page.get_by_role("main")).to_contain_text("INACTIVE")
    assert site.get(f"/topology/{site.topologies[FAILING]}")["status"] == "INACTIVE"
    page.get_by_role("button", name="Activate", exact=True).click()
    look_at(watched, "dialog-1-activate")
    page.keyboard.press("Escape")
    watched.act("Activate", "Activate")
    expect(page.get_by_role("button", name="Deactivate", exact=True)).to_be_visible()
    assert site.get(f"/topology/{site.topologies[FAILING]}")["status"] == "ACTIVE"


def test_a_topology_gets_more_executors(site: BrowserSite, watched: WatchedPage) -> None:
    page = watched.visit(site.topology(FAILING))
    watched.act("Rebalance", "Rebalance", Wait="0", check="2")

    def executors() -> list[str]:
        return [row["Executors"] for row in watched.rows("Bolts") if first(row) == "check"]

    assert becomes(executors, ["2"], page) == ["2"]


def test_a_refusal_is_told_in_the_dialog(
    site: BrowserSite, watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    watched.expected = re.compile(r"\b4\d\d\b")
    page = watched.visit(site.topology(FAILING))
    page.get_by_role("button", name="Rebalance", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("check").fill("99")
    dialog.get_by_role("button", name="Rebalance", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("check")
    look_at(watched, "dialog-1-rebalance-refused")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()


def test_log_levels_and_logged_tuples_are_set(site: BrowserSite, watched: WatchedPage) -> None:
    watched.visit(site.topology(FAILING))
    topology = f"/topology/{site.topologies[FAILING]}"
    watched.act("Log levels", "Set", Logger="troubled", Level="DEBUG", For="60")
    assert site.get(f"{topology}/logconfig")["namedLoggerLevels"]["troubled"]["target_level"] == "DEBUG"
    watched.act("Log tuples", "Set", Share="20")
    assert (site.get(topology)["debug"], site.get(topology)["samplingPct"]) == (True, 20.0)
    watched.act("Log tuples", "Set", Log="disable")
    assert site.get(topology)["debug"] is False


def test_a_log_level_is_shown_with_its_time_and_taken_back(site: BrowserSite, watched: WatchedPage) -> None:
    page = watched.visit(site.topology(FAILING))
    watched.act("Log levels", "Set", Logger="taken.back", Level="ERROR", For="0")
    levels = watched.table("Log levels that are set")
    expect(levels).to_contain_text("taken.back")
    expect(levels).to_contain_text("for good")
    watched.check_rules()
    watched.act("Log levels", "Set", Logger="taken.back", Level="")
    expect(page.get_by_role("main")).not_to_contain_text("taken.back")
    assert site.get(f"/topology/{site.topologies[FAILING]}/logconfig")["namedLoggerLevels"].get("taken.back", {}).get(
        "target_level"
    ) is None  # fmt: skip


def test_the_tuples_of_one_component_are_logged(site: BrowserSite, watched: WatchedPage) -> None:
    path = f"/topology/{site.topologies[FAILING]}/component/sink"
    page = watched.visit(path)
    watched.act("Log tuples", "Set", Share="15")
    told = site.get(path)
    assert (told["debug"], told["samplingPct"]) == (True, 15.0)
    expect(page.get_by_role("main")).to_contain_text("logs 15 % of its tuples")
    assert site.get(f"/topology/{site.topologies[FAILING]}/component/check")["debug"] is False
    watched.act("Log tuples", "Set", Log="disable")
    expect(page.get_by_role("main")).not_to_contain_text("logs 15 %")
    assert site.get(path)["debug"] is False


@pytest.mark.parametrize("path", ["/topology/{id}/worker/{host_port}", "/topology/{id}/component/{component}"])
def test_what_a_worker_does_and_holds_is_shown(
    path: str, site: BrowserSite, watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    page = watched.visit(site.address_of(path))
    for button, shown in (("Stacks", "File "), ("Heap", "objects, ")):
        page.get_by_role("button", name=button, exact=True).click()
        dialog = page.get_by_role("dialog")
        expect(dialog.locator(".answer")).to_contain_text(shown, timeout=PATIENCE_MS)
        watched.check_rules()
        look_at(watched, f"{button.lower()}-{path.rpartition('{')[2].strip('}')}")
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()


def _without_log_viewer(route: Route) -> None:
    """The answer as it is where the supervisor tells that it has none."""
    answer = route.fetch()
    route.fulfill(response=answer, json={**answer.json(), "dumplink": ""})


def test_a_flame_graph_is_made_by_the_keyboard(
    site: BrowserSite, watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    page = watched.visit(site.address_of("/topology/{id}/component/{component}"))
    page.route("**/profiling/stop/**", _without_log_viewer)
    if found_py_spy() is None:
        watched.expected = re.compile("501")
    page.get_by_role("button", name="Flame graph", exact=True).focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    watched.check_rules()
    dialog.get_by_label(re.compile("^For, seconds")).fill("60")
    page.keyboard.press("Enter")
    if found_py_spy() is None:
        expect(dialog.get_by_role("alert")).to_contain_text("-m pip install py-spy")
        pytest.skip("py-spy is not installed")
    expect(dialog.get_by_role("progressbar")).to_be_visible()
    expect(dialog.get_by_role("button", name="Stop now")).to_be_focused(timeout=PATIENCE_MS)
    watched.check_rules()
    look_at(watched, "flame-graph-begun")
    expect(dialog.get_by_role("status")).to_contain_text("for 60 s")
    page.wait_for_function("() => document.querySelector('progress').value > 0.05", timeout=PATIENCE_MS)
    page.keyboard.press("Enter")
    picture = dialog.get_by_role("img")
    expect(picture).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_function("() => document.querySelector('.picture img').naturalWidth > 0", timeout=PATIENCE_MS)
    watched.check_rules()
    look_at(watched, "flame-graph")
    expect(dialog.get_by_text("all that was asked of this worker")).to_be_hidden()
    with page.context.expect_page() as opened:
        dialog.get_by_role("link", name="Open it by itself").click()
    opened.value.wait_for_load_state()
    assert opened.value.evaluate("() => document.documentElement.nodeName") == "svg"
    assert opened.value.evaluate("() => window.origin") == "null"  # it is of nobody, and reaches nothing
    opened.value.close()


def test_a_worker_is_started_again(site: BrowserSite, watched: WatchedPage) -> None:
    before = site.cluster.worker_pids(site.topologies[FAILING])
    watched.visit(site.address_of("/topology/{id}/worker/{host_port}"))
    watched.act("Restart", "Restart it")

    def is_another() -> bool:
        now = site.cluster.worker_pids(site.topologies[FAILING])
        return bool(now) and now.keys().isdisjoint(before) and site.cluster.workers_up(site.topologies[FAILING]) == 1

    site.wait(is_another, "it was started again")


def test_tuples_that_failed_and_that_were_sampled_are_shown(
    site: BrowserSite, watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    page = watched.visit(site.topology(FAILING))
    page.get_by_role("link", name="Tuples that failed", exact=True).click()
    expect(page.locator("#failures tbody tr").first).to_contain_text("check")
    watched.visit(site.address_of("/topology/{id}/samples"))
    watched.act("Log tuples", "Set", Share="100")
    expect(page.locator("#samples tbody tr").first).to_be_visible()
    look_at(watched, "samples-that-came")
    watched.visit(site.topology(FAILING))
    page.get_by_label(re.compile("^Sampled tuples, check to sink")).click()
    expect(page.locator("#samples tbody tr").first).to_be_visible()
    assert {(row["Component"], row["Stream"]) for row in watched.rows("Tuples that were sampled last")} == {
        ("check", "checked")
    }
    watched.act("Log tuples", "Set", Log="disable")


def test_a_topology_is_killed_only_by_its_name(site: BrowserSite, watched: WatchedPage) -> None:
    page = watched.visit(site.topology(MARKED))
    page.get_by_role("button", name="Kill", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(re.compile("^Wait")).fill("0")
    dialog.get_by_label(re.compile("^Type its name")).fill(FAILING)
    dialog.get_by_role("button", name="Kill it").click()
    assert dialog.is_visible()
    assert site.get(f"/topology/{site.topologies[MARKED]}")["status"] == "ACTIVE"
    dialog.get_by_label(re.compile("^Type its name")).fill(MARKED)
    dialog.get_by_role("button", name="Kill it").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("main")).to_contain_text(re.compile(f"KILLED|No topology '{site.topologies[MARKED]}'"))
    watched.visit("/")
    expect(watched.table("Topologies").get_by_role("link", name=MARKED, exact=True)).to_have_count(0)


def test_a_page_of_another_site_reads_and_changes_nothing(
    site: BrowserSite, watched: WatchedPage, foreign_site: str
) -> None:
    """What a person's browser sends for it reaches the UI, and is refused."""
    watched.expected = re.compile(".")
    topology = f"{site.address}/api/v1/topology/{site.topologies[FAILING]}"
    refused = refusals(site)
    page = watched.page
    page.goto(foreign_site)
    told = page.evaluate(
        """async topology => {
            const words = { method: 'POST', mode: 'no-cors', credentials: 'include' };
            await fetch(`${topology}/deactivate`, words).catch(() => {});
            return fetch(topology).then(() => 'read', () => 'not read');
        }""",
        topology,
    )
    assert told == "not read"
    assert refusals(site) == refused + 1
    assert site.get(f"/topology/{site.topologies[FAILING]}")["status"] == "ACTIVE"


def refusals(site: BrowserSite) -> int:
    """How many POSTs the UI has answered with 403."""
    found = re.findall(r'^storm_ui_requests_total{method="POST",.*status="403"} (\d+)', site.metrics(), re.MULTILINE)
    return sum(map(int, found))


# --- when Nimbus is gone


def test_pages_show_what_was_known_while_nimbus_is_gone_and_go_on_by_themselves(
    site: BrowserSite, watched: WatchedPage, look_at: Callable[[WatchedPage, str], None]
) -> None:
    watched.expected = WITHOUT_NIMBUS
    page = watched.visit(site.topology(FAILING))
    notice = page.get_by_role("status").filter(has_text=NOTICE)
    site.cluster.nimbus.stop(signal.SIGKILL)
    try:
        expect(notice).to_be_visible()
        known = figures(watched, "Spouts", "numbers")
        assert known["Emitted"] > 0
        expect(page.get_by_role("button", name="Kill", exact=True)).to_be_disabled()
        page.reload()
        expect(notice).to_be_visible()
        assert figures(watched, "Spouts", "numbers") == known
        look_at(watched, "nimbus-gone")
    finally:
        site.cluster.start_nimbus()
    expect(notice).to_be_hidden()
    expect(page.get_by_role("button", name="Kill", exact=True)).to_be_enabled()
    site.wait(lambda: figures(watched, "Spouts", "numbers")["Emitted"] > known["Emitted"], "figures go on")


def test_the_owner_is_shown_with_what_is_his(site: BrowserSite, watched: WatchedPage) -> None:
    page = watched.visit("/owners")
    page.get_by_role("main").get_by_role("link", name=OWNER).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(OWNER)
    expect(page.get_by_role("main").get_by_role("link", name=COUNTED, exact=True)).to_be_visible()
