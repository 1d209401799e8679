"""The page of the cluster's settings, as Nimbus has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ui.pages.page import PageCall


async def context(call: PageCall) -> dict[str, Any]:
    return {"settings": in_words(json.loads(await call.nimbus.read("getNimbusConf")))}


def in_words(conf: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, value) by key; a value as it stands in a settings file, text without quotes."""
    return [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in sorted(conf.items())]
