from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from worker_site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zookeeper_servers import ZooKeeperProcess


@pytest.fixture
def make_site(tmp_path: Path, embedded_zookeeper: ZooKeeperProcess) -> Iterator[Callable[..., Site]]:
    """Makes the one site of a test: `make_site({conf}, window=..., poison=...)`."""
    made: list[Site] = []

    def make(conf: dict[str, Any] | None = None, **topology: Any) -> Site:
        made.append(Site(tmp_path, embedded_zookeeper, conf or {}, **topology))
        return made[0]

    yield make
    for site in made:
        site.close()
