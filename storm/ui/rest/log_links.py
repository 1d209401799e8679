"""Where the log viewers are to which links lead: supervisors tell that to Nimbus."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from storm.ui.rest.formats import Viewer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.thrift.interface import Struct
    from storm.ui.rest.view import View


class Reads(Protocol):
    """Reads what Nimbus tells."""

    async def read(self, method: str, *arguments: Any) -> Any: ...


async def with_log_viewers(view: View, nimbus: Reads) -> View:
    """`view` with links to the log viewers of all supervisors."""
    return linked(view, (await nimbus.read("getClusterInfo")).supervisors or [])


def linked(view: View, summaries: Iterable[Struct]) -> View:
    """`view` with links to the log viewers of these supervisors."""
    viewers: dict[str, list[Viewer]] = {}
    for one in summaries:
        found = Viewer(one.logviewer_port, frozenset(one.slot_ports or ()), frozenset(one.daemon_logs or ()))
        viewers.setdefault(one.host, []).append(found)
    return replace(view, links=view.links._replace(viewers=viewers))
