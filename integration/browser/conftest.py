"""A browser, a cluster for it to look at, and pages that are watched. `--screenshots DIR`: pictures to be looked at."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster"))
sys.path.insert(0, str(Path(__file__).parent))

import browser_site
from watched_page import HEIGHT, WIDE, WatchedPage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from browser_site import BrowserSite
    from playwright.sync_api import Browser

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WAIT_MS = 30_000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", type=Path, metavar="DIR", help="write a picture of each page of the UI there")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserSite]:
    started = browser_site.start(tmp_path_factory.mktemp("browser"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """It ends with the module: as long as it is there no other event loop can run in this thread."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"the UI's pages are tested in Chromium ({', '.join(PROGRAMS)}): apt-get install chromium")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, site: BrowserSite) -> Iterator[Callable[..., WatchedPage]]:
    """Opens a page in a browser context of its own; in the end all of them are checked."""
    opened: list[WatchedPage] = []

    def opens(scheme: str = "light", *, scripts: bool = True) -> WatchedPage:
        context = browser.new_context(
            color_scheme=scheme,
            java_script_enabled=scripts,
            reduced_motion="reduce",
            viewport={"width": WIDE, "height": HEIGHT},
        )
        context.set_default_timeout(WAIT_MS)
        opened.append(WatchedPage(context.new_page(), site.address))
        return opened[-1]

    yield opens
    for page in opened:
        page.page.context.close()
    for page in opened:
        page.check()


@pytest.fixture
def watched(open_page: Callable[..., WatchedPage]) -> WatchedPage:
    """One page, in light."""
    return open_page()


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Path | None:
    directory: Path | None = request.config.getoption("--screenshots", None)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    return directory
