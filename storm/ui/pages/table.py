"""The table of pages: every address that a browser shows, and what makes it. No path is a prefix of the API's."""

from __future__ import annotations

from storm.ui.pages import (
    api,
    cluster,
    component,
    failures,
    logs,
    owners,
    samples,
    settings,
    supervisor,
    topology,
    worker,
    worker_log,
)
from storm.ui.pages.page import Page

WINDOW_AND_SYSTEM = ("window", "sys")
PART_OF_LOG = ("start", "end", "text", "file")

PAGES = (
    Page("/", "cluster.html", cluster.context),
    Page("/topology/{id}", "topology.html", topology.context, WINDOW_AND_SYSTEM),
    Page("/topology/{id}/component/{component}", "component.html", component.context, WINDOW_AND_SYSTEM),
    Page("/topology/{id}/component/{component}/error", "error.html", component.one_error, ("key",), lives=False),
    Page("/topology/{id}/worker/{host_port}", "worker.html", worker.context, WINDOW_AND_SYSTEM),
    Page("/topology/{id}/worker/{host_port}/log", "worker_log.html", worker_log.context, PART_OF_LOG, lives=False),
    Page("/topology/{id}/logs", "logs.html", logs.context),
    Page("/topology/{id}/logs/search", "log_search.html", logs.search, ("text",), lives=False, does="search logs"),
    Page("/topology/{id}/failures", "failures.html", failures.context),
    Page("/topology/{id}/samples", "samples.html", samples.context, ("component", "stream")),
    Page("/supervisor/{id}", "supervisor.html", supervisor.context),
    Page("/owners", "owners.html", owners.all_owners),
    Page("/owners/{owner:path}", "owner.html", owners.one_owner),
    Page("/settings", "settings.html", settings.context),
    Page("/api/v1/", "api.html", api.context, lives=False),
)
