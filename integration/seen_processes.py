"""What tests look at again and again while they wait: which processes there are, and which ports are listened on.

Read from /proc at once: psutil looks at every open file of every process to tell whose a port is, ten times a second.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTENS = "0A"


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """(process id, words of its command line) of each process; a zombie has no words."""
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        yield int(name), os.fsdecode(words).split("\0")[:-1]


def listening_ports() -> set[int]:
    """TCP ports that some process of this network namespace listens on, at any address."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            rows = [line.split() for line in table.read_text().splitlines()[1:]]
            found |= {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTENS}
    return found
