"""The regions of a page that live, and which of them changed from one rendering to the next; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# In the templates' own HTML only: in text and attributes `<` is escaped.
SECTION = re.compile(r'<section\b(?:[^>]*\bdata-live="(?P<name>[\w-]+)")?[^>]*>|</section>')


def regions(html: str) -> dict[str, str]:
    """{name: the HTML in it} of every `<section data-live="NAME">`; sections in a region belong to it."""
    found: dict[str, str] = {}
    name, begin, depth = "", 0, 0
    for tag in SECTION.finditer(html):
        if tag.group().startswith("</"):
            if depth == 1:
                found[name] = html[begin : tag.start()]
            depth = max(0, depth - 1)
        elif depth:
            depth += 1
        elif tag["name"]:
            name, begin, depth = tag["name"], tag.end(), 1
    return found


class Versions:
    """What a page is now, and when each region became so, counted in renderings that changed something."""

    def __init__(self) -> None:
        self.version = 0
        self._regions: dict[str, tuple[int, str]] = {}  # {name: (the version since which, HTML)}

    def put(self, rendered: Mapping[str, str]) -> bool:
        """Whether anything is new. Regions that `rendered` lacks stay as they were."""
        changed = {name: html for name, html in rendered.items() if self._regions.get(name, (0, None))[1] != html}
        if changed:
            self.version += 1
            self._regions |= {name: (self.version, html) for name, html in changed.items()}
        return bool(changed)

    def since(self, version: int) -> dict[str, str]:
        """What whoever has seen `version` has to be told; 0: nothing was seen."""
        return {name: html for name, (changed_at, html) in self._regions.items() if changed_at > version}
