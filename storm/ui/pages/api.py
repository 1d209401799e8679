"""The page that lists the REST API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from storm.ui.rest.calls import PREFIX
from storm.ui.rest.endpoints import ENDPOINTS
from storm.ui.rest.openapi import ABOUT

if TYPE_CHECKING:
    from storm.ui.pages.page import PageCall


async def context(call: PageCall) -> dict[str, Any]:
    return {
        "about": ABOUT,
        "prefix": PREFIX,
        "endpoints": [
            {
                "method": one.method,
                "path": PREFIX + one.path,
                "summary": one.summary,
                "query": one.query,
                "body": None if one.body is None else json.dumps(one.body),
            }
            for one in ENDPOINTS
        ],
    }
