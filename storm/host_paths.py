"""What of a topology lies where on a host, for its supervisor, its workers and the log viewer.

    <supervisor dir>/stormdist/<topology id>/     stormcode.ser, stormconf.ser, stormjar.jar, and that unpacked in code/
    <supervisor dir>/tmp/                         what is being made or removed
    <artifacts dir>/<topology id>/<port>/         worker.log, events.log

A worker is told its topology's directory and that of its logs when it is launched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from storm.ids import TopologyId

TOPOLOGY, CONF, PACKAGE = "stormcode.ser", "stormconf.ser", "stormjar.jar"
EVENT_LOG = "events.log"  # beside the worker's log, of `log_names`
_TOPOLOGY_ID = re.compile(r"[^/\\.:\x00-\x1f\x7f][^/\\:\x00-\x1f\x7f]{0,199}")


def is_topology_id(text: str) -> bool:
    """Whether a directory may have this name: what others call an id may be a path."""
    return _TOPOLOGY_ID.fullmatch(text) is not None


def supervisor_dir(local_dir: Path) -> Path:
    """What the supervisor itself keeps below its `storm.local.dir`."""
    return local_dir / "supervisor"


def topologies_dir(supervisor_dir: Path) -> Path:
    """A directory for each topology, named by its id."""
    return supervisor_dir / "stormdist"


def topology_dir(supervisor_dir: Path, topology_id: TopologyId) -> Path:
    return topologies_dir(supervisor_dir) / topology_id


def code_dir(topology_dir: Path) -> Path:
    """Where a topology's package is unpacked."""
    return topology_dir / "code"


def tmp_dir(supervisor_dir: Path) -> Path:
    """On the file system of the rest, so that a rename takes there and away."""
    return supervisor_dir / "tmp"
