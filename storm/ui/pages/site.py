"""Templates and static files, which are data of this package and loaded once, and pages rendered of them."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from storm.clock import format_wall_utc
from storm.diagnosis.topology import busy_level
from storm.ui.pages import figures
from storm.ui.pages.links import Links
from storm.ui.rest.formats import encoded, pretty_window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ui.pages.page import Frame

HERE = Path(__file__).parent
STATIC = "/static"
MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
ERROR_TEMPLATE = "problem.html"
NOTICE = "notice"  # a region that every page has, and its template: what is wrong with the page itself
# Scripts, styles and pictures of our own, never such as stand in a page: text that came in from outside does nothing.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class StaticFile(NamedTuple):
    content: bytes
    media_type: str


class Site:
    """`version` changes with the static files: addresses that have it in them may be kept by browsers for ever."""

    def __init__(self) -> None:
        self.files = {
            path.name: StaticFile(path.read_bytes(), MEDIA_TYPES[path.suffix])
            for path in sorted((HERE / "static").iterdir())
            if path.suffix in MEDIA_TYPES
        }
        digest = hashlib.sha256()
        for name, file in self.files.items():
            digest.update(name.encode() + b"\0" + file.content)
        self.version = digest.hexdigest()[:12]
        self._templates = environment()
        self._templates.globals["static"] = self.address
        for name in self._templates.list_templates():
            self._templates.get_template(name)  # compiled now, not at the first request

    def address(self, name: str) -> str:
        """Of a static file."""
        assert name in self.files, name
        return f"{STATIC}/{self.version}/{name}"

    def page(self, template: str, context: Mapping[str, Any], frame: Frame) -> str:
        """HTML. Templates see `context`, and `frame`, `link` and `static`; a name that is none of these is an error."""
        link = Links(frame.window, frame.include_system)
        return self._templates.get_template(template).render(context, frame=frame, link=link)

    def notice(self, frame: Frame) -> str:
        """The HTML in the region NOTICE."""
        return self.page(f"{NOTICE}.html", {}, frame)


@functools.cache
def site() -> Site:
    """That of this process: half a second of compiling templates, once, however many applications show it."""
    return Site()


def environment() -> Environment:
    """Where templates come from: everything in them is escaped, and a name that does not exist is an error."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": figures.number,
        "latency": figures.latency,
        "duration": figures.duration,
        "percent": figures.percent,
        "coarse": figures.coarse,
        "window": pretty_window,
        "time_of_day": format_wall_utc,
        "encoded": encoded,
        "busy_level": busy_level,
    }
    return environment
