"""The table of pages: every address that a browser shows, and what makes it. No path is a prefix of the API's."""

from __future__ import annotations

from storm.ui.pages import api, cluster, owners, settings, supervisor
from storm.ui.pages.page import Page

PAGES = (
    Page("/", "cluster.html", cluster.context),
    Page("/supervisor/{id}", "supervisor.html", supervisor.context),
    Page("/owners", "owners.html", owners.all_owners),
    Page("/owners/{owner:path}", "owner.html", owners.one_owner),
    Page("/settings", "settings.html", settings.context),
    Page("/api/v1/", "api.html", api.context, lives=False),
)
