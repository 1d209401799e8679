"""One request for a page as the page sees it, one entry of the table of pages, and what stands around every page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from storm.ui.pages.reader import Reader
    from storm.ui.rest.view import View


@dataclass(frozen=True, slots=True)
class PageCall:
    """`nimbus.read(method, ...)` as of a NimbusLink, but while Nimbus is silent it returns what that last answered."""

    nimbus: Reader
    view: View
    path: Mapping[str, str]
    query: Mapping[str, str]


class Page(NamedTuple):
    """`context` makes what `template` shows, or raises Problem or StormError. `query`: names that it may be asked with.

    A page with `template` "x.html" is called "x"; its links and figures are of `view.window` where `query` has it.
    """

    path: str
    template: str
    context: Callable[[PageCall], Awaitable[dict[str, Any]]]
    query: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """What the frame shows, in templates `frame`.

    `events`: where the stream of changes is, empty for a page that does not change. `silent_since` and `as_of`, seconds
    since 1970: since when Nimbus is silent, and of when the oldest is that the page shows; None: all is of now.
    """

    version: str
    token: str = ""
    events: str = ""
    window: str = ""
    include_system: bool = False
    silent_since: int | None = None
    as_of: int | None = None
    problem: str = ""  # one sentence: what keeps a page that is open from being shown anew

    @property
    def is_silent(self) -> bool:
        return self.silent_since is not None
