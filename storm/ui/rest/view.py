"""What an answer depends on besides what Nimbus said: the time, the window, the log viewers' port; pure."""

from __future__ import annotations

from dataclasses import dataclass

from storm.metrics.stats_records import ALL_TIME
from storm.ui.rest.formats import LogLinks

DEFAULT_LINKS = LogLinks(8000)


@dataclass(frozen=True, slots=True)
class View:
    """`window` is one of Storm's; `wall_secs` is now, in seconds since 1970; `version` is that of the UI itself.

    `seeds` are the settings' `nimbus.seeds`, each a host or host:port, and `nimbus_port` is the port of those without.
    """

    wall_secs: int
    window: str = ALL_TIME
    include_system: bool = False
    links: LogLinks = DEFAULT_LINKS
    version: str = ""
    seeds: tuple[str, ...] = ()
    nimbus_port: int = 6627

    def log_viewer(self) -> dict[str, object]:
        """The keys that pages with links to logs have."""
        return {"logviewerPort": self.links.port, "logviewerScheme": "http"}


# Resources are not scheduled here, so pages need not show them: Storm's `scheduler.display.resource`.
NO_RESOURCES_SHOWN = {"schedulerDisplayResource": False}
# The keys of a component's wishes; memory in MB, CPU in percent of a core.
REQUESTED_NOTHING = {"requestedMemOnHeap": 0.0, "requestedMemOffHeap": 0.0, "requestedCpu": 0.0}
