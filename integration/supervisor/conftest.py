"""A supervisor as a real process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from supervisor_site import SupervisorSite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zookeeper_servers import ZooKeeperProcess


@pytest.fixture
def site(tmp_path: Path, embedded_zookeeper: ZooKeeperProcess) -> Iterator[SupervisorSite]:
    """Nothing runs yet but ZooKeeper and Nimbus's port; all that is started ends with the test."""
    found = SupervisorSite(tmp_path, embedded_zookeeper, {})
    yield found
    found.close()
