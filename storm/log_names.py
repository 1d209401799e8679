"""What the files with a worker's log are called: for its supervisor, which puts them aside, and for who shows them."""

from __future__ import annotations

import re

WORKER_LOG = "worker.log"
OLD_LOGS_KEPT = 5  # worker.log.1, the newest, and so on
_PUT_ASIDE = re.compile(rf"{re.escape(WORKER_LOG)}\.[1-{OLD_LOGS_KEPT}]")


def is_put_aside(name: str) -> bool:
    """Whether a file of this name is a worker's log of before."""
    return _PUT_ASIDE.fullmatch(name) is not None
