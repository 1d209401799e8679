"""How many files and sockets this process may have open."""

from __future__ import annotations

import contextlib
import resource

# Most systems give a process 1,024 and let it take more, since `select` knows no higher numbers: nothing here uses it.
# What is far beyond any need is not taken: some programs that a process starts close every number up to the limit.
LIMIT_MAX = 65_536
_UNLIMITED = 1 << 20


def raise_limit() -> int:
    """Take what the process may have, up to LIMIT_MAX; `limit()` after that. A higher limit stays as it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = LIMIT_MAX if hard == resource.RLIM_INFINITY else min(hard, LIMIT_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()


def limit() -> int:
    """The limit that holds now; 1,048,576 where there is none."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft
