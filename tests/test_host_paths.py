from __future__ import annotations

from pathlib import Path

import pytest

from storm import host_paths

SUPERVISOR = host_paths.supervisor_dir(Path("/local"))


@pytest.mark.parametrize("topology_id", ["words-1-1790000000", "two words-1-2", "größe-3-4", "a" * 200, "a.b-1-2"])
def test_ids_name_directories(topology_id: str) -> None:
    assert host_paths.is_topology_id(topology_id)
    assert host_paths.topology_dir(SUPERVISOR, topology_id).parent == host_paths.topologies_dir(SUPERVISOR)


@pytest.mark.parametrize("text", ["", ".", "..", ".hidden", "../x", "a/b", "a\\b", "C:", "a\0", "a\n", "a" * 201])
def test_what_may_lead_elsewhere_is_no_id(text: str) -> None:
    assert not host_paths.is_topology_id(text)


def test_all_of_it_is_below_the_supervisors_directory() -> None:
    topology = host_paths.topology_dir(SUPERVISOR, "words-1-2")
    assert host_paths.code_dir(topology) == Path("/local/supervisor/stormdist/words-1-2/code")
    assert host_paths.tmp_dir(SUPERVISOR) == Path("/local/supervisor/tmp")
