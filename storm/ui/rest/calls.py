"""One request to the REST API as its answer sees it, and one entry of the API's table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from storm.ui.nimbus_link import NimbusLink
    from storm.ui.pages.log_reader import LogReader
    from storm.ui.pages.samples_reader import SamplesReader
    from storm.ui.rest.shapes import Shape
    from storm.ui.rest.view import View
    from storm.ui.supervisor_link import SupervisorLink

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the parts of its path by name, its query, its body, and what it is answered with."""

    nimbus: NimbusLink
    supervisors: SupervisorLink
    samples: SamplesReader
    logs: LogReader
    view: View
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = b""


class Endpoint(NamedTuple):
    """`answer` makes the JSON of a Call, or raises Problem or StormError. `query`: names of what it may be asked with.

    `path` is below `PREFIX`. `body`: an example of what it takes; None: it takes no body. `does`: what a GET does that
    costs much, for people ("search logs"): pages of other sites may not ask for it.
    """

    method: str
    path: str
    summary: str
    answer: Callable[[Call], Awaitable[Any]]
    shape: Shape
    query: tuple[str, ...] = ()
    body: Mapping[str, Any] | None = None
    does: str = ""

    @property
    def route(self) -> str:
        """The whole path as the router has it: an owner's name may hold slashes."""
        return PREFIX + self.path.replace("{owner}", "{owner:path}")
