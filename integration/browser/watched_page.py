"""A page in a browser that notes whatever no page of ours may do, and what tests read off it."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import ConsoleMessage, Dialog, Locator, Page, Request

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
WIDE, NARROW = 1280, 375  # pixels
HEIGHT = 900
NOTICE = "has not answered since"

READ_TABLE = """table => {
    const text = cell => cell.innerText.trim();
    const heads = [...table.querySelectorAll('thead th')].map(text);
    return [...table.querySelectorAll('tbody tr')].map(
        row => Object.fromEntries([...row.cells].map((cell, i) => [heads[i] ?? i, text(cell)])));
}"""
LUMINANCE = """() => {
    const shown = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
    return (0.2126 * shown[0] + 0.7152 * shown[1] + 0.0722 * shown[2]) / 255;
}"""
FOCUSED = """() => {
    const one = document.activeElement, style = getComputedStyle(one);
    const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
    return {
        tag: one.tagName, role: one.getAttribute('role') ?? '', isShown: outlined || style.boxShadow !== 'none',
        name: one.getAttribute('aria-label') || one.innerText || one.getAttribute('placeholder') || '',
    };
}"""
INLINE_CODE = """() => {
    const script = document.createElement('script');
    script.textContent = 'window.hacked = 1';
    document.body.append(script);
    document.body.insertAdjacentHTML('beforeend', '<img src="data:," onerror="window.hacked = 2">');
    document.body.insertAdjacentHTML('beforeend', '<b onclick="window.hacked = 3">x</b>');
}"""
SCROLLS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


class WatchedPage:
    """`troubles`: errors of scripts and of the console, CSP violations among them, boxes that scripts opened, and
    requests to anywhere else. Those that match `expected` are passed over."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.troubles: list[str] = []
        self.expected: re.Pattern[str] | None = None
        self._origin = origin
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._note(f"script: {error}"))
        page.on("request", self._on_request)
        page.on("dialog", self._on_dialog)

    def _note(self, trouble: str) -> None:
        if self.expected is None or not self.expected.search(trouble):
            self.troubles.append(trouble)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            self._note(f"console: {message.text} ({message.location.get('url', '')})")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self._origin}/", "data:")):
            self._note(f"elsewhere: {request.url}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self._note(f"box: {dialog.message}")
        dialog.dismiss()

    def visit(self, address: str, status: int = 200) -> Page:
        """Go there, and wait until it stands; the page. Raises AssertionError where the status is another."""
        answer = self.page.goto(f"{self._origin}{address}")
        assert answer is not None
        assert answer.status == status, f"{address}: {answer.status} {answer.text()[:1_000]}"
        return self.page

    def check(self) -> None:
        assert self.troubles == []

    # --- what can be seen

    def rows(self, caption: str) -> list[dict[str, str]]:
        """The rows of a table, {column: text}."""
        found: list[dict[str, str]] = self.table(caption).evaluate(READ_TABLE)
        return found

    def table(self, caption: str) -> Locator:
        return self.page.get_by_role("table", name=caption, exact=True)

    def luminance(self) -> float:
        """Of the page's ground, from 0 to 1."""
        return float(self.page.evaluate(LUMINANCE))

    def focused(self) -> dict[str, Any]:
        """The element that has the focus: `tag`, `role`, `name`, and whether one sees that, `isShown`."""
        found: dict[str, Any] = self.page.evaluate(FOCUSED)
        return found

    def too_wide(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate(SCROLLS))

    def check_rules(self, *rules: str) -> None:
        """Axe-core objects to nothing, by all rules of WCAG 2.2 AA and of good practice, or by these."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE)
        options = {
            "resultTypes": ["violations"],
            "runOnly": {"type": "rule", "values": rules} if rules else {"type": "tag", "values": RULES},
        }
        found = self.page.evaluate("options => axe.run(options)", options)
        objections = [
            f"{one['id']}: {one['help']}: {node['html'][:300]} ({node['failureSummary']})"
            for one in found["violations"]
            for node in one["nodes"]
        ]
        assert not objections, f"{self.page.url}\n" + "\n".join(objections)

    def check_policy(self) -> None:
        """Code that gets into the page by mistake meets its Content Security Policy, and is not run."""
        self.expected = re.compile("Content Security Policy")
        with self.page.expect_console_message(lambda message: "Content Security Policy" in message.text):
            self.page.evaluate(INLINE_CODE)
            self.page.locator("b").last.click()
        assert self.page.evaluate("() => window.hacked") is None

    def check_looks(self, screenshots: Path | None, name: str) -> None:
        """It fits into a phone, and its colours into the dark. `screenshots`: where pictures go, None: nowhere."""
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=cast("Any", scheme))
            self.check_rules("color-contrast")
            for width in (NARROW, WIDE):
                self.page.set_viewport_size({"width": width, "height": HEIGHT})
                assert self.too_wide() <= 0
                if screenshots is not None:
                    size = "narrow" if width == NARROW else "wide"
                    self.page.screenshot(path=screenshots / f"{name}-{scheme}-{size}.png")
        self.page.emulate_media(color_scheme="light")

    # --- what people do

    def act(self, button: str, confirm: str, **fields: str) -> None:
        """Open a dialog by its button, fill fields by their labels (`_` for a blank), confirm, and see it close."""
        self.page.get_by_role("button", name=button, exact=True).click()
        dialog = self.page.get_by_role("dialog")
        for label, value in fields.items():
            field = dialog.get_by_label(re.compile(f"^{label.replace('_', ' ')}"))
            if field.evaluate("field => field.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)
        dialog.get_by_role("button", name=confirm, exact=True).click()
        dialog.wait_for(state="hidden")


def whole(text: str) -> int:
    """The number that a cell shows: `12,345`."""
    return int(text.replace(",", "").replace("\u202f", ""))
