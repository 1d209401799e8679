"""A browser, a cluster for it to look at, and pages that are watched. `--screenshots DIR`: pictures to be looked at."""

from __future__ import annotations

import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster"))
sys.path.insert(0, str(Path(__file__).parent))

import browser_site
from watched_page import HEIGHT, NARROW, WIDE, WatchedPage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from browser_site import BrowserSite
    from playwright.sync_api import Browser

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
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
def foreign_site() -> Iterator[str]:
    """The address of a page that is not the UI's, of another name."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Foreign)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


class _Foreign(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another site</title>")

    def log_message(self, *words: object) -> None:
        """Nobody wants to know."""


@pytest.fixture
def watched(open_page: Callable[..., WatchedPage]) -> WatchedPage:
    """One page, in light."""
    return open_page()


@pytest.fixture
def look_at(request: pytest.FixtureRequest) -> Callable[[WatchedPage, str], None]:
    """Checks what a page shows, in light and dark, wide and narrow, by all rules, and takes pictures of that name."""
    directory: Path | None = request.config.getoption("--screenshots", None)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)

    def look(watched: WatchedPage, name: str) -> None:
        for scheme in ("light", "dark"):
            watched.page.emulate_media(color_scheme=scheme)
            for width, words in ((WIDE, "wide"), (NARROW, "narrow")):
                if directory is None and (scheme, width) not in {("light", WIDE), ("dark", NARROW)}:
                    continue  # colours change no widths: all four are for who looks at the pictures
                watched.page.set_viewport_size({"width": width, "height": HEIGHT})
                assert watched.too_wide() <= 0
                assert (watched.luminance() < 0.3) is (scheme == "dark")
                if directory is not None:
                    is_whole = not watched.page.locator("dialog[open]").count()  # a dialog stands in the window
                    watched.page.screenshot(path=directory / f"{name}-{scheme}-{words}.png", full_page=is_whole)
            watched.check_rules(*(() if scheme == "light" else ("color-contrast",)))

    return look
