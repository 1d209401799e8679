"""One request for a page as the page sees it, one entry of the table of pages, and what stands around every page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.metrics.stats_records import ALL_TIME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from storm.ui.pages.history import History
    from storm.ui.pages.log_reader import LogReader
    from storm.ui.pages.reader import Reader
    from storm.ui.pages.rounds import Rounds
    from storm.ui.pages.samples_reader import SamplesReader
    from storm.ui.rest.view import View


@dataclass(frozen=True, slots=True)
class PageCall:
    """`nimbus.read(method, ...)` as of a NimbusLink, but while Nimbus is silent it returns what that last answered."""

    nimbus: Reader
    view: View
    path: Mapping[str, str]
    query: Mapping[str, str]
    history: History
    samples: SamplesReader
    logs: LogReader
    rounds: Rounds


class Page(NamedTuple):
    """`context` makes what `template` shows, or raises Problem or StormError. `query`: names that it may be asked with.

    Where `query` has "window" and "sys", `view` and the frame's links are of them. `lives`: whoever watches it is
    sent its regions, `<section data-live="NAME">` in the template, whenever they have changed. `does`: what is done
    that costs much, for people ("search logs"): pages of other sites may not ask for it.
    """

    path: str
    template: str
    context: Callable[[PageCall], Awaitable[dict[str, Any]]]
    query: tuple[str, ...] = ()
    lives: bool = True
    does: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the frame shows, in templates `frame`.

    `path` is that of the request. `events`: where the stream of changes is, empty for a page that does not change.
    `silent_since` and `as_of`, seconds since 1970: since when Nimbus is silent, and of when the oldest is that the page
    shows; None: all is of now.
    """

    version: str
    path: str = ""
    token: str = ""
    events: str = ""
    window: str = ALL_TIME
    include_system: bool = False
    silent_since: int | None = None
    as_of: int | None = None
    problem: str = ""  # one sentence: what keeps a page that is open from being shown anew

    @property
    def is_silent(self) -> bool:
        return self.silent_since is not None
