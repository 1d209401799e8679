"""A whole cluster in one container, beside the large one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import engine
import httpx
import pytest
from compose_site import ComposeSite

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.timeout(1_800), pytest.mark.usefixtures("docker_engine")]  # the first waits for images


def test_one_container_is_a_whole_cluster(tmp_path: Path) -> None:
    site = ComposeSite(tmp_path, f"storm-single-{os.getpid()}")
    try:
        site.start(single=True)
        load = site.load(100.0)
        load.wait_progress(500)
        load.finish()
        ui = f"http://127.0.0.1:{site.ui_port}/api/v1/cluster/summary"
        assert httpx.get(ui, timeout=30).json()["supervisors"] == 1
        assert site.kept(), "its data has a volume"
    finally:
        site.close()
    assert site.kept() == set(), "`down --data` has removed it"
    assert engine.answers(), "`down` has left it to the other tests"
