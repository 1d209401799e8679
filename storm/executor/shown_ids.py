"""Message ids as text for people."""

from __future__ import annotations

import contextlib
import reprlib
from typing import Any

ID_CHARS_MAX = 200

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 100


def shown_id(message_id: Any) -> str:
    """At most ID_CHARS_MAX characters. A user's `__repr__` may raise."""
    with contextlib.suppress(Exception):
        return _short.repr(message_id)[:ID_CHARS_MAX]
    return "an id that cannot be shown"
