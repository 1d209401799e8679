"""What every page of the UI keeps: whole HTML, nothing inline that runs, and what screen readers need."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

VOID = {"meta", "link", "img", "input", "br", "hr", "wbr", "col", "area", "source"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.broken: list[str] = []
        self.ids: list[str] = []
        self.opens: list[str] = []
        self.regions: list[str] = []
        self.tables = self.captions = 0

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self._look(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self._look(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.broken.append(f"</{tag}> closes nothing, at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"script", "style"} and data.strip():
            self.broken.append(f"an inline {self.open[-1]}: {data[:40]!r}")

    def _look(self, tag: str, attributes: dict[str, str | None]) -> None:
        for name, value in attributes.items():
            if name == "style" or name.startswith("on"):
                self.broken.append(f"<{tag} {name}={value!r}>: inline")
            if name in {"href", "src", "action", "data-events"} and not (value or "").startswith(("/", "#", "http://")):
                self.broken.append(f"<{tag} {name}={value!r}> leads elsewhere")
        if tag == "style" or (tag == "script" and not attributes.get("src")):
            self.broken.append(f"an inline {tag}")
        if tag == "th" and "scope" not in attributes:
            self.broken.append(f"a <th> without a scope, at {self.getpos()}")
        if tag == "img" and "alt" not in attributes:
            self.broken.append(f"an <img> without alt, at {self.getpos()}")
        if tag in {"input", "select", "textarea"} and "label" not in self.open and not attributes.get("aria-label"):
            self.broken.append(f"a field without a label, at {self.getpos()}")
        if tag == "svg" and not ({"aria-hidden", "aria-label", "aria-labelledby"} & set(attributes)):
            self.broken.append(f"an <svg> that is neither hidden nor named, at {self.getpos()}")
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.ids += [attributes["id"] or ""] if "id" in attributes else []
        self.opens += [attributes["data-opens"] or ""] if "data-opens" in attributes else []
        if attributes.get("data-live"):
            self.regions.append(attributes["data-live"] or "")


def broken_rules(html: str) -> list[str]:
    """Sentences; none: the page is well."""
    page = _Page()
    page.feed(html)
    page.close()
    found = [*page.broken, *(f"<{tag}> is not closed" for tag in page.open)]
    found += [f"two elements have the id {one!r}" for one in sorted(set(page.ids)) if page.ids.count(one) > 1]
    found += [f"two regions are called {one!r}" for one in sorted(set(page.regions)) if page.regions.count(one) > 1]
    found += [f"a button opens {one!r}, which is not there" for one in page.opens if one not in page.ids]
    if page.tables != page.captions:
        found.append(f"{page.tables} tables have {page.captions} captions")
    return found
